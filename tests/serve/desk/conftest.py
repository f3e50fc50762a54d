"""A desk on drawn photos, with a worker that knows their cracks, without a model."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from fissura.data.images import read_image
from fissura.inference.options import PredictOptions
from fissura.inference.prediction import Prediction
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.serve.desk.desk import Desk


@dataclass(frozen=True)
class Options:
    limits: Path | None = None
    growth: Path | None = None
    earlier: tuple[Path, ...] = ()
    predicting: PredictOptions = field(default_factory=PredictOptions)
    measuring: MeasureOptions = field(default_factory=MeasureOptions)
    resolution: ResolutionOptions = field(default_factory=ResolutionOptions)
    max_megapixels: float = 100.0


class DarkIsCrack:
    """A worker to whom what is dark is crack."""

    name = "dark is crack"
    model = Path("crackseg-small")

    def submit(self, path, *, on_stage=None):
        future: Future = Future()

        def predict():
            try:
                if on_stage:
                    on_stage("predicting")
                image = read_image(path)
                future.set_result((image, predicted(image)))
            except Exception as error:
                future.set_exception(error)

        threading.Thread(target=predict).start()
        return future


def predicted(image):
    """What is dark is crack, and an image that is dark as a whole is unfamiliar."""
    prob = (1 - image[..., 0].astype(np.float32) / 255) ** 2
    mask = prob >= 0.5
    return Prediction(
        prob, mask, 0.5, float(mask.mean()), 0.0, unfamiliarity=140 / float(image.mean())
    )


def drawn_photo(seed=0, size_hw=(300, 400), count=4):
    """A noisy gray wall with some dark lines."""
    rng = np.random.default_rng(seed)
    image = rng.integers(150, 200, size_hw).astype(np.uint8)
    height, width = size_hw
    for index in range(count):
        x = np.linspace(20, width - 20, 12)
        middle = height * (index + 0.5) / count
        y = middle + rng.normal(0, 4, 12)
        line = np.stack([x, y], 1).round().astype(np.int32)
        cv2.polylines(image, [line], False, 10, 2 + index % 4, cv2.LINE_AA)
    return np.repeat(image[..., None], 3, 2)


def opened(folder, **options):
    desk = Desk(folder, Options(**options), DarkIsCrack())
    wait(desk)
    return desk


def wait(desk):
    for _ in range(600):
        if not any(row.state in ("queued", "running") for row in desk.store.photos()):
            return
        time.sleep(0.02)
    raise TimeoutError


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        cv2.imwrite(str(folder / f"wall {number}.png"), drawn_photo(number))
    return folder


@pytest.fixture
def desk(photos):
    desk = opened(photos)
    yield desk
    desk.close()


@pytest.fixture(name="opened", scope="session")
def opened_fixture():
    return opened


@pytest.fixture(name="drawn_photo", scope="session")
def drawn_photo_fixture():
    return drawn_photo
