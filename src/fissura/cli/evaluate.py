"""`fissura evaluate`: a report on how well a model finds the cracks of labeled photos."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fissura.cli.options import Switch
from fissura.inference.options import Precision
from fissura.training.config import ProtocolName


def evaluate(
    model: Path,
    data: Path,
    *,
    split: Literal["test", "val", "train", "all"] = "test",
    protocol: ProtocolName | None = None,
    threshold: float | None = None,
    tolerance: float = 2.0,
    bootstrap: int = 1000,
    seed: int = 0,
    tta: Switch = False,
    out: Path | None = None,
    skip_bad: Switch = False,
    device: str = "auto",
    precision: Precision = "auto",
) -> int:
    """Tell how well a model finds the cracks of photos whose masks are known.

    Writes a report to read (report.html) and the same figures for programs (report.json). Nothing
    is chosen on these photos: the figures hold for the threshold 0.5, and for the one that training
    chose on its own validation images.

    Args:
        model: Run folder that `fissura train` wrote.
        data: Folder with photos and masks, in any layout that training takes.
        split: Which photos. A folder without test and train photos is divided as in training.
        protocol: How photos become images. [default: as in training; native judges whole photos]
        threshold: Probability from which a pixel counts as crack. [default: the model's]
        tolerance: Pixels by which a crack may be off in the tolerant figures.
        bootstrap: Resamples behind the 95 % intervals.
        seed: Seed of these resamples.
        tta: Average over flips and turns: eight times the work.
        out: Folder for the report. It must not exist yet. [default: MODEL/evaluation-DATA-SPLIT]
        skip_bad: Go on without files that cannot be used; the report lists them.
        device: Where to compute: auto, cpu, cuda or mps.
        precision: Arithmetic of the network; auto takes bfloat16 where the hardware is fast at it.
    """
    from fissura.evaluation.evaluate import evaluate as run

    report = run(
        model,
        data,
        split=split,
        protocol=protocol,
        threshold=threshold,
        tolerance=tolerance,
        bootstrap=bootstrap,
        seed=seed,
        tta=tta,
        out=out,
        skip_bad=skip_bad,
        device=device,
        precision=precision,
    )
    print(report.headline())
    return 0
