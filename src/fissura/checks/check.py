"""`check`: is a folder of photos and masks fit for training, and with which options."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fissura.checks.advice import Advice, advise, command
from fissura.checks.classes import amounts, overlaps
from fissura.checks.finding import Finding
from fissura.checks.judge import judge
from fissura.checks.options import CheckOptions
from fissura.checks.page import page
from fissura.checks.survey import Survey, survey
from fissura.errors import InputError
from fissura.files import free_folder, replacing
from fissura.html.pages import ENCODING, ERRORS
from fissura.version import __version__

DEFAULTS = CheckOptions()
SERIOUS = 1.0  # weight from which a finding counts for the exit status


@dataclass(frozen=True)
class Checked:
    """The result of a check.

    Attributes:
        folder: Folder that holds check.html and check.json.
        findings: What the owner of the set should know, the weightiest first.
        advice: Options of a training, with reasons.
        command: The training that follows from them.
        summary: The content of check.json.
    """

    folder: Path
    findings: list[Finding]
    advice: list[Advice]
    command: str
    summary: dict[str, Any]

    @property
    def serious(self) -> list[Finding]:
        """The findings that need a look before training."""
        return [finding for finding in self.findings if finding.weight >= SERIOUS]


def check(
    data: str | Path, *, options: CheckOptions = DEFAULTS, out: str | Path | None = None
) -> Checked:
    """Check whether a folder of photos and masks is fit for training, and write a page about it.

    Every photo and mask is read once: pairs, sizes, how masks are understood, crack pixels and
    their thickness, copies and photos of one place and how the split would treat them, masks that
    are off, turned, too wide or weak. docs/checking.md tells how each is found, and how often that
    is wrong.

    Args:
        data: Folder in any layout that training takes, or a file with annotations.
        options: How masks are read and how training would split.
        out: Folder for the page, new or empty; check-DATA unless given, with a number where that
            exists.

    Returns:
        The findings, the advice, and the folder of the page.

    Raises:
        InputError: There are no pairs, it is unclear which pixels are crack, or `out` holds
            anything already.
    """
    began = time.perf_counter()
    data = Path(data)
    folder = free_folder(f"check-{data.resolve().name}") if out is None else Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists already and is never overwritten. Choose another --out.")
    found = survey(data, options)
    findings, advice = judge(found), advise(found)
    typed = command(data, advice, options, skip=bool(found.skipped))
    text = page(data.resolve().name, found, findings, advice, typed, found.reader(options))
    summary = summarize(data, found, findings, advice) | {"command": typed}
    summary["seconds"] = round(time.perf_counter() - began, 2)
    with replacing(folder / "check.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=1) + "\n", ENCODING, ERRORS)
    with replacing(folder / "check.html") as temporary:
        temporary.write_text(text, ENCODING, ERRORS)
    return Checked(folder, findings, advice, typed, summary)


def summarize(
    data: Path, found: Survey, findings: list[Finding], advice: list[Advice]
) -> dict[str, Any]:
    """Return a check as JSON holds it.

    Args:
        data: The folder.
        found: What a look at every photo and mask told.
        findings: What follows from it.
        advice: Options of a training.
    """
    looks = found.looks
    thick = [look.thickness[1] for look in looks if look.thickness is not None]
    pixels = sum(look.valid for look in looks)
    fractions = [look.fraction for look in looks]
    return {
        "format": 1,
        "data": str(data),
        "layout": found.folder.described(),
        "mask_rule": found.mask_rule,
        "photos": len(looks),
        "crack_fraction": sum(look.crack for look in looks) / max(pixels, 1),
        "crack_fraction_percentiles": _percentiles(fractions),
        "thickness_percentiles_px": _percentiles(thick),
        **_by_class(found),
        "stored_as": found.modes,
        "split": {part: found.planned.count(part) for part in ("train", "val", "test")},
        "split_rule": found.plan,
        "findings": [finding.record() for finding in findings],
        "advice": [asdict(one) for one in advice],
        "skipped": [{"file": str(bad.file), "reason": bad.reason} for bad in found.skipped],
        "unread": found.unread,
        "images": [
            {
                "name": look.name,
                "part": part,
                "height": look.size_hw[0],
                "width": look.size_hw[1],
                "crack_fraction": look.fraction,
                "thickness_px": look.thickness[1] if look.thickness else None,
                "fit": look.fit.here if look.fit else None,
                "best_shift_px": list(look.fit.shift) if look.fit else None,
                "too_wide_px": look.wide,
                "unmarked_lines": look.unmarked,
            }
            for look, part in zip(looks, found.planned, strict=True)
        ],
        "versions": {"fissura": __version__},
    }


def _by_class(found: Survey) -> dict[str, Any]:
    """How much of each class there is, and what overlaps; nothing of crack or not."""
    if not found.labels.classes:
        return {}
    told = amounts(found.looks, found.planned, found.labels)
    return {
        "classes": {
            one.name: {
                "fraction": one.fraction,
                "photos": one.photos,
                "thickness_px": one.thickness,
            }
            for one in told
        },
        "overlaps_iou": {
            f"{one} ~ {other}": iou
            for (one, other), iou in overlaps(found.looks, found.labels).items()
        },
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    """Percentiles 5, 25, 50, 75 and 95; none of no values."""
    if not values:
        return {}
    levels = (5, 25, 50, 75, 95)
    return {
        str(level): float(value)
        for level, value in zip(levels, np.percentile(values, levels), strict=True)
    }
