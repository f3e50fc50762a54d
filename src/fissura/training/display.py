"""What a person sees of a running training: progress bar, lines in a log, TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fissura.checkpoint import name_of_model, read_config
from fissura.errors import extra
from fissura.files import naming
from fissura.metrics.curves import at_end_of_grid
from fissura.overlay import error_overlay
from fissura.training.inputs import Inputs
from fissura.training.session import Session

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# An image (h, w, 3), the prediction and the truth (h, w) of it.
Picture = tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]


class Display:
    """Progress on a terminal, a line per epoch where the output goes to a file."""

    def __init__(self, console: Console, progress: Progress | None, task: TaskID | None) -> None:
        self.console = console
        self.progress = progress
        self.task = task

    def step(self, epoch: int, done: int, loss: float, rate: float) -> None:
        """Move the bar."""
        if self.progress is not None and self.task is not None:
            what = f"epoch {epoch}  loss {loss:.4f}  lr {rate:.1e}"
            self.progress.update(self.task, completed=done, description=what)

    def epoch(self, line: dict[str, Any], epochs: int) -> None:
        """Say how an epoch went; with a bar only where there is a validation figure."""
        text = f"epoch {line['epoch']:>4}/{epochs}  loss {line['loss']:.4f}"
        if (validation := line.get("validation")) is not None:
            text += f"  validation IoU {validation['iou']:.4f}, F1 {validation['f1']:.4f}"
        if self.progress is None or validation is not None:
            self.console.print(f"{text}  ({line['seconds']:.1f} s)", highlight=False)


def introduce(console: Console, run: Path, session: Session, inputs: Inputs, epochs: int) -> None:
    """Say what is about to be trained, on what, where."""
    config, train = session.config, inputs.train
    console.print(
        f"Training {config.model} with {config.loss} on {len(train)} images "
        f"({train.crack_fraction:.2%} crack pixels"
        + (f"; {len(inputs.validation)} more to validate" if inputs.validation else "")
        + f"), {session.fabric.device}, {session.precision}. Masks: {train.mask_rule}"
    )
    console.print(f"Layout: {inputs.layout}. Split: {train.split_rule}.")
    if train.depth:
        console.print(f"Brightness of photos: {train.depth}.")
    if train.skipped:
        left_out = "file was" if len(train.skipped) == 1 else "files were"
        console.print(f"{len(train.skipped)} {left_out} left out: see {run / 'skipped.csv'}.")
    if epochs:
        console.print(f"Going on after epoch {epochs} of {config.epochs}.")


def conclude(console: Console, run: Path) -> None:
    """Say where the model is, and what is to be known of it."""
    card = read_config(run / "model" / "config.json")
    if card.threshold_source == "validation" and at_end_of_grid(card.threshold):
        console.print(
            f"The threshold that the validation images chose, {card.threshold:.3g}, is at the end "
            "of its grid: the probabilities say little. Train longer, or with more images to "
            "validate."
        )
    console.print(f"Done: the model is in {name_of_model(run / 'model')}.", soft_wrap=True)


@contextmanager
def training_display(console: Console, *, total: int, done: int) -> Iterator[Display]:
    """Show a bar over all steps of the training while the block runs."""
    if not console.is_terminal:
        yield Display(console, None, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=120) as progress:
        yield Display(console, progress, progress.add_task("", total=total, completed=done))


class Events:
    """TensorBoard events of a run; a resumed run replaces what was written after its state."""

    def __init__(self, run: Path, step: int) -> None:
        # Imported here: it costs half a second.
        with extra("train", "Training"):
            from torch.utils.tensorboard import SummaryWriter

        self.run = run
        self.writer: SummaryWriter = SummaryWriter(str(run), purge_step=step)

    def write(self, line: dict[str, Any], pictures: list[Picture]) -> None:
        """Write an epoch's line of metrics, and images of the errors."""
        with naming(self.run):
            self._write(line, pictures)

    def _write(self, line: dict[str, Any], pictures: list[Picture]) -> None:
        step = line["step"]
        self.writer.add_scalar("loss/train", line["loss"], step)
        self.writer.add_scalar("learning_rate", line["learning_rate"], step)
        for name, value in (line.get("validation") or {}).items():
            self.writer.add_scalar(f"validation/{name}", value, step)
        for index, (image, pred, target) in enumerate(pictures):
            side_by_side = np.concatenate([image, error_overlay(image, pred, target)], axis=1)
            self.writer.add_image(f"errors/{index}", side_by_side, step, dataformats="HWC")
        self.writer.flush()

    def close(self) -> None:
        """Flush and close the file."""
        with naming(self.run):
            self.writer.close()
