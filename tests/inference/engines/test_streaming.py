"""A CrackSeg row by row is the CrackSeg of the whole image, however the rows are cut."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fissura.inference.engines.streaming import StreamingNetwork, can_stream, column_windows
from fissura.models import build_model


def trained(width=3):
    """Weights and statistics of BatchNorm as after a training: nothing is 0 or 1."""
    torch.manual_seed(0)
    network = build_model("crackseg", width=width)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
        elif isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.3)
    return network.eval()


NETWORK = trained()
ROWS = StreamingNetwork(NETWORK, torch.float32)


def noise(height, width, count=1):
    generator = torch.Generator().manual_seed(height + width)
    return torch.randn(count, 3, height, width, generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("size", [(16, 16), (48, 64), (30, 41), (1, 1), (200, 17)])
def test_whole_images_are_the_networks(size):
    images = noise(*size, count=2)
    torch.testing.assert_close(ROWS(images), NETWORK(images), atol=1e-4, rtol=1e-4)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=12), st.integers(1, 4))
@torch.no_grad()
def test_bands_of_any_heights_are_the_whole(heights, units):
    heights[-1] += -sum(heights) % 16
    image = noise(sum(heights), 16 * units)
    bands = list(ROWS.stream(image.split(heights, 2)))
    assert all(band.shape[2] > 0 for band in bands)
    torch.testing.assert_close(torch.cat(bands, 2), NETWORK(image), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_rows_come_steadily_and_pixels_are_taken_no_earlier_than_needed():
    taken, given = 0, []

    def bands():
        nonlocal taken
        for band in noise(1600, 16).split(32, 2):
            taken += 32
            yield band

    for band in ROWS.stream(bands()):
        given.append(band.shape[2])
        assert taken - sum(given) < 160 + 2 * 32
    assert given[8:-3] == [32] * len(given[8:-3])  # what is held back comes in parts
    assert max(given[-3:]) < 160 / 2
    assert sum(given) == 1600


@torch.no_grad()
def test_values_depend_on_no_more_than_the_reach():
    image = noise(16, 480)
    changed = image.clone()
    changed[..., 320:] += 5
    difference = (ROWS(image) != ROWS(changed)).any(2).flatten()
    assert difference[320:].any()
    first = int(difference.nonzero()[0])
    assert 320 - StreamingNetwork.halo <= first < 320


@given(st.integers(1, 3000), st.integers(160, 800))
def test_windows_cover_every_column_once_and_see_the_reach(width, widest):
    windows = column_windows(width, widest)
    assert windows[0][0].start == 0
    assert windows[-1][0].stop == width
    for (own, seen), (following, _) in zip(
        windows, [*windows[1:], (slice(width, 0), None)], strict=True
    ):
        assert own.stop == following.start
        assert seen.start % StreamingNetwork.stride == 0
        assert seen.start == max(own.start - 160, 0)
        assert seen.stop == min(own.stop + 160, width)
        assert own.stop - own.start < widest + 160


@torch.no_grad()
def test_bfloat16_is_close_to_float32_and_leaves_the_network_alone():
    before = {name: value.clone() for name, value in NETWORK.state_dict().items()}
    image = noise(64, 64)
    exact, rough = ROWS(image), StreamingNetwork(NETWORK, torch.bfloat16)(image)
    assert rough.dtype == torch.bfloat16
    assert (rough - exact).abs().mean() < 0.02 * exact.std()
    for name, value in NETWORK.state_dict().items():
        assert torch.equal(value, before[name])


def test_which_networks_are_taken():
    assert can_stream(NETWORK)
    assert can_stream(build_model("crackseg", width=2, deep_supervision=True))
    assert not can_stream(build_model("crackseg", encoder="resnet18"))
    assert not can_stream(nn.Conv2d(3, 1, 1))
