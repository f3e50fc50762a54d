"""Folders for results: claimed once, resumed or overwritten on demand, with a name per photo."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.files.atomic import UNFINISHED, remove_unfinished, replacing, shortened
from fissura.files.documents import read_json

MASKS, OVERLAYS, PROBABILITIES = "masks", "overlays", "probabilities"
LONGEST_STEM = 240  # bytes of a name without its suffix, so that it fits with any suffix


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How a command treats a folder for results that is not empty."""

    resume: bool = False
    """Go on where an earlier run with the same settings was stopped."""

    overwrite: bool = False
    """Write into a folder that is not empty."""


def free_folder(stem: str) -> Path:
    """Return a folder that does not exist yet: `stem`, or `stem-2`, `stem-3` and so on.

    Args:
        stem: The name wanted.
    """
    names = (stem, *(f"{stem}-{number}" for number in range(2, 10_000)))
    return next(path for path in map(Path, names) if not path.exists())


def output_names(files: list[Path], inputs: list[Path]) -> list[str]:
    """Name the results of each file, so that no two share a name on any file system.

    The name is the file's path below the folder that holds all inputs, without suffix; where two
    names would differ at most in upper and lower case, with the suffix after an underscore. Bytes
    that are not UTF-8 are read as Latin-1, and a very long name is cut and ends in a hash.

    Args:
        files: The files that results are made of.
        inputs: The files and folders that the user gave, in which `files` were found.

    Returns:
        A name for each file, with / between folders, without suffix.

    >>> output_names([Path("a/1.jpg"), Path("a/1.png"), Path("a/b/2.jpg")], [Path("a")])
    ['1_jpg', '1_png', 'b/2']
    """
    folders = [path.parent if path in files else path for path in inputs]
    root = os.path.commonpath([os.path.abspath(folder) for folder in folders])  # noqa: PTH100
    paths = [Path(os.path.relpath(file, root)) for file in files]
    stems = [_decoded(path.with_suffix("").as_posix()) for path in paths]
    uses = Counter(stem.casefold() for stem in stems)
    taken = {stem for stem, count in uses.items() if count == 1}
    names = []
    for path, stem in zip(paths, stems, strict=True):
        name = stem
        if uses[stem.casefold()] > 1:
            name = f"{stem}_{_decoded(path.suffix[1:])}"
            while name.casefold() in taken:
                name += "_"
            taken.add(name.casefold())
        folder, slash, last = name.rpartition("/")
        names.append(folder + slash + shortened(last, LONGEST_STEM))
    return names


def is_result(file: Path, out: Path) -> bool:
    """Return whether an earlier run wrote the file.

    Args:
        file: An image found among the inputs.
        out: The folder for results, which may lie among the inputs.
    """
    path = file.resolve()
    folders = (MASKS, OVERLAYS, PROBABILITIES)
    return any(path.is_relative_to(out.resolve() / folder) for folder in folders)


def claim(
    settings_file: Path,
    settings: Mapping[str, Any],
    output: OutputOptions,
    *,
    notes: Mapping[str, Any] | None = None,
    stale: Iterable[Path] = (),
) -> bool:
    """Take a folder for results: write the settings into it, or find the same ones there.

    Args:
        settings_file: The JSON file for the settings, in the folder for the results.
        settings: All that the results depend on.
        output: What to do where the folder is not empty.
        notes: What else is worth writing into the file, such as versions. It may differ later.
        stale: Files with results of earlier settings, which `overwrite` deletes.

    Returns:
        Whether to go on with earlier results.

    Raises:
        InputError: The folder is not empty and may not be written to, or it holds the results of
            other settings.
    """
    out = settings_file.parent
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Give a folder for the results.")
    # What a process that was killed before its first settings has left is nothing.
    if out.is_dir() and any(not UNFINISHED.fullmatch(path.name) for path in out.iterdir()):
        if output.resume and settings_file.is_file():
            _check_same(settings_file, settings)
            remove_unfinished(out)
            return True
        if not output.overwrite:
            raise InputError(
                f"{out} is not empty. Give a new folder, or use --resume to go on with an earlier "
                "run there, or --overwrite to replace results of the same names."
            )
        for file in stale:
            file.unlink(missing_ok=True)
    elif out.is_dir():
        remove_unfinished(out)
    with replacing(settings_file) as temporary:
        text = json.dumps({**settings, **(notes or {})}, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")
    return False


def _decoded(name: str) -> str:
    """A file name in which bytes that are not UTF-8 are the letters of Latin-1."""
    if os.name != "posix":
        return name
    return "".join(
        chr(ord(letter) - 0xDC00) if 0xDC80 <= ord(letter) <= 0xDCFF else letter for letter in name
    )


def _check_same(settings_file: Path, settings: Mapping[str, Any]) -> None:
    """Raise `InputError` where earlier results were made with other settings.

    A choice that an earlier version did not know was not made: that is None, False or 0.
    """
    try:
        before = dict(read_json(settings_file))
    except (ValueError, TypeError) as error:
        raise InputError(f"{settings_file} is damaged. Use --overwrite to start anew.") from error
    differing = [
        name
        for name, value in settings.items()
        if (before[name] != value if name in before else bool(value))
    ]
    if differing:
        raise InputError(
            f"The results in {settings_file.parent} were made with other settings "
            f"({', '.join(differing)}; see {settings_file.name} there). Use the same to resume, or "
            "give another folder."
        )
