"""The commands that train and judge models: train, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from fissura.cli.options import Switch
from fissura.errors import InputError
from fissura.inference.options import Precision
from fissura.training.config import ProtocolName, TrainOptions

DEFAULTS = TrainOptions()


def train(
    data: Path | None = None,
    *,
    out: Path | None = None,
    config: Path | None = None,
    resume: Path | None = None,
    options: Annotated[TrainOptions, Parameter(name="*", group=Group("Options"))] = DEFAULTS,
) -> int:
    """Train a model on a folder of photos and masks.

    DATA holds photos and, for each, a mask that is bright where there is crack. The folder layouts
    that people have are understood, for example train/images and train/masks, or images and masks
    alone. The result is a run folder with the model, which `fissura evaluate` and `fissura predict`
    take. Ctrl-C stops with everything saved.

    Parameters
    ----------
    data:
        Folder with photos and masks.
    out:
        Run folder to make. It must not exist yet. [default: runs/DATA-LOSS]
    config:
        YAML file with options, such as the config.yaml of an earlier run. Options given on the
        command line win.
    resume:
        Run folder of a stopped training to go on with; takes no other options.
    """
    from fissura.training.loop import resume as resume_run
    from fissura.training.loop import train as train_run

    if resume is not None:
        if data is not None or out is not None or config is not None or options != DEFAULTS:
            raise InputError("--resume goes on with a run as it was started: give no other option.")
        outcome = resume_run(resume)
    elif data is None:
        raise InputError(
            "Which data? Give the folder with photos and masks, as in `fissura train my_photos`."
        )
    else:
        outcome = train_run(data, out=out, config=options)
    # The shell's convention for a program that a signal ended.
    return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by


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

    Parameters
    ----------
    model:
        Run folder that `fissura train` wrote.
    data:
        Folder with photos and masks, in any layout that training takes.
    split:
        Which photos. A folder without test and train photos is divided as in training.
    protocol:
        How photos become images. [default: as in training; native judges whole photos]
    threshold:
        Probability from which a pixel counts as crack. [default: the model's]
    tolerance:
        Pixels by which a crack may be off in the tolerant figures.
    bootstrap:
        Resamples behind the 95 % intervals.
    seed:
        Seed of these resamples.
    tta:
        Average over flips and turns: eight times the work.
    out:
        Folder for the report. It must not exist yet. [default: MODEL/evaluation-DATA-SPLIT]
    skip_bad:
        Go on without files that cannot be used; the report lists them.
    device:
        Where to compute: auto, cpu, cuda or mps.
    precision:
        Arithmetic of the network; auto takes bfloat16 where the hardware is fast at it.
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
