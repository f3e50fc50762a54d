"""The files that a prediction of several classes leaves: maps, overlays, probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fissura.checkpoint import ModelConfig
from fissura.files import MASKS, OVERLAYS, PROBABILITIES, replacing
from fissura.files.images import write_image
from fissura.inference.classes import channel_of, is_class
from fissura.inference.prediction import CompactPrediction
from fissura.overlay import class_color, overlay


def mask_path(name: str, config: ModelConfig, classes: Sequence[str]) -> str:
    """Return the path of a mask below the folder of results; of overlapping ones the first.

    Args:
        name: Of the results, from `fissura.files.output_names`.
        config: Description of the model.
        classes: The classes that are told apart; none for crack, or one class, or not.
    """
    below = f"{classes[0]}/" if classes and config.overlapping else ""
    return f"{MASKS}/{below}{name}.png"


def write_classes(
    out: Path,
    name: str,
    image: NDArray[np.uint8],
    found: CompactPrediction,
    config: ModelConfig,
    *,
    overlays: bool,
) -> float:
    """Write the map of a photo, or a mask of each overlapping class, and what else is wanted.

    Args:
        out: The folder of the results.
        name: Of the results.
        image: The photo, RGB (h, w, 3).
        found: The prediction, of several classes.
        config: Description of the model.
        overlays: Write the photo with the classes marked, each in its color.

    Returns:
        The size of the overlay over that of the photo, see `fissura.files.images.write_image`.
    """
    scale = 1.0
    masks = {
        each: is_class(found.mask, number, overlapping=config.overlapping)
        for number, each in enumerate(config.classes)
    }
    if overlays:
        drawn = image
        for number, mask in enumerate(masks.values()):
            drawn = overlay(drawn, mask, class_color(number))
        scale = write_image(out / OVERLAYS / f"{name}.jpg", np.ascontiguousarray(drawn[..., ::-1]))
    if found.prob is not None:
        for each in config.classes:
            prob = found.prob[..., channel_of(config.classes, config.overlapping, each)]
            write_image(out / PROBABILITIES / each / f"{name}.png", np.ascontiguousarray(prob))
    if config.overlapping:
        for each, mask in masks.items():
            write_image(out / MASKS / each / f"{name}.png", mask.astype(np.uint8) * 255)
    else:
        write_map(out / MASKS / f"{name}.png", found.mask, len(config.classes))
    return scale


def write_map(path: Path, map_: NDArray[np.uint8], classes: int) -> None:
    """Write a map of classes as a palette image: its values are the classes, its colors theirs.

    Args:
        path: The file, ending in .png.
        map_: uint8 (h, w), 0 for background.
        classes: Number of classes.
    """
    image = Image.fromarray(map_).convert("P")
    colors = [(0, 0, 0), *(class_color(number) for number in range(classes))]
    image.putpalette([value for color in colors for value in color])
    with replacing(path) as temporary, temporary.open("wb") as file:
        image.save(file, "PNG")
