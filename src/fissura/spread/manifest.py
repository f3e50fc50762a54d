"""What a finished shard says of itself, and whether shards belong together."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from fissura.checkpoint import versions, weight_files
from fissura.errors import InputError
from fissura.files import MASKS, OVERLAYS, PROBABILITIES, UNFINISHED, OutputOptions, replacing
from fissura.files.documents import read_json
from fissura.files.failures import Failure
from fissura.files.shapes import check_shape
from fissura.spread.parts import Part

FILE, FORMAT = "shard.json", 1
NAMED = 10  # shards that a sentence names


@dataclass(frozen=True, kw_only=True)
class OwnPhoto:
    """A photo of a shard.

    Attributes:
        number: Its number among the photos of all shards, from 0.
        file: The photo.
        name: Name of its results.
        reason: Why it was left out; None where it was not.
    """

    number: int
    file: str
    name: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A finished shard.

    Attributes:
        command: The command that it is of: predict, inspect or measure.
        index: Number of the shard, from 1.
        count: Number of the shards.
        photos: Number of the photos of all shards.
        digest: Hash of the names and sizes of all of them.
        model: Hash of the model's files.
        options: Everything that has to be the same in all shards.
        own: Its photos.
        versions: Of the software.
        notes: Everything else that the joined results tell.
        folder: Where its results lie.
    """

    command: str
    index: int
    count: int
    photos: int
    digest: str
    model: str
    options: dict[str, Any]
    own: list[OwnPhoto]
    versions: dict[str, str]
    notes: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def text(self) -> str:
        """The shard as it is written on the command line."""
        return f"{self.index}/{self.count}"


def write_manifest(
    out: Path,
    part: Part,
    *,
    command: str,
    model: str | Path,
    options: Mapping[str, Any],
    failures: Iterable[Failure],
    notes: Mapping[str, Any],
) -> None:
    """Write down that a shard is finished.

    Args:
        out: Folder of its results.
        part: Its photos.
        command: The command that it is of.
        model: The model.
        options: Everything that has to be the same in all shards; paths may differ between machines
            and are none of it.
        failures: Photos that were left out.
        notes: Everything else that the joined results tell.
    """
    reasons = {one.file: one.reason for one in failures}
    manifest = Manifest(
        command=command,
        index=part.shard.index,
        count=part.shard.count,
        photos=part.photos,
        digest=part.digest,
        model=model_digest(model),
        options=dict(options),
        own=[
            OwnPhoto(number=part.numbers[file], file=str(file), name=name, reason=reasons.get(file))
            for file, name in part.names.items()
        ],
        versions=versions(),
        notes=dict(notes),
    )
    fields = {name: value for name, value in asdict(manifest).items() if name != "folder"}
    with replacing(out / FILE) as temporary:
        text = json.dumps({"format": FORMAT} | fields)
        temporary.write_text(text + "\n", encoding="utf-8")


def begin_shard(out: Path) -> None:
    """Take back that a shard is finished, before it goes on."""
    (out / FILE).unlink(missing_ok=True)


def model_digest(model: str | Path) -> str:
    """Return a hash of everything that a model's results depend on."""
    digest = hashlib.sha256()
    for file in weight_files(model):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def read_shards(folders: Sequence[Path], commands: Sequence[str]) -> list[Manifest]:
    """Read the shards of a list of photos, in their order.

    Args:
        folders: The folders of their results.
        commands: Commands that they may be of.

    Raises:
        InputError: A folder holds no finished shard, a shard is missing or there twice, or they are
            of other photos, options or models.
    """
    found = [_read(folder) for folder in folders]
    first = found[0]
    if first.command not in commands:
        raise InputError(
            f"{first.folder} is of `fissura {first.command}`, which is not known here."
        )
    for one in found[1:]:
        _check_same(first, one)
    by_index: dict[int, Manifest] = {}
    for one in found:
        if one.index in by_index:
            other = by_index[one.index].folder
            raise InputError(f"{other} and {one.folder} are both shard {one.text}. Give one.")
        by_index[one.index] = one
    lacking = first.count - len(by_index)
    if lacking:
        every = (index for index in range(1, first.count + 1) if index not in by_index)
        missing = list(islice(every, NAMED))
        named = ", ".join(f"{index}/{first.count}" for index in missing)
        more = f" and {lacking - NAMED} more" if lacking > NAMED else ""
        one = lacking == 1
        raise InputError(
            f"Shard{'' if one else 's'} {named}{more} {'is' if one else 'are'} missing. Give "
            f"{'its folder' if one else 'their folders'} as well, or run the same command with "
            f"--shard {missing[0]}/{first.count} first."
        )
    in_order = [by_index[index] for index in sorted(by_index)]
    _check_photos(in_order)
    return in_order


def check_told(shards: Iterable[Manifest], options: type, notes: type) -> None:
    """Check what the shards of a command tell beside what all shards do.

    Args:
        shards: The shards.
        options: The `TypedDict` of the options that merging takes.
        notes: That of the notes.

    Raises:
        InputError: One tells something of another type.
    """
    for shard in shards:
        try:
            check_shape(shard.options, options, "options")
            check_shape(shard.notes, notes, "notes")
        except ValueError as error:
            raise _damaged(shard.folder / FILE, error) from error


def own_photos(shards: Iterable[Manifest]) -> list[tuple[OwnPhoto, Manifest]]:
    """Return the photos of all shards, each with its shard, in the order of one run."""
    photos = [(photo, shard) for shard in shards for photo in shard.own]
    return sorted(photos, key=lambda entry: entry[0].number)


def in_all(values: Sequence[Any]) -> Any:
    """Return what all shards say, such as the machine; where it differs, each of it once.

    >>> in_all([2, 2]), in_all(["2.15.0", "2.16.0", "2.15.0"])
    (2, '2.15.0; 2.16.0')
    """
    different = list(dict.fromkeys(map(str, values)))
    return values[0] if len(different) == 1 else "; ".join(different)


def versions_of_all(shards: Sequence[Manifest], console: Console) -> dict[str, str]:
    """Return the versions of the software that shards ran with, and say where they differ."""
    every = [shard.versions for shard in shards]
    for name in every[0]:
        if len({one.get(name) for one in every}) > 1:
            console.print(
                f"The shards ran with different versions of {name}; their results may differ by "
                "rounding.",
                style="yellow",
                soft_wrap=True,
            )
    return {name: in_all([one.get(name) for one in every]) for name in every[0]}


def join_files(
    shards: Iterable[Manifest], out: Path, output: OutputOptions, folders: Iterable[str] = ()
) -> None:
    """Bring masks, overlays and probabilities of all shards, and what else is asked for, together.

    A file is linked where both folders lie on one disk, and copied elsewhere. With `resume`, files
    that are there stay as they are: they may have been edited.

    Args:
        shards: The shards.
        out: The folder for all of them.
        output: What to do where a file is there.
        folders: Further folders of results.
    """
    for shard in shards:
        own = {photo.name for photo in shard.own}
        for kind in (MASKS, OVERLAYS, PROBABILITIES, *folders):
            for folder, _, names in os.walk(shard.folder / kind):
                for name in names:
                    file = Path(folder, name)
                    below = file.relative_to(shard.folder)
                    if UNFINISHED.fullmatch(name) or not _of(own, below):
                        continue
                    _join(file, out / below, replace=not output.resume)


def _of(own: set[str], below: Path) -> bool:
    """Whether a file is a result of a shard's photo, in a folder of results or one of a class."""
    parts = below.with_suffix("").parts
    return "/".join(parts[1:]) in own or "/".join(parts[2:]) in own


def _join(file: Path, place: Path, *, replace: bool) -> None:
    """Link or copy a file, whole or not at all."""
    if place.exists() and (not replace or place.samefile(file)):
        return
    with replacing(place) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(file, temporary)
        except OSError:  # another disk, or a file system without links
            shutil.copy2(file, temporary)


def _read(folder: Path) -> Manifest:
    """Read what a shard says of itself."""
    path = folder / FILE
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist. Give the folders of all shards.")
    if not path.is_file():
        raise InputError(
            f"{folder} holds no finished shard ({FILE}). If it was stopped, run its command again "
            "with --resume; if it is no shard, leave it out."
        )
    try:
        fields = read_json(path)
        check_shape(fields, dict)
        check_shape(version := fields.pop("format", None), int, "format")
        if version != FORMAT:
            raise InputError(
                f"{path} was written by another version of Fissura. Merge shards with the version "
                "that made them."
            )
        check_shape(fields, Manifest)
        own = [OwnPhoto(**photo) for photo in fields.pop("own")]
        manifest = Manifest(**fields, own=own, folder=folder)
        _check_numbers(manifest)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return manifest


def _check_numbers(manifest: Manifest) -> None:
    """Raise an error where a shard or a photo has a number that there is not."""
    if not 1 <= manifest.index <= manifest.count:
        raise ValueError(f"there is no shard {manifest.text}")
    for photo in manifest.own:
        if not 0 <= photo.number < manifest.photos:
            raise ValueError(f"{photo.file} is number {photo.number} of {manifest.photos} photos")


def _damaged(path: Path, error: Exception) -> InputError:
    """Say that what a shard says of itself cannot be used."""
    return InputError(
        f"{path} is damaged ({error}). Run the command of this shard again with --resume, and it "
        "is written anew."
    )


def _check_photos(shards: Iterable[Manifest]) -> None:
    """Raise `InputError` where two photos of all shards have one number or one name."""
    names: set[str] = set()
    numbers: set[int] = set()
    for photo, shard in own_photos(shards):
        if photo.number in numbers or photo.name in names:
            raise _damaged(
                shard.folder / FILE, ValueError(f"{photo.file} has the number or name of another")
            )
        names.add(photo.name)
        numbers.add(photo.number)


def _check_same(first: Manifest, one: Manifest) -> None:
    """Raise `InputError` where two shards are not of the same run."""
    both = f"{first.folder} and {one.folder}"
    if first.command != one.command:
        raise InputError(
            f"{both} are of different commands, `fissura {first.command}` and "
            f"`fissura {one.command}`. Shards of one of them can be merged."
        )
    if first.count != one.count:
        raise InputError(
            f"{both} are shards of different numbers, {first.text} and {one.text}. All shards of "
            "one run have the same number behind the slash."
        )
    if first.digest != one.digest:
        raise InputError(
            f"{both} saw different photos ({first.photos} and {one.photos}, by names and sizes). "
            "Run them again with --overwrite on photos that stay the same; write results outside "
            "of the folder of photos."
        )
    if first.model != one.model:
        raise InputError(f"{both} were made with different models. Run one of them again.")
    names = sorted({*first.options, *one.options})
    differing = [name for name in names if first.options.get(name) != one.options.get(name)]
    if differing:
        raise InputError(
            f"{both} were made with different options ({', '.join(differing)}). Run one of them "
            "again with those of the other."
        )
