"""`fissura check`: is a folder of photos and masks fit for training."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from fissura.checks.options import CheckOptions
from fissura.cli.options import INPUT_ERROR, Switch
from fissura.errors import InputError

DEFAULTS = CheckOptions()
FOUND = 1


def check(
    data: Path,
    *,
    out: Path | None = None,
    json: Switch = False,
    options: Annotated[
        CheckOptions, Parameter(name="*", group=Group("Options"), negative="")
    ] = DEFAULTS,
) -> int:
    """Check whether a folder of photos and masks is fit for training.

    Tells what would spoil a training or its metrics: files that cannot be used, copies and photos
    of one place on both sides of the split, masks that are off, turned, too wide or weak; and
    which options suit the set. Writes a page with samples (check.html) and the same for programs
    (check.json).

    The exit status is 0 where nothing serious was found, 1 where something was, and 2 where the
    folder cannot be used at all.

    Args:
        data: Folder with photos and masks, in any layout that training takes, or a file with
            annotations.
        out: Folder for the page. It must not exist yet. [default: check-DATA]
        json: Print check.json instead of sentences.
    """
    from fissura.checks.check import check as run
    from fissura.checks.page import level

    try:
        checked = run(data, options=options, out=out)
    except InputError as error:
        if not json:
            raise
        print(json_format.dumps({"format": 1, "data": str(data), "unusable": str(error)}))
        return INPUT_ERROR
    if json:
        print(json_format.dumps(checked.summary, indent=1))
        return FOUND if checked.serious else 0
    summary = checked.summary
    print(
        f"{summary['photos']} photos, {summary['crack_fraction']:.2%} "
        f"{'marked' if 'classes' in summary else 'crack'} pixels. Masks: "
        f"{summary['mask_rule']}. Layout: {summary['layout']}."
    )
    print("Split: " + ", ".join(f"{count} {part}" for part, count in summary["split"].items()))
    for name, one in summary.get("classes", {}).items():
        thick = "" if one["thickness_px"] is None else f", {one['thickness_px']:.0f} px thick"
        photos = ", ".join(f"{count} {part}" for part, count in one["photos"].items())
        print(f"{name}: {one['fraction']:.2%} of the pixels{thick}; on photos: {photos}")
    for pair, iou in summary.get("overlaps_iou", {}).items():
        print(f"{pair} overlap: IoU {iou:.2f}")
    for finding in checked.findings:
        print(f"- {level(finding)}, {finding.kind}: {finding.text} {finding.advice}".rstrip())
    if not checked.findings:
        print("Nothing was found that needs a look.")
    print(f"Train it with: {checked.command}")
    print(f"The page: {(checked.folder / 'check.html').absolute()}")
    return FOUND if checked.serious else 0
