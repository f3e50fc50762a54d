"""The display of a running training: progress bar, lines in a log."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
from fissura.checks.quick import quick_findings
from fissura.data.mixtures.images import MixedImages
from fissura.data.preparation.prepared import PreparedSet
from fissura.metrics.curves import at_end_of_grid
from fissura.training.inputs import Inputs
from fissura.training.options import longer
from fissura.training.session import Session

MOST_FINDINGS = 3


class Display:
    """Progress on a terminal, a line per epoch where the output goes to a file.

    Attributes:
        console: Console that is written to.
        progress: Bar, or None where the console is no terminal.
        task: Task of the bar, or None.
        began: `time.monotonic()` at its making.
        epochs_told: Epochs told of since.
    """

    def __init__(self, console: Console, progress: Progress | None, task: TaskID | None) -> None:
        self.console = console
        self.progress = progress
        self.task = task
        self.began = time.monotonic()
        self.epochs_told = 0

    def step(self, epoch: int, done: int, loss: float, speed: float) -> None:
        """Move the bar.

        Args:
            epoch: Epoch under way, from 1.
            done: Steps done in the whole training.
            loss: Mean loss of the epoch so far.
            speed: Images per second in the epoch so far.
        """
        if self.progress is not None and self.task is not None:
            text = f"epoch {epoch}  loss {loss:.4f}  {speed:.3g} images/s"
            self.progress.update(self.task, completed=done, description=text)

    def epoch(self, line: dict[str, Any], epochs: int) -> None:
        """Say how an epoch went; beside a bar only where there are validation metrics.

        Args:
            line: The epoch's line of `metrics.jsonl`.
            epochs: Epochs of the whole training.
        """
        text = f"epoch {line['epoch']:>4}/{epochs}  loss {line['loss']:.4f}"
        if (validation := line.get("validation")) is not None:
            text += f"  validation IoU {validation['iou']:.4f}, F1 {validation['f1']:.4f}"
        self.epochs_told += 1
        if self.progress is None or validation is not None:
            text += f"  ({line['seconds']:.1f} s, {line['images_per_second']:.3g} images/s"
            if left := epochs - line["epoch"]:
                seconds = left * (time.monotonic() - self.began) / self.epochs_told
                text += f", {duration(seconds)} left"
            self.console.print(f"{text})", highlight=False)


def duration(seconds: float) -> str:
    """Return a time in words, as exactly as an estimate is.

    >>> duration(42), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def introduce(console: Console, run: Path, session: Session, inputs: Inputs, epochs: int) -> None:
    """State the network, the images, the device, the layout of the folder and the split.

    Args:
        console: Console to write to.
        run: Folder that the training writes.
        session: Session of the training.
        inputs: Images.
        epochs: Epochs done already.
    """
    config, train = session.config, inputs.train
    console.print(
        f"Training {config.network} with {config.loss} on {len(train)} images "
        f"({_fractions(train)}"
        + (f"; {train.ignored_fraction:.2%} are ignored" if train.valid else "")
        + (f"; {len(inputs.validation)} more to validate" if inputs.validation else "")
        + f"), {session.fabric.device}, {session.precision}. Masks: {train.mask_rule}"
    )
    console.print(f"Layout: {inputs.layout}. Split: {train.split_rule}.")
    chosen = "the best epoch" + " and the threshold" * (not session.card.classes)
    use = f"Validation, which chooses {chosen}: "
    console.print(f"{use if inputs.validation else 'Validation: '}{inputs.validation_rule}.")
    if train.depth:
        console.print(f"Brightness of photos: {train.depth}.")
    if train.skipped:
        left_out = "file was" if len(train.skipped) == 1 else "files were"
        console.print(f"{len(train.skipped)} {left_out} left out: see {run / 'skipped.csv'}.")
    if epochs >= config.epochs:
        console.print(
            f"All {config.epochs} epochs are done. To train longer, start from these weights: "
            f"{longer(run, config.epochs, config.learning_rate)}",
            soft_wrap=True,
        )
    elif epochs:
        console.print(f"Going on after epoch {epochs} of {config.epochs}.")


def _fractions(train: PreparedSet | MixedImages) -> str:
    """Say how much of the images is crack, or each class."""
    if isinstance(train, PreparedSet) and train.classes:
        return ", ".join(f"{name} {part:.2%}" for name, part in train.class_fractions.items())
    return f"{train.crack_fraction:.2%} crack pixels"


def warn(console: Console, inputs: Inputs, data: Path) -> None:
    """Tell the three weightiest findings about the images, as far as they come cheaply.

    Args:
        console: Console to write to; nothing is looked for where it is quiet.
        inputs: Images.
        data: Their folder.
    """
    if console.quiet or not isinstance(inputs.train, PreparedSet):
        return
    findings = quick_findings(inputs.train, inputs.validation)
    for finding in findings[:MOST_FINDINGS]:
        console.print(f"Look at it: {finding.text} {finding.advice}")
    if findings:
        console.print(f"More on these: fissura check {shlex.quote(str(data))}", soft_wrap=True)


def conclude(console: Console, run: Path) -> None:
    """Name the finished model, and warn where its threshold is at the end of the grid.

    Args:
        console: Console to write to.
        run: Folder of the run.
    """
    card = read_config(run / "model" / "config.json")
    if card.threshold_source == "validation" and at_end_of_grid(card.threshold):
        console.print(
            f"The threshold that the validation images chose, {card.threshold:.3g}, is at the end "
            "of its grid: the probabilities say little. Train longer, or with more images to "
            "validate."
        )
    chosen = ""
    if (best := card.training.get("best_epoch")) is not None:
        chosen = (
            f" It is that of epoch {best}, with the {'mean ' * bool(card.classes)}IoU "
            f"{card.training['validation_iou']:.4f} "
            + ("of the classes " if card.classes else "")
            + "on the validation images"
            + ("." if card.classes else f" at the threshold {card.threshold:.3g}.")
        )
    console.print(f"Done: the model is in {name_of_model(run / 'model')}.{chosen}", soft_wrap=True)


@contextmanager
def training_display(console: Console, *, total: int, done: int) -> Iterator[Display]:
    """Show a bar over all steps of the training while the block runs.

    Args:
        console: Console to write to.
        total: Steps of the whole training.
        done: Steps done already.

    Yields:
        The display, which has no bar where the console is no terminal.
    """
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
