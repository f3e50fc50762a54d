"""Figures of a training, to watch as it goes on: curves.png and validation.png of its run."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.files import replacing
from fissura.overlay import REDDISH_PURPLE, SKY_BLUE, VERMILION, error_overlay, hexadecimal, overlay
from fissura.training.progress.events import Example
from fissura.training.run_folder import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES, STRIP = "curves.png", "validation.png"
SIDE = 384  # pixels of the longest side of an image in the strip
MOST = 1e30  # of a number on an axis
COST = 0.02  # fraction of the time that the figures may take


class Pictures:
    """Draws the figures now and then, and takes at most a fiftieth of the time for them.

    Attributes:
        run: Folder of the run.
        cost: Seconds that the latest drawing took.
        drawn: `time.monotonic()` at the end of it.
        epoch: Epochs done at the latest drawing.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.cost = 0.0
        self.drawn = time.monotonic()
        self.epoch = 0

    def due(self, epoch: int) -> bool:
        """Return whether it is time to draw: after the first epoch, and when the time allows it.

        Args:
            epoch: Epochs done.
        """
        return epoch == 1 or time.monotonic() - self.drawn >= max(self.cost / COST, 5.0)

    def draw(self, epoch: int, examples: list[Example]) -> None:
        """Draw both figures anew.

        Args:
            epoch: Epochs done.
            examples: Images with prediction and truth.
        """
        start = time.monotonic()
        lines = read_metrics(self.run / "metrics.jsonl")
        with replacing(self.run / CURVES) as temporary:
            temporary.write_bytes(draw_curves(lines))
        with replacing(self.run / STRIP) as temporary:
            temporary.write_bytes(draw_strip(examples))
        self.drawn, self.epoch = time.monotonic(), epoch
        self.cost = self.drawn - start


def draw_curves(lines: list[dict[str, Any]]) -> bytes:
    """Draw the loss by epoch and, where there is any, the validation IoU and F1, as a PNG.

    Args:
        lines: The lines of `metrics.jsonl`, at least one; those that are damaged are left out.
    """
    from matplotlib.figure import Figure

    lines = [line for line in lines if _drawable(line, "epoch", "loss")]
    validated = [line for line in lines if _drawable(line.get("validation"), "iou", "f1")]
    columns = 2 if validated else 1
    figure = Figure(figsize=(5.2 * columns, 3.8), layout="constrained")
    left, *right = figure.subplots(1, columns, squeeze=False)[0]
    epochs = [line["epoch"] for line in lines]
    left.plot(
        epochs,
        [line["loss"] for line in lines],
        color=hexadecimal((0, 90, 160)),
        marker=_dot(lines),
    )
    left.set(title="loss on the training images", xlabel="epoch", ylim=(0, None))
    for axes in right:
        _draw_validation(axes, validated)
    for axes in (left, *right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="0.92")
        axes.xaxis.get_major_locator().set_params(integer=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _drawable(values: Any, *names: str) -> bool:
    """Whether there are numbers of these names, none of them beyond what axes can show."""
    if not isinstance(values, dict):
        return False
    numbers: list[Any] = [values.get(name) for name in names]
    return all(type(one) in (int, float) and not MOST < abs(one) < math.inf for one in numbers)


def _draw_validation(axes: Axes, lines: list[dict[str, Any]]) -> None:
    """Draw IoU and F1 on the validation images, and mark the epoch whose model is kept."""
    epochs = [line["epoch"] for line in lines]
    for name, label, color in (("iou", "IoU", VERMILION), ("f1", "F1", SKY_BLUE)):
        values = [line["validation"][name] for line in lines]
        axes.plot(epochs, values, color=hexadecimal(color), label=label, marker=_dot(lines))
    best = max(lines, key=lambda line: line["validation"]["iou"])
    told = f"best: epoch {best['epoch']}, IoU {best['validation']['iou']:.3f}"
    axes.plot(best["epoch"], best["validation"]["iou"], "k*", markersize=10, label=told)
    axes.set(title="on the validation images", xlabel="epoch", ylim=(0, 1))
    axes.legend(loc="lower right", fontsize=9)


def draw_strip(examples: list[Example]) -> bytes:
    """Draw images in a row each: as it is, with the truth, and with the errors; as a PNG.

    Args:
        examples: Images with prediction and truth, at least one.
    """
    rows = [
        np.concatenate(
            [
                _framed(image),
                _framed(overlay(image, truth, REDDISH_PURPLE)),
                _framed(error_overlay(image, pred, truth)),
            ],
            axis=1,
        )
        for image, pred, truth in examples
    ]
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    _, encoded = cv2.imencode(".png", np.concatenate(padded)[:, :, ::-1])
    return encoded.tobytes()


def _framed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink an image to `SIDE`, and put a white margin around it."""
    scale = SIDE / max(image.shape)
    if scale < 1:
        height, width = (max(round(side * scale), 1) for side in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return np.pad(image, ((4, 4), (4, 4), (0, 0)), constant_values=255)


def _dot(lines: list[dict[str, Any]]) -> str | None:
    """Return the marker of a curve: a dot where there are few epochs."""
    return "." if len(lines) <= 30 else None
