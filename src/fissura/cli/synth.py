"""`fissura synth`: a data set of drawn panels with exact masks."""

from __future__ import annotations

import sys
from pathlib import Path


def synth(
    out: Path,
    *,
    count: int = 200,
    size_hw: tuple[int, int] = (128, 128),
    crack_fraction: float = 0.0315,
    test_fraction: float = 0.25,
    seed: int = 0,
    classes: str | None = None,
) -> int:
    """Draw a data set of cracked industrial panels, with masks that are exact.

    Args:
        out: Folder to make. It must not exist yet.
        count: Number of images.
        size_hw: Height and width of each, in pixels.
        crack_fraction: Mean fraction of crack pixels, 0 to 0.2.
        test_fraction: Fraction of the images that goes into the test set.
        seed: The same seed and options draw the same images.
        classes: Names with commas between them, crack and kinds of marks (seam, stain, print, screw
            …): the masks then tell these classes apart by their values, 1, 2 and so on.
    """
    from fissura.data.synthetic.dataset import synth as run

    summary = run(
        out,
        count=count,
        size_hw=size_hw,
        crack_fraction=crack_fraction,
        test_fraction=test_fraction,
        seed=seed,
        classes=classes,
        progress=sys.stderr.isatty(),
    )
    images = "1 image" if summary.train == 1 else f"{summary.train} images"
    print(
        f"{summary.folder} has {images} to train on and {summary.test} to test on; "
        f"{summary.crack_fraction:.2%} of their pixels are crack."
    )
    return 0
