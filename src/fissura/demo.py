"""`fissura demo`: photos that come along are inspected, then a model is trained on drawn panels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from fissura.checkpoint import name_of_model
from fissura.data.synthetic.dataset import synth
from fissura.errors import InputError
from fissura.evaluation.evaluate import evaluate
from fissura.evaluation.report import Report
from fissura.files import free_folder
from fissura.inspection.pipeline import Inspection, inspect
from fissura.shipped import DEFAULT, PHOTOS
from fissura.training.options import TrainOptions
from fissura.training.run_folder import read_metrics
from fissura.training.train import train

# Large enough that the training visibly learns, small enough for two CPU cores and a minute.
IMAGES = 200
SIZE_HW = (96, 96)
CRACK_FRACTION = 0.06
OPTIONS = TrainOptions(
    loss="hybrid-focal-margin",
    margin="auto",
    width=8,
    epochs=12,
    batch_size=4,
    learning_rate=3e-3,
    validation=0.15,
)


@dataclass(frozen=True)
class Demo:
    """The results of a demo.

    Attributes:
        inspection: Cracks of the photos that come along; its `report` is the page to read.
        run: Run folder of the model that was trained, or None where Ctrl-C ended the demo.
        evaluation: Report on that model, or None likewise.
        stopped_by: Number of the signal that ended the demo, or None.
    """

    inspection: Inspection
    run: Path | None
    evaluation: Report | None
    stopped_by: int | None


def demo(out: str | Path | None = None, *, seed: int = 0) -> Demo:
    """Find and measure the cracks of photos, then train a model on drawn panels and evaluate it.

    Args:
        out: Folder for everything, which must not exist; demo, or demo-2, demo-3 … unless given.
        seed: Seed of the panels and of the training.

    Returns:
        The results, and where they lie.

    Raises:
        InputError: `out` exists already.
    """
    out = free_folder("demo") if out is None else Path(out)
    if out.exists():
        raise InputError(f"{out} exists already; choose another folder with --out.")
    console = Console(highlight=False, soft_wrap=True)
    console.rule("1  Find and measure the cracks of photos, with the model that comes along")
    inspection = inspect([PHOTOS], out / "inspection", model=DEFAULT)
    console.print(
        f"{inspection.cracks} cracks on {inspection.photos} photos of concrete, found with "
        f"{name_of_model(Path(DEFAULT))}"
    )
    assert inspection.report is not None
    console.print(f"The report, to be opened in a browser: {inspection.report.absolute()}")
    console.rule("2  Draw panels with cracks, and masks that are exact")
    synth(
        out / "data",
        count=IMAGES,
        size_hw=SIZE_HW,
        crack_fraction=CRACK_FRACTION,
        seed=seed,
        progress=console.is_terminal,
    )
    console.rule("3  Train a model on them")
    outcome = train(out / "data", out=out / "run", options=replace(OPTIONS, seed=seed))
    if outcome.stopped_by is not None:
        return Demo(inspection, outcome.run, None, outcome.stopped_by)
    first, *_, last = read_metrics(out / "run" / "metrics.jsonl")
    console.print(
        f"From epoch 1 to epoch {last['epoch']} the loss went from {first['loss']:.3f} to "
        f"{last['loss']:.3f}, and the IoU on validation images from "
        f"{first['validation']['iou']:.2f} to {last['validation']['iou']:.2f}."
    )
    console.rule("4  Evaluate the model on panels that the training has not seen")
    report = evaluate(out / "run", out / "data", out=out / "evaluation")
    assert isinstance(report, Report)  # the panels' masks tell crack or not
    console.print(report.headline())
    console.rule("Done")
    console.print(f"The photos' cracks:  {inspection.report.absolute()}")
    console.print(f"The trained model:   {(out / 'evaluation' / 'report.html').absolute()}")
    return Demo(inspection, outcome.run, report, None)
