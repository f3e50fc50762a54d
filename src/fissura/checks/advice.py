"""`advise`: the options of a training that suit a set, with reasons."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fissura.checks.options import CheckOptions
from fissura.checks.survey import Survey
from fissura.losses import recommended_margin

FEW = 100  # training photos below which a training starts from a trained model
WHOLE = 512  # pixels of the longer side up to which photos of one size are not cropped


@dataclass(frozen=True)
class Advice:
    """An option of a training, and why.

    Attributes:
        about: What it is about, in a word.
        option: What to type, or "" where the default is right.
        reason: Why, in a sentence.
    """

    about: str
    option: str
    reason: str


def advise(found: Survey) -> list[Advice]:
    """Return the options of `fissura train` that suit a set, with reasons.

    Args:
        found: What a look at every photo and mask told.
    """
    looks = [
        look for look, part in zip(found.looks, found.planned, strict=True) if part == "train"
    ] or found.looks
    fraction = sum(look.crack for look in looks) / max(sum(look.valid for look in looks), 1)
    margin = recommended_margin(fraction)
    cracked = [look.thickness[1] for look in looks if look.thickness is not None]
    width = float(np.median(cracked)) if cracked else 0.0
    batches = len(looks) / 16
    return [
        Advice(
            "loss",
            "",
            "hybrid-focal-margin, the default, is made for cracks that are rare, "
            f"as here with {fraction:.2%} of the pixels.",
        ),
        Advice(
            "margin",
            "--margin auto" if margin != 0.5 else "",
            f"The paper's Fig. 3 recommends {margin:.2g} for this fraction"
            + (", which is the default." if margin == 0.5 else "; the default is 0.5."),
        ),
        _crop(found, width),
        _scale(width),
        Advice(
            "start",
            "--start fissura-general" if len(looks) < FEW else "",
            f"{len(looks)} training photos are few, and weights that know cracks need fewer."
            if len(looks) < FEW
            else "There are enough photos to start from nothing.",
        ),
        Advice(
            "batch",
            "--batch-size 4" if batches < 4 else "",
            "With 16 images to a batch an epoch would be "
            f"{max(1, round(batches))} {'step' if batches < 1.5 else 'steps'}; smaller batches "
            "learn more from an epoch."
            if batches < 4
            else "Batches of 16 suit this number.",
        ),
    ]


def command(data: Path, advices: list[Advice], options: CheckOptions, *, skip: bool) -> str:
    """Return the command that follows from advice.

    Args:
        data: The folder.
        advices: What `advise` returned.
        options: What was given to the check; training needs the same.
        skip: Whether files have to be skipped.
    """
    advised = [one.option for one in advices if one.option]
    skipping = ["--skip-bad"] if skip else []
    words = ["fissura train", shlex.quote(str(data)), *options.as_typed(), *advised, *skipping]
    return " ".join(words)


def _crop(found: Survey, width: float) -> Advice:
    """The size of random crops."""
    sizes = {look.size_hw for look in found.looks}
    longest, shortest = max(max(size) for size in sizes), min(min(size) for size in sizes)
    few = found.planned.count("train") < FEW
    if len(sizes) == 1 and 256 < longest <= WHOLE and few and width <= 24:
        return Advice(
            "crop",
            "--crop 256",
            "Crops of small photos make a shorter epoch, and each is another one.",
        )
    if len(sizes) == 1 and longest <= WHOLE:
        return Advice("crop", "", "Photos have one small size, and are taken whole.")
    if width > 24 and shortest >= WHOLE:
        return Advice(
            "crop",
            f"--crop {WHOLE}",
            f"Cracks are {width:.0f} pixels thick; larger crops show what is beside them.",
        )
    return Advice(
        "crop",
        "",
        f"Random crops of 256 pixels, the default: cracks of {width:.0f} "
        f"{'pixel' if round(width) == 1 else 'pixels'} need no more around them.",
    )


def _scale(width: float) -> Advice:
    """The size of the photos."""
    if width > 16:
        factor = 2 ** int(np.log2(width / 6))
        return Advice(
            "scale",
            "",
            f"Cracks are {width:.0f} pixels thick. Photos at 1/{factor} of the "
            "size would show them as well, and take "
            f"1/{factor**2} of the time.",
        )
    if 0 < width < 3:
        return Advice(
            "scale",
            "",
            f"Cracks are {width:.0f} {'pixel' if round(width) == 1 else 'pixels'} "
            "thick; photos must not be made smaller.",
        )
    return Advice(
        "scale", "", f"Cracks are {width:.0f} pixels thick: the photos' own size is right."
    )
