import numpy as np
import pytest

from fissura.data.preparation.load import PreparedSet
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.study.runs import logits
from fissura.study.runs.logits import mean_logits


def known(images):
    """Predict crack with a logit of 2 where the image is bright and −3 elsewhere."""
    for image in images:
        logit = np.where(image[..., 0] > 128, 2.0, -3.0)
        yield (1 / (1 + np.exp(-logit))).astype(np.float32)


def images(*bright, valid=None):
    masks = [np.eye(8, dtype=bool) for _ in bright]
    return PreparedSet(
        images=[np.full((8, 8, 3), 255 * value, np.uint8) for value in bright],
        masks=masks,
        names=[str(index) for index in range(len(bright))],
        groups=[str(index) for index in range(len(bright))],
        protocol=PROTOCOLS["native"],
        scale=1.0,
        mask_rule="",
        split_rule="",
        skipped=[],
        valid=valid,
    )


def test_means_over_pixels():
    found = mean_logits(known, images(1, 0, 0, 0))
    assert found["crack"] == pytest.approx((2 - 3 * 3) / 4, abs=1e-3)
    assert found["background"] == pytest.approx((2 - 3 * 3) / 4, abs=1e-3)


def test_pixels_without_a_label_do_not_count():
    valid = [~np.eye(8, dtype=bool)]
    found = mean_logits(known, images(1, valid=valid))
    assert found["crack"] is None
    assert found["background"] == pytest.approx(2, abs=1e-3)


def test_a_certain_network_has_a_finite_logit():
    def certain(images):
        for image in images:
            yield np.ones(image.shape[:2], np.float32)

    assert mean_logits(certain, images(1))["crack"] == pytest.approx(np.log(2**24), abs=1e-3)


def test_of_many_images_evenly_chosen_ones_count(monkeypatch):
    monkeypatch.setattr(logits, "MOST_PIXELS", 2 * 64)
    assert logits._evenly([64] * 10) == [0, 9]
    assert logits._evenly([64]) == [0]
    assert logits._evenly([10_000]) == [0]
