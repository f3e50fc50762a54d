"""Does a model know which photos are unlike those that it was trained on?

    python recipes/fit_familiar.py MODEL DATA     # power on other surfaces and on no surfaces

`recipes/ship_general.py` writes the statistics (`familiar.safetensors`): features of all training
photos of recipes/general.yaml, and the distance that 95 % of its held-back photos stay below. Here
is measured how often photos of other sets are called unfamiliar, and how well the distance tells
them from held-back photos (AUROC: 0.5 is chance). Photos that show no surface at all come from
scikit-image and scikit-learn, in crops of 256×256 pixels. The record is familiar.json.

That stride 16, 32 components and the nearest photo are taken was chosen with an eye on these very
AUROCs, of some fifty variants that differed by up to 0.2; nothing else was.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from held_back import MIXTURE, model_and_data, write_record
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from fissura.checkpoint import find_model
from fissura.data.images import read_image
from fissura.data.mixtures.images import DRAWN, MixedImages, load_mixture
from fissura.data.mixtures.mixture import read_mixture
from fissura.data.synthetic.on_photos import draw_on_photo
from fissura.inference.engines.familiar import Familiar, Pooled, fit_familiar
from fissura.inference.engines.lite_streaming import StreamingLite
from fissura.inference.predictor import Predictor
from fissura.inference.resize import resized
from fissura.metrics.counts import f1, pixel_counts

RECORD = Path(__file__).parent / "familiar.json"
SEED, DRAWN_IMAGES = 5, 150
SIDE = 256
# Of scikit-image and scikit-learn, with what they show.
NO_SURFACES = {
    "skimage/data": ("coffee.png", "astronaut.png", "rocket.jpg", "chelsea.png",
                     "motorcycle_left.png", "hubble_deep_field.jpg", "retina.jpg", "ihc.png",
                     "text.png", "page.png", "coins.png", "camera.png"),
    "sklearn/datasets/images": ("china.jpg", "flower.jpg"),
}  # fmt: skip


def features(predictor: Predictor, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the mean features of images as a predictor sees them, (n, c)."""
    network = predictor.network.streaming
    assert isinstance(network, StreamingLite)
    rows = []
    with torch.inference_mode():
        for image in images:
            scale = min(predictor.scale_of(image), 1.0)  # of an enlarged one the look tells
            size = round(image.shape[0] * scale), round(image.shape[1] * scale)
            seen = torch.from_numpy(resized(image, size, shrink_by_area=True))[None]
            pooled = Pooled()
            network(predictor.network.normalized(seen), pooled)
            rows.append(pooled.mean())
    return np.concatenate(rows)


def training_images(train: MixedImages) -> Iterable[NDArray[np.uint8]]:
    """All training photos of a mixture, and some of its drawn cracks."""
    for name, photos in train.photos.items():
        if not train.mixture.sets[name].backgrounds:
            yield from photos.images
            continue
        for index in range(DRAWN_IMAGES):
            rng = np.random.default_rng([SEED, index])
            yield draw_on_photo(rng, photos.images[index % len(photos)], DRAWN)[0]


def familiar_of(predictor: Predictor, mixture: Path = MIXTURE) -> Familiar:
    """Make the statistics of a model that was trained on a mixture."""
    train, held = load_mixture(read_mixture(mixture))
    return fit_familiar(
        features(predictor, training_images(train)), features(predictor, held.images)
    )


def auroc(known: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the chance that a photo of the others is farther off than a known one."""
    ranks = rankdata(np.concatenate([known, others]))[len(known) :]
    wins = ranks.sum() - len(others) * (len(others) + 1) / 2
    return round(float(wins / (len(known) * len(others))), 4)


def no_surfaces() -> dict[str, list[NDArray[np.uint8]]]:
    """Crops of photos that show no surface, by photo."""
    crops: dict[str, list[NDArray[np.uint8]]] = {}
    for folder, names in NO_SURFACES.items():
        package, *below = folder.split("/")
        __import__(package)
        root = Path(str(sys.modules[package].__file__)).parent.joinpath(*below)
        for name in names:
            image = read_image(root / name)
            crops[name] = [
                image[top : top + SIDE, left : left + SIDE]
                for top in range(0, max(image.shape[0] - SIDE + 1, 1), SIDE)
                for left in range(0, max(image.shape[1] - SIDE + 1, 1), SIDE)
            ]
    return crops


def main() -> None:
    """Measure, record."""
    asked = model_and_data(__doc__)
    predictor = Predictor.load(asked.model)
    familiar = Familiar.load(find_model(asked.model))
    assert familiar is not None
    _, held = load_mixture(read_mixture(MIXTURE))
    known = familiar.distance(features(predictor, held.images))
    rows: dict[str, Any] = {}

    def note(name: str, images: int, distance: NDArray[np.float64]) -> None:
        rows[name] = {
            "images": images,
            "auroc": auroc(known, distance),
            "unfamiliar": round(float((distance > familiar.limit).mean()), 4),
        }
        print(name, rows[name], flush=True)

    note("held back", len(known), known)
    sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
    from generalization import CLEAN, CRACKED, read_sets

    off, quality = [], []
    for name, own in read_sets(asked.data).items():
        if name not in CLEAN and name not in CRACKED:
            continue
        found = list(predictor.predictions(own.images))
        distance = np.array([one.unfamiliarity for one in found]) * familiar.limit
        note(name, len(own), distance)
        if name in CRACKED:
            off.append(distance)
            quality.append(
                [float(f1(pixel_counts(p.mask, m))) for p, m in zip(found, own.masks, strict=True)]
            )
    crops = no_surfaces()
    every = [crop for own in crops.values() for crop in own]
    note("no surfaces", len(every), familiar.distance(features(predictor, every)))
    rows["no surfaces"]["photos"] = len(crops)
    record = {
        "model": asked.model,
        "sets": rows,
        "rank_correlation_with_f1": {
            "all unseen images": _correlation(np.concatenate(off), np.concatenate(quality)),
            **{
                name: _correlation(one, np.array(other))
                for name, one, other in zip(CRACKED, off, quality, strict=True)
            },
        },
        "cost": cost(asked.model),
    }
    write_record(RECORD, record)


def _correlation(distance: NDArray[np.float64], quality: NDArray[np.float64]) -> float:
    """Spearman's rank correlation."""
    return round(float(np.asarray(spearmanr(distance, quality))[0]), 3)


def cost(model: str) -> dict[str, float]:
    """Seconds for 2 megapixels with the statistics and without, the least of five each."""
    image = np.random.default_rng(0).integers(0, 255, (1200, 1600, 3), dtype=np.uint8)
    with_it, without = Predictor.load(model), Predictor.load(model)
    without.familiar = None
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(5):
        for name, predictor in (("with", with_it), ("without", without)):
            began = time.perf_counter()
            predictor.prob(image)
            seconds[name].append(time.perf_counter() - began)
    return {name: round(min(each), 4) for name, each in seconds.items()}


if __name__ == "__main__":
    main()
