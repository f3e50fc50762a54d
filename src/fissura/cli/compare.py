"""`fissura compare`: two inspections of one element, and what has changed between them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from fissura.cli.options import LIMITS_EXCEEDED, PHOTOS_FAILED
from fissura.comparison.options import CompareOptions
from fissura.files import free_folder

CompareGroup = Annotated[CompareOptions, Parameter(name="*", group=Group("Comparing"), negative="")]
COMPARE = CompareOptions()


def compare(
    old: Path,
    new: Path,
    /,
    *,
    out: Path | None = None,
    limits: Path | None = None,
    comparing: CompareGroup = COMPARE,
) -> int:
    """Compare two inspections of the same element: cracks new, grown, unchanged, closed.

    Photos are paired by name or by look and laid on one another; a pair that cannot be is refused
    with a sentence. Writes comparison.html with both photos under a slider, changes.csv, pairs.csv
    and comparison.json.

    The exit status is 0 where all is well, 3 where a crack exceeds the limits, 1 where photos could
    not be compared or rules not be judged, and 2 where nothing could be done.

    Args:
        old: Folder of results of `fissura inspect`, of the earlier photos.
        new: The same, of the later photos.
        out: Folder for the results. [default: comparison, or comparison-2 … where that exists]
        limits: YAML file with rules such as `max_growth_mm_per_year: 5`; see docs/compare.md.
    """
    from fissura.comparison.pipeline import compare as compare_inspections

    out = out or free_folder("comparison")
    found = compare_inspections(old, new, out, limits=limits, options=comparing)
    for sentence in found.sentences():
        print(sentence)
    print(f"{found.summary()}. The page is {found.page}.")
    if found.failing:
        return LIMITS_EXCEEDED
    return 0 if found.complete else PHOTOS_FAILED
