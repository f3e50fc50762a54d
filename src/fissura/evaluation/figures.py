"""Figures of a report: the precision-recall curve, and images that show where a model fails."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fissura.evaluation.score import Scores
from fissura.metrics.counts import f1, iou, precision, recall
from fissura.metrics.curves import ods, precision_recall_curve
from fissura.overlay import (
    REDDISH_PURPLE,
    SKY_BLUE,
    VERMILION,
    Color,
    error_overlay,
    hexadecimal,
    overlay,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 900  # pixels of the longest side of an image in the report; larger ones are shrunk
LOSSLESS = 256  # pixels of the longest side up to which an image is a PNG
EACH = 3


@dataclass(frozen=True)
class Example:
    """An image of the set that is shown.

    Attributes:
        kind: Why it is shown: "best", "median", "worst" or "false alarm".
        index: Index of the image in the set.
        iou: IoU of its prediction.
    """

    kind: str
    index: int
    iou: float


def choose_examples(scores: Scores, each: int = EACH) -> list[Example]:
    """Choose the best, the median and the worst images, by IoU at the headline's threshold.

    They come from the images with crack, none twice; of three images or fewer there is one of each
    kind, as far as they go. The images without crack that have the most pixels called crack follow.

    Args:
        scores: Scores of the images.
        each: Number of images of each kind.
    """
    counts = scores.headline.counts
    values = iou(counts)
    cracked = np.flatnonzero(scores.histograms[:, 1].sum(axis=1) > 0)
    order = cracked[np.argsort(-values[cracked], kind="stable")].tolist()
    each = min(each, max(1, len(order) // 3))
    middle = max(0, (len(order) - each) // 2)
    wanted = {
        "best": order[:each],
        "worst": order[max(0, len(order) - each) :],
        "median": order[middle : middle + each],
    }
    alarms = np.flatnonzero((scores.histograms[:, 1].sum(axis=1) == 0) & (counts[:, 1] > 0))
    wanted["false alarm"] = alarms[np.argsort(-counts[alarms, 1], kind="stable")][:each].tolist()
    taken: dict[int, str] = {}
    for kind, indices in wanted.items():
        for index in indices:
            taken.setdefault(index, kind)
    return [
        Example(kind, index, float(values[index]))
        for kind in ("best", "median", "worst", "false alarm")
        for index in wanted[kind]
        if taken[index] == kind
    ]


def panels(scores: Scores, index: int) -> list[tuple[str, NDArray[np.uint8]]]:
    """Draw an image three times, with captions: as it is, with the truth, and with the errors."""
    image, truth, pred = shrink(
        scores.data.images[index], scores.data.masks[index], scores.prediction(index)
    )
    return [
        ("image", image),
        ("truth", overlay(image, truth, REDDISH_PURPLE)),
        ("result", error_overlay(image, pred, truth)),
    ]


def shrink(
    image: NDArray[np.uint8], *masks: NDArray[np.bool_], longest: int = LONGEST
) -> tuple[NDArray[Any], ...]:
    """Shrink an image and its masks by a whole number, so that the longest side fits.

    The image is averaged by area; a pixel of a mask is crack where any of its old pixels was, so
    that hairlines stay visible.

    Args:
        image: RGB (h, w, 3).
        masks: Masks (h, w).
        longest: Greatest number of pixels on the longest side.

    Returns:
        The image and the masks.
    """
    factor = -(-max(image.shape[:2]) // longest)
    if factor == 1:
        return image, *masks
    import cv2

    height, width = image.shape[0] // factor, image.shape[1] // factor
    rows, columns = slice(height * factor), slice(width * factor)
    small = [cv2.resize(image[rows, columns], (width, height), interpolation=cv2.INTER_AREA)]
    for mask in masks:
        blocks = mask[rows, columns].reshape(height, factor, width, factor)
        small.append(np.any(blocks, axis=(1, 3)))
    return tuple(small)


def encode(image: NDArray[np.uint8]) -> tuple[str, bytes]:
    """Encode an image: (MIME type, bytes); without loss where it is small."""
    from PIL.Image import fromarray

    buffer = io.BytesIO()
    if max(image.shape) <= LOSSLESS:
        fromarray(image).save(buffer, "PNG", optimize=True)
        return "image/png", buffer.getvalue()
    # Without color subsampling, which would smear the thin colored lines.
    fromarray(image).save(buffer, "JPEG", quality=88, subsampling=0)
    return "image/jpeg", buffer.getvalue()


def draw_curve(scores: Scores, name: str = "crack") -> dict[str, bytes]:
    """Draw the pooled precision-recall curve, as the bytes of files by suffix: "svg" and "png".

    Args:
        scores: Scores of the images.
        name: Name of the class.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 5.4), layout="constrained")
    axes = figure.add_subplot()
    _draw_equal_f1(axes)
    curve = precision_recall_curve(scores.histograms)
    drawn = ~np.isnan(curve.precision)
    axes.plot(
        curve.recall[drawn], curve.precision[drawn], color=hexadecimal(SKY_BLUE), linewidth=2.5
    )
    best = ods(scores.histograms)
    at_half = "likeliest class" if scores.half.source == "map" else "threshold 0.5"
    points: list[tuple[str, str, Color, NDArray[np.int64]]] = [
        (at_half, "o", (0, 0, 0), scores.half.counts.sum(axis=0)),
        (f"best F1 in hindsight, at {best.threshold:.2f} (oracle)", "x", (120, 120, 120),
         best.counts),
    ]  # fmt: skip
    if scores.chosen is not None:
        words = {"validation": "threshold from validation", "given": "threshold given"}
        label = f"{words.get(scores.chosen.source, 'threshold of the model')}, "
        points.insert(
            1,
            (f"{label}{scores.chosen.threshold:.2f}", "D", VERMILION,
             scores.chosen.counts.sum(axis=0)),
        )  # fmt: skip
    for label, marker, color, counts in points:
        x, y = float(recall(counts)), float(precision(counts))
        label = f"{label}: F1 {float(f1(counts)):.3f}"
        axes.plot(x, y, marker, color=hexadecimal(color), markersize=8, label=label, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel(f"recall: fraction of the true {name} pixels that is found")
    axes.set_ylabel(f"precision: fraction of the predicted {name} pixels that is right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", fontsize=9, framealpha=0.9)
    return rendered(figure)


def rendered(figure: Figure) -> dict[str, bytes]:
    """Return a figure as the content of an SVG and of a PNG file, by their suffix.

    Args:
        figure: The figure.
    """
    from matplotlib import rc_context

    # A fixed salt and no date: the same scores give the same file.
    files = {}
    with rc_context({"svg.hashsalt": "fissura"}):
        for suffix, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, dpi=150, metadata=metadata)
            files[suffix] = buffer.getvalue()
    return files


def _draw_equal_f1(axes: Axes) -> None:
    """Draw thin lines of equal F1 behind the curve."""
    for value in (0.2, 0.4, 0.6, 0.8):
        x = np.linspace(value / (2 - value), 1, 100)
        axes.plot(x, value * x / (2 * x - value), color="0.88", linewidth=1, zorder=0)
        axes.annotate(
            f"F1 {value}",
            (1, value / (2 - value)),
            fontsize=8,
            color="0.6",
            ha="right",
            va="bottom",
        )
