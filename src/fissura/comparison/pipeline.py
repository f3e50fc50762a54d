"""`fissura compare`: two folders of results in, tables and a page of what has changed out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.comparison.changes import find_changes
from fissura.comparison.comparison import Comparison, Pair
from fissura.comparison.features import Features, find_features
from fissura.comparison.folder import Inspected, day_of, open_inspection
from fissura.comparison.limits import GrowthLimits, judge_growth, read_growth_limits
from fissura.comparison.options import CompareOptions
from fissura.comparison.page import Page
from fissura.comparison.pairs import Paired, pair_photos
from fissura.comparison.registration import Registration
from fissura.comparison.tables import write_json, write_tables
from fissura.errors import InputError
from fissura.files import free_folder
from fissura.files.failures import Failure, failure, printable
from fissura.inspection.records.record import Record
from fissura.inspection.records.store import load_outline

DISAGREE = 0.05  # by which two resolutions may differ without a word
FINER = 1.4  # times as fine: such a photo shows cracks that the other one cannot
SHARED = ("model", "threshold", "scale", "tta", "measuring")  # settings that should agree


def compare(
    old: str | Path,
    new: str | Path,
    out: str | Path | None = None,
    *,
    limits: str | Path | None = None,
    options: CompareOptions | None = None,
) -> Comparison:
    """Compare two inspections of the same element: which cracks are new, grown, unchanged, closed.

    Photos are paired by name or by look and registered (see
    `fissura.comparison.registration.register`), their cracks matched in the old photo's frame (see
    `fissura.comparison.changes.find_changes`). Written below `out`: comparison.html with both
    photos under a slider, changes.csv (a line per change), pairs.csv (a line per pair of photos)
    and comparison.json with everything.

    A pair that cannot be registered is refused with a sentence; the others go on.

    Args:
        old: Folder of results of `fissura inspect`, of the earlier photos.
        new: The same, of the later photos.
        out: Folder for the results; by default comparison, or comparison-2 … where that exists.
        limits: YAML file with rules of `fissura.comparison.limits.RULES`.
        options: How they are compared.

    Raises:
        InputError: A folder holds no inspection, a rule is not known, `out` is not empty, or no
            pair of photos could be registered.
    """
    options = options or CompareOptions()
    rules = read_growth_limits(Path(limits)) if limits is not None else None
    before, after = open_inspection(Path(old)), open_inspection(Path(new))
    out = Path(out) if out is not None else free_folder("comparison")
    _claim(out, options, (before.folder, after.folder))
    refused: list[Failure] = []
    looks = [_looks(inspected, refused) for inspected in (before, after)]
    paired, only_old, only_new = pair_photos(*looks)
    page = Page(out / "comparison.html", len(paired))
    pairs: list[Pair] = []
    for two in paired:
        if isinstance(two.registration, str):
            refused.append(_refusal(two, before, after))
            continue
        records = before.record(two.old), after.record(two.new)
        pair = _compared(two, two.registration, records, (before, after), rules, options)
        pairs.append(pair)
        page.add(pair, *records)
    if not pairs:
        told = [refusal.reason for refusal in refused] or ["No photo looks like another one."]
        raise InputError(
            f"No photo of {after.folder} could be laid on one of {before.folder}. {told[0]}"
        )
    found = Comparison(
        out=out,
        page=page.path,
        pairs=pairs,
        refused=refused,
        only_old=[printable(name) for name in only_old],
        only_new=[printable(name) for name in only_new],
        failing=[sentence for pair in pairs for sentence in pair.failures],
        undecided=[sentence for pair in pairs for sentence in pair.undecided],
        edited=[*before.edited(), *after.edited()],
    )
    cautions = list(_cautions(before, after))
    write_tables(out, found)
    write_json(out / "comparison.json", found, (before, after), rules, options, cautions)
    page.write(found, (before, after), rules, options, cautions)
    return found


def _claim(out: Path, options: CompareOptions, folders: tuple[Path, Path]) -> None:
    """Raise `InputError` where the results cannot or should not be written."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Give a folder for the results.")
    if out.resolve() in [folder.resolve() for folder in folders]:
        raise InputError(f"{out} holds an inspection. Give another folder for the comparison.")
    if out.is_dir() and any(out.iterdir()) and not options.overwrite:
        raise InputError(
            f"{out} is not empty. Give a new folder, or use --overwrite to replace the comparison "
            "there."
        )
    out.mkdir(parents=True, exist_ok=True)


def _looks(inspected: Inspected, refused: list[Failure]) -> dict:
    """Return for each photo a function that finds its features once; damaged ones are refused."""

    def look(name: str) -> tuple[Features, tuple[int, int]]:
        record = inspected.record(name)
        return find_features(record.preview, record.preview_scale), record.size_hw

    looks = {}
    for name, file in inspected.files.items():
        try:
            load_outline(file)
            inspected.record(name)
        except InputError as error:
            refused.append(failure(file, error))
            continue
        looks[name] = cache(lambda name=name: look(name))
    return looks


def _refusal(two: Paired, before: Inspected, after: Inspected) -> Failure:
    """Say that two photos of one name could not be registered."""
    file = after.files[two.new]
    return Failure(
        file,
        f"{printable(two.new)}: the photo of {printable(after.folder)} cannot be laid on that of "
        f"{printable(before.folder)}. {two.registration} Are they of the same element, from a "
        "similar side?",
    )


def _compared(
    two: Paired,
    registration: Registration,
    records: tuple[Record, Record],
    inspections: tuple[Inspected, Inspected],
    limits: GrowthLimits | None,
    options: CompareOptions,
) -> Pair:
    """Compare two registered photos."""
    old, new = records
    resolution, source, cautions = _resolution(old, new, registration)
    days = [
        day or day_of(record) for day, record in zip(options.days, records, strict=True)
    ]  # fmt: skip
    least = max(inspections[0].least_length, inspections[1].least_length * registration.scale)
    pair = Pair(
        old=printable(two.old),
        new=printable(two.new),
        by=two.by,
        registration=registration,
        mm_per_pixel=resolution,
        resolution_source=source,
        old_day=days[0],
        new_day=days[1],
        changes=find_changes(
            old.cracks, new.cracks, registration, options, least, _flat(old, new, registration)
        ),
        cautions=[*cautions, *_of_days(days)],
    )
    if limits is not None:
        failures, undecided = judge_growth(limits, pair, options.sigmas)
        pair.failures.extend(failures)
        pair.undecided.extend(undecided)
    return pair


def _resolution(
    old: Record, new: Record, registration: Registration
) -> tuple[float | None, str, list[str]]:
    """Return millimeters per pixel of the old photo, from where, and what is doubtful about it."""
    cautions = []
    if registration.scale > FINER or registration.scale < 1 / FINER:
        finer, other = ("new", "old") if registration.scale < 1 else ("old", "new")
        times = max(registration.scale, 1 / registration.scale)
        cautions.append(
            f"The {finer} photo is {times:.1f} times as fine as the {other} one: cracks finer than "
            f"a pixel or two of the {other} photo may be "
            f"{'new' if finer == 'new' else 'closed'} for that reason alone."
        )
    middle = np.array([old.size_hw], np.float64) / 2
    there = _at(new, registration.to_new(middle))
    by_new = None if there is None else there / registration.scale
    if old.mm_per_pixel is None:
        source = "unknown" if by_new is None else "that of the new photo, by the registration"
        return by_new if new.perspective is None else new.mm_per_pixel, source, cautions
    here = _at(old, middle)
    assert here is not None
    if by_new is not None and abs(by_new / here - 1) > DISAGREE:
        cautions.append(
            f"The resolutions disagree: {here:.4g} mm per pixel of the old photo are "
            f"given, and {by_new:.4g} follow from that of the new photo and the registration. The "
            "former is used; all millimeters are wrong if it is."
        )
    return old.mm_per_pixel, old.resolution_source, cautions


def _at(record: Record, point: NDArray[np.float64]) -> float | None:
    """Return the millimeters per pixel of a photo at a point (1, 2), row and column."""
    if record.perspective is None:
        return record.mm_per_pixel
    return float(record.perspective.mm_per_pixel(point)[0])


def _flat(
    old: Record, new: Record, registration: Registration
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
    """Return what turns points of the old photo into those of its slanted surface.

    Where only the new photo's perspective is known, and no resolution of the old one, it is that.
    """
    if old.perspective is not None and old.mm_per_pixel is not None:
        own, side = old.perspective, old.mm_per_pixel
        return lambda points: own.to_mm(points)[:, ::-1] / side
    if old.mm_per_pixel is None and new.perspective is not None and new.mm_per_pixel is not None:
        other, side = new.perspective, new.mm_per_pixel
        return lambda points: other.to_mm(registration.to_new(points))[:, ::-1] / side
    return None


def _of_days(days: list[date | None]) -> Iterator[str]:
    """Say where the new photo is not the later one."""
    old, new = days
    if old and new and new <= old:
        yield (
            f"The new photo ({new}) is not later than the old one ({old}), by their dates: growth "
            "a year is not given."
        )


def _cautions(before: Inspected, after: Inspected) -> Iterator[str]:
    """Say which settings of two inspections differ that their cracks depend on."""
    differing = [name for name in SHARED if before.settings.get(name) != after.settings.get(name)]
    if differing:
        yield (
            f"The two inspections were made with different settings ({', '.join(differing)}), so "
            "that part of the changes may be theirs. Inspect both alike to know."
        )
