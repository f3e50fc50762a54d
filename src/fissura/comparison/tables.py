"""A comparison as tables and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fissura.comparison.changes import Change
from fissura.comparison.comparison import Comparison, Pair
from fissura.comparison.folder import Inspected
from fissura.comparison.limits import GrowthLimits
from fissura.comparison.options import CompareOptions
from fissura.files import replacing
from fissura.files.failures import printable
from fissura.files.spreadsheet import spreadsheet
from fissura.version import __version__

LENGTHS = ("old_length", "new_length", "length", "length_error")
WIDTHS = ("old_width", "new_width", "width", "width_error")
# Names of the figures in tables: growth is what is new less what was.
TITLES = {
    "old_length": "length_old",
    "new_length": "length_new",
    "length": "growth",
    "length_error": "growth_error",
    "old_width": "width_old",
    "new_width": "width_new",
    "width": "width_growth",
    "width_error": "width_growth_error",
}
RATES = ("length", "length_error", "width", "width_error")
CHANGE_COLUMNS = [
    "photo_old",
    "photo_new",
    "change",
    "verdict",
    "cracks_old",
    "cracks_new",
    *(f"{TITLES[name]}_mm" for name in (*LENGTHS, *WIDTHS)),
    *(f"{TITLES[name]}_mm_per_year" for name in RATES),
    *(f"{TITLES[name]}_px" for name in (*LENGTHS, *WIDTHS)),
    "box_top",
    "box_left",
    "box_bottom",
    "box_right",
]
PAIR_COLUMNS = [
    "photo_old",
    "photo_new",
    "paired_by",
    "compared",
    "reasons",
    "new",
    "grown",
    "unchanged",
    "reduced",
    "closed",
    "unclear",
    "not_compared",
    "years",
    "day_old",
    "day_new",
    "inliers",
    "matches",
    "residual_px",
    "residual_mm",
    "position_error_px",
    "position_error_mm",
    "overlap_percent",
    "mm_per_pixel",
    "resolution_source",
]


def write_tables(out: Path, found: Comparison) -> None:
    """Write changes.csv, a line per change, and pairs.csv, a line per pair of photos.

    Lengths and widths are in the frame of the old photo. Photos without a partner, and those that
    could not be registered, are in pairs.csv, with the reason.
    """
    changes = (_change_row(pair, change) for pair in found.pairs for change in pair.changes)
    _write(out / "changes.csv", CHANGE_COLUMNS, changes)
    rows = [
        *(pair_row(pair) for pair in found.pairs),
        *(
            {"photo_new": printable(one.file.stem), "compared": "no", "reasons": one.reason}
            for one in found.refused
        ),
        *({"photo_old": name, "compared": "no", "reasons": ALONE} for name in found.only_old),
        *({"photo_new": name, "compared": "no", "reasons": ALONE} for name in found.only_new),
    ]
    _write(out / "pairs.csv", PAIR_COLUMNS, rows)


ALONE = "No photo of the other inspection has its name or looks like it."


def write_json(
    path: Path,
    found: Comparison,
    inspections: Sequence[Inspected],
    limits: GrowthLimits | None,
    options: CompareOptions,
    cautions: Sequence[str],
) -> None:
    """Write everything that a comparison found, for other programs; null where not known."""
    content = {
        "format": 1,
        "fissura": __version__,
        "old": str(inspections[0].folder),
        "new": str(inspections[1].folder),
        "options": {k: v for k, v in asdict(options).items() if k != "overwrite"},
        "limits": None if limits is None else limits.given(),
        "failing": found.failing,
        "undecided": found.undecided,
        "refused": [one.reason for one in found.refused],
        "only_old": found.only_old,
        "only_new": found.only_new,
        "cautions": [*cautions, *found.edited],
        "counts": found.counts,
        "pairs": [
            {
                **pair_row(pair),
                "homography_new_to_old": pair.registration.matrix.tolist(),
                "cautions": pair.cautions,
                "changes": [
                    {
                        **_change_row(pair, change),
                        "cracks_old": list(change.old),
                        "cracks_new": list(change.new),
                        "lines": {
                            kind: [line.round(2).tolist() for line in lines]
                            for kind, lines in change.lines.items()
                        },
                    }
                    for change in pair.changes
                ],
            }
            for pair in found.pairs
        ],
    }
    with replacing(path) as temporary:
        text = json.dumps(_finite(content), indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _finite(value: Any) -> Any:
    """Return a value with null in place of what is not a number."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def pair_row(pair: Pair) -> dict[str, Any]:
    """Return the row of a pair of photos."""
    registration, known = pair.registration, pair.mm_per_pixel
    return {
        "photo_old": pair.old,
        "photo_new": pair.new,
        "paired_by": pair.by,
        "compared": "yes",
        "reasons": " ".join([*pair.failures, *pair.undecided]),
        **{verdict.replace(" ", "_"): count for verdict, count in pair.counts.items()},
        "years": pair.years,
        "day_old": None if pair.old_day is None else pair.old_day.isoformat(),
        "day_new": None if pair.new_day is None else pair.new_day.isoformat(),
        "inliers": registration.inliers,
        "matches": registration.matches,
        "residual_px": registration.residual,
        "residual_mm": None if known is None else registration.residual * known,
        "position_error_px": registration.error,
        "position_error_mm": None if known is None else registration.error * known,
        "overlap_percent": 100 * registration.overlap,
        "mm_per_pixel": known,
        "resolution_source": pair.resolution_source,
    }


def _change_row(pair: Pair, change: Change) -> dict[str, Any]:
    """Return the row of a change."""
    row: dict[str, Any] = {
        "photo_old": pair.old,
        "photo_new": pair.new,
        "change": change.number,
        "verdict": change.verdict,
        "cracks_old": " ".join(map(str, change.old)),
        "cracks_new": " ".join(map(str, change.new)),
    }
    for name in (*LENGTHS, *WIDTHS):
        value = getattr(change, name)
        row[f"{TITLES[name]}_px"] = value
        if pair.mm_per_pixel is not None:
            row[f"{TITLES[name]}_mm"] = value * pair.mm_per_pixel
            if name in RATES:
                row[f"{TITLES[name]}_mm_per_year"] = pair.rate(value)
    sides = ("top", "left", "bottom", "right")
    return row | {
        f"box_{side}": float(value) for side, value in zip(sides, change.box, strict=True)
    }


def _write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file; what is not known is empty."""
    with spreadsheet(path) as write:
        write(columns)
        for row in rows:
            write([_cell(row.get(column)) for column in columns])


def _cell(value: Any) -> str:
    """Return the text of a cell."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.7g}" if isinstance(value, float) else str(value)
