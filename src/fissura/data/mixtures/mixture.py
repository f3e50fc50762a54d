"""A mixture of sets, in a YAML file: which folders, which fraction of the crops, which terms.

Sets are folders of images with masks, folders of images without cracks, and cracks drawn on the
latter. Crops are drawn as they are needed (`fissura.data.mixtures.crops`), from images in memory.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fissura.data.mixtures.crops import SPREAD
from fissura.errors import InputError
from fissura.files.documents import read_yaml


@dataclass(frozen=True, kw_only=True)
class MixtureSet:
    """One set of a mixture; the names are those of the YAML file.

    Attributes:
        fraction: Of the crops; those of all sets add up to 1.
        terms: Under which its images may be used, in words.
        commercial: Whether these permit a model that is used commercially.
        folder: Its folder below the mixture's root; None for drawn cracks.
        split: Which split of the folder: "train", "val", "test", or "all" for everything.
        exclude: Regular expression; names in which it is found are left out.
        crack_free: Whether its images have no cracks, and no masks.
        backgrounds: Crack-free sets whose images cracks are drawn on; for drawn cracks alone.
        group: Regular expression; names that agree in what it captures show one thing. None makes
            each image its own group, and so does a name without a match.
        block: Captured numbers within the same so many are one group.
        validation: Fraction of the groups, or number of drawn images, kept out of the training.
        cite: Whom to name.
    """

    fraction: float
    terms: str
    commercial: bool
    folder: str | None = None
    split: str = "all"
    exclude: str | None = None
    crack_free: bool = False
    backgrounds: tuple[str, ...] = ()
    group: str | None = None
    block: int | None = None
    validation: float = 0.0
    cite: str = ""

    def takes(self, name: str) -> bool:
        """Return whether an image of this name, without folder and suffix, is not excluded."""
        return self.exclude is None or re.search(self.exclude, name) is None

    def group_of(self, name: str) -> str:
        """Return the group of an image by its name without folder and suffix.

        >>> tiles = {"group": "slide([0-9]+)", "block": 60}
        >>> tiles = MixtureSet(fraction=1, terms="CC0", commercial=True, **tiles)
        >>> tiles.group_of("slide59"), tiles.group_of("slide60")
        ('0', '1')
        """
        found = re.search(self.group, name) if self.group else None
        if found is None:
            return name
        if self.block is None:
            return found[1]
        if not re.fullmatch("[0-9]+", found[1] or ""):
            raise InputError(
                f"`group` ({self.group}) captures {found[1]!r} in the name {name}, and `block` "
                "needs a number there."
            )
        return str(int(found[1]) // self.block)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """What a mixture file says.

    Attributes:
        file: The file.
        name: Of the mixture.
        root: Folder that the sets' folders are below.
        crops: Crops that make an epoch.
        seed: Of the groups that are kept out for validation.
        sets: By name.
        scale_spread: Standard deviation of log2 of the scale of the crops; 0 takes all photos at
            their own scale.
    """

    file: Path
    name: str
    root: Path
    crops: int
    sets: dict[str, MixtureSet]
    seed: int = 0
    scale_spread: float = SPREAD

    @property
    def terms(self) -> str | None:
        """The terms of a model that is trained on this mixture, where they restrict its use.

        The rule: a set whose terms do not permit commercial use makes the model's use
        non-commercial.
        """
        barring = [name for name, one in self.sets.items() if not one.commercial]
        if not barring:
            return None
        return f"for non-commercial research and education only (trained on {', '.join(barring)})"

    @property
    def credits(self) -> dict[str, str]:
        """Terms, and whom to name, by set, for a model's card."""
        return {
            name: one.terms + (f"; cite {one.cite}" if one.cite else "")
            for name, one in self.sets.items()
        }

    @property
    def description(self) -> dict[str, Any]:
        """Everything that the training depends on, without places on this machine."""
        own = {} if self.scale_spread == SPREAD else {"scale_spread": self.scale_spread}
        return {"crops": self.crops, "seed": self.seed, **own} | {
            name: _without_defaults(asdict(one)) for name, one in self.sets.items()
        }

    def fingerprint(self, names: list[str]) -> str:
        """SHA-256 of what the mixture says and of the names of its images."""
        text = json.dumps([self.description, names], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _without_defaults(entries: dict[str, Any]) -> dict[str, Any]:
    """Entries of a set without those that came later, so that fingerprints of before still hold."""
    later = {"split": "all", "exclude": None}
    return {name: value for name, value in entries.items() if value != later.get(name, ...)}


@dataclass(frozen=True)
class _Entries:
    """The entries at the top of a mixture file."""

    name: str
    sets: dict[str, Any]
    root: str = "."
    crops: int = 2400
    seed: int = 0
    scale_spread: float = SPREAD
    unknown: dict[str, Any] = field(default_factory=dict)


def is_mixture(data: Path) -> bool:
    """Return whether a path is a mixture file and not a folder of images."""
    return data.suffix.lower() in (".yaml", ".yml") and data.is_file()


def read_mixture(file: Path) -> Mixture:
    """Read and check a mixture file.

    Args:
        file: A YAML file like `recipes/general.yaml`.

    Raises:
        InputError: It cannot be read, an entry is missing, unknown or of another type, or the
            fractions do not add up to 1.
    """
    try:
        read = read_yaml(file)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read as YAML: {' '.join(str(error).split())}."
        ) from error
    if not isinstance(read, dict) or not isinstance(read.get("sets"), dict) or not read["sets"]:
        raise InputError(
            f"{file} is not a mixture: it must have entries `name` and `sets`, as "
            "recipes/general.yaml has."
        )
    known = {entry.name for entry in fields(_Entries)} - {"unknown"}
    if unknown := sorted(map(str, read.keys() - known)):
        raise InputError(f"{file} has unknown entries: {', '.join(unknown)}.")
    entries = _Entries(**{"name": file.stem, **read})
    _check_entries(file, entries)
    sets = {str(name): _read_set(file, str(name), value) for name, value in entries.sets.items()}
    total = sum(one.fraction for one in sets.values())
    if abs(total - 1) > 1e-6:
        raise InputError(f"{file}: the fractions of the sets add up to {total:g}, but must to 1.")
    for name, one in sets.items():
        for background in one.backgrounds:
            if background not in sets or not sets[background].crack_free:
                raise InputError(
                    f"{file}: {name} draws on {background!r}, which is no set with "
                    "`crack_free: true` in this file."
                )
    spread = entries.scale_spread
    if isinstance(spread, bool) or not isinstance(spread, int | float) or not 0 <= spread <= 2:
        raise InputError(f"{file}: `scale_spread` is {spread}; it must be a number from 0 to 2.")
    root = (file.parent / entries.root).resolve()
    return Mixture(
        file=file,
        name=entries.name,
        root=root,
        crops=entries.crops,
        seed=entries.seed,
        sets=sets,
        scale_spread=float(spread),
    )


def _read_set(file: Path, name: str, value: Any) -> MixtureSet:
    """Read one set, or say what is wrong with it."""
    if not isinstance(value, dict):
        raise InputError(f"{file}: {name} must have entries such as `folder` and `fraction`.")
    known = {entry.name: entry for entry in fields(MixtureSet)}
    if unknown := sorted(map(str, value.keys() - known.keys())):
        raise InputError(f"{file}: {name} has unknown entries: {', '.join(unknown)}.")
    if missing := sorted({"fraction", "terms", "commercial"} - value.keys()):
        raise InputError(f"{file}: {name} lacks {', '.join(missing)}.")
    values: dict[str, Any] = dict(value)
    if not isinstance(values.get("backgrounds", []), list | tuple):
        raise InputError(f"{file}: `backgrounds` of {name} must be a list of names of sets.")
    values["backgrounds"] = tuple(values.get("backgrounds", ()))
    if not isinstance(values["commercial"], bool):
        raise InputError(f"{file}: `commercial` of {name} must be true or false.")
    fraction = values["fraction"]
    if not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        raise InputError(f"{file}: `fraction` of {name} must be a number from 0 to 1.")
    _check_set(file, name, values)
    one = MixtureSet(**values)
    if (one.folder is None) == (not one.backgrounds):
        raise InputError(f"{file}: {name} must have either `folder` or `backgrounds`.")
    return one


def _check_entries(file: Path, entries: _Entries) -> None:
    """Raise `InputError` where an entry at the top has another type."""
    for name in ("crops", "seed"):
        value = getattr(entries, name)
        if type(value) is not int or value < 0:
            raise InputError(f"{file}: `{name}` is {value!r}; it must be a whole number.")
    for name in ("name", "root"):
        if not isinstance(value := getattr(entries, name), str) or "\0" in value:
            raise InputError(f"{file}: `{name}` is {value!r}; it must be a text.")


def _check_set(file: Path, name: str, values: dict[str, Any]) -> None:
    """Raise `InputError` where an entry of a set has another type, or is no pattern."""
    for entry in ("terms", "cite", "split", "folder", "exclude", "group"):
        value = values.get(entry)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{file}: `{entry}` of {name} is {value!r}; it must be a text.")
    if not all(isinstance(one, str) for one in values["backgrounds"]):
        raise InputError(f"{file}: `backgrounds` of {name} must be names of sets.")
    for entry, groups in (("exclude", 0), ("group", 1)):
        try:
            found = re.compile(values.get(entry) or "()").groups
        except (re.error, RecursionError, OverflowError) as error:
            raise InputError(f"{file}: `{entry}` of {name} is no pattern ({error}).") from error
        if found < groups:
            raise InputError(f"{file}: `{entry}` of {name} must capture something, with ( and ).")
    block = values.get("block")
    if block is not None and (type(block) is not int or block < 1):
        raise InputError(f"{file}: `block` of {name} is {block!r}; it must be a number from 1.")
    kept = values.get("validation", 0.0)
    if isinstance(kept, bool) or not isinstance(kept, int | float) or not 0 <= kept < float("inf"):
        raise InputError(f"{file}: `validation` of {name} is {kept!r}; it must be a number from 0.")
