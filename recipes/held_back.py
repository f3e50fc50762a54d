"""The images that recipes/general.yaml keeps out of the training, predicted once for all fits."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.checkpoint import versions
from fissura.data.mixtures.images import DRAWN, load_mixture
from fissura.data.mixtures.mixture import read_mixture
from fissura.data.preparation.prepared import PreparedSet
from fissura.data.synthetic.on_photos import draw_with_widths
from fissura.files import replacing
from fissura.inference.predictor import Predictor

MIXTURE = Path(__file__).parent / "general.yaml"
SEED = 77  # of the cracks that are drawn to measure widths on
DRAWN_IMAGES = 100  # on each of the sets without cracks


@dataclass(frozen=True, eq=False)
class Predicted:
    """Images of one surface, with what a model says of them.

    Attributes:
        images: RGB.
        masks: The truth.
        probs: float32, the model's.
        scales: Factor by which the network saw each image resampled.
        branches: Of drawn cracks the row, column and exact width of their points, an array (k, 3)
            for each image; None where the masks alone are known.
    """

    images: list[NDArray[np.uint8]]
    masks: list[NDArray[np.bool_]]
    probs: list[NDArray[np.float32]]
    scales: list[float]
    branches: list[NDArray[np.float64]] | None = None

    @property
    def cracked(self) -> bool:
        """Whether any of them shows a crack."""
        return any(mask.any() for mask in self.masks)


def by_surface(held: PreparedSet) -> dict[str, PreparedSet]:
    """The validation images, a set for each surface."""
    names = [name.split("/")[0] for name in held.names]
    return {
        name: held.subset([i for i, own in enumerate(names) if own == name])
        for name in dict.fromkeys(names)
    }


def held_back() -> dict[str, PreparedSet]:
    """Read the held-back images, a set for each surface."""
    return by_surface(load_mixture(read_mixture(MIXTURE))[1])


def predicted(predictor: Predictor, surfaces: dict[str, PreparedSet]) -> dict[str, Predicted]:
    """Predict sets of images, with all that the model finds, however unsure it is."""
    predictor = predictor.keeping_unsure()
    return {
        name: Predicted(own.images, own.masks, *_predicted(predictor, own.images))
        for name, own in surfaces.items()
    }


def _predicted(
    predictor: Predictor, images: list[NDArray[np.uint8]]
) -> tuple[list[NDArray[np.float32]], list[float]]:
    """Probabilities and scales of images."""
    found = [(one.prob, one.scale) for one in predictor.predictions(images)]
    return [prob for prob, _ in found], [scale for _, scale in found]


def drawn(predictor: Predictor, surfaces: dict[str, PreparedSet]) -> Predicted:
    """Draw cracks of exactly known widths on held-back photos, and predict them."""
    images, masks, branches = [], [], []
    for image, mask, lines in _drawn(surfaces):
        images.append(image)
        masks.append(mask)
        branches.append(lines)
    return Predicted(images, masks, *_predicted(predictor.keeping_unsure(), images), branches)


def _drawn(surfaces: dict[str, PreparedSet]) -> Iterator[tuple[Any, Any, Any]]:
    for number, (_, own) in enumerate(
        (name, own) for name, own in surfaces.items() if not own.crack_fraction
    ):
        for index in range(DRAWN_IMAGES):
            rng = np.random.default_rng([SEED, number, index])
            photo = own.images[int(rng.integers(len(own)))]
            image, mask, branches = draw_with_widths(rng, photo, DRAWN)
            if branches:
                yield image, mask, np.concatenate(branches)


def model_and_data(description: str | None) -> argparse.Namespace:
    """Read the arguments of a fit: `model`, a name or a folder, and `data`, the folder of sets."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    return parser.parse_args()


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write what was fitted and measured, with versions and date, and print it."""
    record = record | {"versions": versions(), "date": datetime.now(UTC).date().isoformat()}
    text = json.dumps(record, indent=1)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    print(text)
