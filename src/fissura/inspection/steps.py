"""What is to be done with each photo: nothing, the model's way, or that of a corrected mask.

A record holds the hashes of the photo and of the mask that it was made of. Where either is another
one now, its numbers are old, and the photo is measured anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.files import replacing
from fissura.inspection.photos.given_masks import GivenMask, mask_in_place
from fissura.inspection.photos.masks import sha256
from fissura.inspection.records.corrections import Correction, Found
from fissura.inspection.records.store import (
    MEASURED,
    MODEL_FOUND,
    SETTINGS,
    load_outline,
    load_record,
    read_settings,
)

HASHED = 2**28  # bytes; of larger photos size and time of change stand for the content


@dataclass(frozen=True)
class Step:
    """A photo to measure.

    Attributes:
        file: The photo.
        name: Name of its results.
        mask: The corrected mask, or None for the model's way.
    """

    file: Path
    name: str
    mask: GivenMask | None = None


@dataclass
class Steps:
    """All photos to measure, and what was noticed on the way.

    Attributes:
        steps: The photos that have no record, or an old one.
        said: What was noticed, in sentences.
        missing: Sentences on masks that are missing, or that were changed where nothing is
            corrected; the measurements are those of before.
    """

    steps: list[Step] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def record_file(out: Path, name: str) -> Path:
    """Return the file of a photo's record."""
    return out / MEASURED / f"{name}.npz"


def found_file(out: Path, name: str) -> Path:
    """Return the file of what the model found on a photo whose mask was corrected."""
    return out / MODEL_FOUND / f"{name}.npz"


def photo_digest(file: Path) -> str:
    """Return what tells whether a photo is still the same."""
    status = file.stat()
    if status.st_size <= HASHED:
        return sha256(file)
    return f"{status.st_size} bytes, {status.st_mtime_ns}"


def plan(
    out: Path,
    names: Mapping[Path, str],
    masks: Mapping[Path, GivenMask],
    *,
    asked: Mapping[Path, str] | None = None,
    corrections: bool = True,
) -> Steps:
    """Decide for each photo what is to be done.

    Args:
        out: Folder of the results.
        names: Photos, and the names of their results.
        masks: Corrected masks that were given, by photo.
        asked: What the resolution of photos that have their own follows from.
        corrections: Whether edited masks are measured; or else they are named.
    """
    steps = Steps()
    for file, name in names.items():
        record, given = record_file(out, name), masks.get(file)
        if not record.is_file():
            steps.steps.append(Step(file, name, given))
            continue
        try:
            _, fields = load_outline(record)
        except InputError:
            continue  # it is named when its record is read
        scale = "" if asked is None else asked.get(file, "")
        if fields.get("resolution_asked", "") != scale:
            steps.said.append(f"{file} has another resolution now: measured anew.")
            own = given is None and fields.get("correction") is not None
            mask = _own(out / fields["files"]["mask"], fields) if own else given
            steps.steps.append(Step(file, name, mask))
            continue
        _plan_known(steps, Step(file, name, given), fields, out, corrections)
    return steps


def _plan_known(
    steps: Steps, step: Step, fields: dict[str, Any], out: Path, corrections: bool
) -> None:
    """Decide what is to be done with a photo that has a record."""
    stored = fields.get("correction")
    before = None if stored is None else Correction.from_fields(stored)
    mask, record = out / fields["files"]["mask"], record_file(out, step.name)
    known = fields.get("photo_digest")
    edited = mask.is_file() and fields["mask_sha256"] != sha256(mask)
    others = step.mask is not None and step.mask.digest != (before.given if before else "")
    if edited and others:
        assert step.mask is not None
        raise InputError(
            f"{mask} was edited, and {step.mask.words} gives another mask of the same photo. "
            "Move one of them away."
        )
    if edited and not corrections:
        steps.missing.append(
            f"{mask} was changed after it had been measured; the measurements are those of the "
            f"mask before. To measure the changed one: fissura measure {mask} --kind mask "
            f"--out OTHER_FOLDER. To have the mask before again, delete {record} and use --resume."
        )
    elif known is not None and step.file.is_file() and known != photo_digest(step.file):
        steps.said.append(f"{step.file} was changed after it had been inspected: measured anew.")
        if before is None and not edited and step.mask is None:
            steps.steps.append(step)
            return
        steps.steps.append(Step(step.file, step.name, step.mask or _own(mask, fields)))
    elif edited:
        steps.said.append(f"{mask} was edited: its cracks are measured anew.")
        steps.steps.append(Step(step.file, step.name, _own(mask, fields)))
    elif others:
        steps.steps.append(step)
    elif not mask.is_file():
        steps.missing.append(
            f"{mask} is missing; the measurements are those of the mask that was there. To have "
            f"the model's mask again, delete {record} and use --resume."
        )


def _own(mask: Path, fields: dict[str, Any]) -> GivenMask:
    """Return a photo's mask in the folder of results."""
    return mask_in_place(mask, fields["files"]["mask"])


class Earlier:
    """What the model found on photos, in this folder of results or in an earlier one.

    Args:
        out: Folder of the results.
        previous: Folder of an earlier inspection, or None.

    Raises:
        InputError: The earlier folder is none of an inspection.
    """

    def __init__(self, out: Path, previous: Path | None) -> None:
        self.out, self.previous = out, previous
        self._by_photo: dict[Path, Path] = {}
        if previous is None:
            return
        if not (previous / SETTINGS).is_file():
            raise InputError(f"{previous} holds no results of `fissura inspect` ({SETTINGS}).")
        for record in sorted((previous / MEASURED).rglob("*.npz")):
            try:
                _, fields = load_outline(record)
            except InputError:
                continue
            self._by_photo[Path(fields["file"]).absolute()] = record

    def found(self, file: Path, name: str) -> Found | None:
        """Return what the model found on a photo; it is kept below `found` from now on."""
        own = found_file(self.out, name)
        if not own.is_file():
            source = self._source(file, name)
            if source is None:
                return None
            with replacing(own) as temporary:
                shutil.copyfile(source[0], temporary)
            settings = source[1]
        else:
            settings = self.out
        record = load_record(own)
        measuring = read_settings(settings / SETTINGS).get("measuring", {})
        return Found(record.cracks, record.runs, measuring, record.specks)

    def _source(self, file: Path, name: str) -> tuple[Path, Path] | None:
        """Return the record of what the model found, and the folder of results it is from."""
        candidates = [(record_file(self.out, name), self.out)]
        if self.previous is not None and file.absolute() in self._by_photo:
            record = self._by_photo[file.absolute()]
            below = record.relative_to(self.previous / MEASURED)
            candidates += [
                (self.previous / MODEL_FOUND / below, self.previous),
                (record, self.previous),
            ]
        for record, folder in candidates:
            if record.is_file():
                _, fields = load_outline(record)
                if fields.get("correction") is None:
                    return record, folder
        return None
