import numpy as np
import pytest
import torch

from fissura.checkpoint import ModelConfig
from fissura.inference.engines.lite_streaming import StreamingLite
from fissura.inference.engines.stages import Stages
from fissura.inference.engines.streaming import column_windows
from fissura.inference.predictor import Predictor
from fissura.models import build_model


def realistic(encoder):
    """A network whose BatchNorm has seen something, so that no layer is the identity."""
    torch.manual_seed(0)
    network = build_model("lite_unet", encoder=encoder)
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(2, 3, 64, 64))
    return network.eval()


NETWORK = realistic("efficientnet-lite0")
CONFIG = ModelConfig(model="lite_unet", options={"encoder": "efficientnet-lite0"})
ROWS = StreamingLite(NETWORK, torch.float32)


@pytest.mark.parametrize("size_hw", [(32, 64), (224, 96)])
@pytest.mark.parametrize("rows", [(32,), (64,), (32, 96, 64), (500,)])
@pytest.mark.parametrize("count", [1, 2])
def test_bands_give_the_whole_image(size_hw, rows, count):
    image = torch.randn(1, 3, *size_hw)
    bands, top = [], 0
    while top < size_hw[0]:
        bands.append(image[:, :, top : top + rows[len(bands) % len(rows)]])
        top += bands[-1].shape[2]
    with torch.inference_mode(), Stages(count) as stages:
        whole = NETWORK(image)
        parts = torch.cat(list(ROWS.stream(bands, stages)), 2)
    assert (parts - whole).abs().max() < 2e-5 * whole.abs().max()


@pytest.mark.parametrize("size_hw", [(1, 1), (33, 70)])
def test_any_size(size_hw):
    image = torch.randn(2, 3, *size_hw)
    with torch.inference_mode():
        whole = NETWORK(image)
        assert (ROWS(image) - whole).abs().max() < 2e-5 * whole.abs().max()


def test_larger_encoders_have_more_blocks():
    network = realistic("efficientnet-lite2")
    image = torch.randn(1, 3, 128, 64)
    with torch.inference_mode():
        whole = network(image)
        parts = StreamingLite(network, torch.float32).stream(image.split(32, 2))
        assert (torch.cat(list(parts), 2) - whole).abs().max() < 2e-5 * whole.abs().max()


def test_bfloat16_is_near():
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        whole = NETWORK(image)
        rough = StreamingLite(NETWORK, torch.bfloat16)(image)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - whole).abs().mean() < 0.03 * whole.abs().mean()


def test_nothing_beyond_the_halo_counts():
    image = torch.randn(1, 3, 32, 1536)
    other = image.clone()
    other[..., :32] += 3
    with torch.inference_mode():
        changed = (NETWORK(image) - NETWORK(other)).abs().amax((0, 1, 2)).nonzero()
    assert 200 < int(changed.max()) < 32 + StreamingLite.halo
    for own, seen in column_windows(3000, 1200, StreamingLite.halo):
        assert seen.start == 0 or own.start - seen.start >= StreamingLite.halo
        assert seen.start % StreamingLite.stride == 0


def test_a_predictor_streams_it_and_tiles_where_asked():
    predictor = Predictor(NETWORK, CONFIG)
    assert predictor.streams
    assert predictor.halo == StreamingLite.halo
    image = np.random.default_rng(0).integers(0, 255, (150, 217, 3), dtype=np.uint8)
    from fissura.inference.options import PredictOptions

    exact = Predictor(NETWORK, CONFIG, PredictOptions(precision="float32", batch_size=8))
    rows = Predictor(NETWORK, CONFIG, PredictOptions(precision="float32"))
    assert np.abs(exact.prob(image) - rows.prob(image)).max() < 1e-4
    tiles = Predictor(NETWORK, CONFIG, PredictOptions(tile=96))
    assert not tiles.streams
    assert tiles.halo is None
