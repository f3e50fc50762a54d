"""The same cracks, whatever the order, the batch, the direction and the unit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fissura.checkpoint import ModelConfig
from fissura.data.synthetic import draw_panel
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.measurement import measure
from fissura.models import build_model

SIZE = (64, 80)
panels = st.integers(0, 10_000)


def mask_of(seed):
    return draw_panel(7, seed, size_hw=SIZE, crack_fraction=0.05).mask > 0


@given(seed=panels, turns=st.integers(0, 3), flipped=st.booleans())
def test_turned_and_flipped_cracks_are_the_same(seed, turns, flipped):
    """Skeletons are not the same to the pixel, but lengths and widths are within its size."""
    mask = mask_of(seed)
    moved = np.rot90(mask[:, ::-1] if flipped else mask, turns)
    before, after = measure(mask), measure(np.ascontiguousarray(moved))
    lengths = [sum(crack.length for crack in cracks) for cracks in (before, after)]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.05, abs=6)
    widest = [max((crack.width_p95 for crack in cracks), default=0) for cracks in (before, after)]
    assert widest[1] == pytest.approx(widest[0], abs=1)
    assert sum(crack.area for crack in after) == pytest.approx(
        sum(crack.area for crack in before), rel=0.05, abs=20
    )


@given(seed=panels, unit=st.floats(1e-3, 1e3))
def test_lengths_and_widths_follow_the_unit(seed, unit):
    plain, scaled = measure(mask_of(seed)), measure(mask_of(seed), mm_per_pixel=unit)
    assert len(plain) == len(scaled)
    for one, other in zip(plain, scaled, strict=True):
        assert one.length == other.length
        np.testing.assert_array_equal(one.widths, other.widths)
        in_pixels, told = one.metrics(), other.metrics()
        for name in ("length", "width_max", "width_mean"):
            expected = in_pixels[f"{name}_px"] * unit
            assert told[f"{name}_mm"] == pytest.approx(expected, nan_ok=True)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_model("crackseg", width=4).eval(), ModelConfig("crackseg", {"width": 4})


@given(
    seed=panels,
    order=st.permutations(range(3)),
    batch=st.integers(1, 7),
    tile=st.sampled_from([None, 64]),
)
def test_order_and_batches_of_photos_leave_no_trace(network, seed, order, batch, tile):
    images = [draw_panel(3, seed + n, size_hw=SIZE).image for n in range(3)]
    images[2] = images[2][:50]
    options = {"device": "cpu", "precision": "float32", "tile": tile}
    one = Predictor(*network, PredictOptions(**options, batch_size=1))
    many = Predictor(*network, PredictOptions(**options, batch_size=batch))
    alone = [one.prob(image) for image in images]
    together = list(many.probs([images[n] for n in order]))
    for n, prob in zip(order, together, strict=True):
        np.testing.assert_allclose(prob, alone[n], atol=1e-5)
