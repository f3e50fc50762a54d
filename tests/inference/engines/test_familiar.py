from __future__ import annotations

import numpy as np
import pytest
import torch

from fissura.checkpoint import ModelConfig, save_model
from fissura.inference.engines.familiar import Familiar, Pooled, fit_familiar
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.models import build_model
from fissura.models.lite_unet import LiteUNet

CHANNELS = 112


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A LiteUNet with statistics of photos that are dark."""
    torch.manual_seed(0)
    network = build_model("lite_unet", encoder="efficientnet-lite0").eval()
    config = ModelConfig("lite_unet", {"encoder": "efficientnet-lite0"})
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, network, config)
    predictor = Predictor(network, config, PredictOptions(precision="float32"))
    features = np.concatenate([features_of(predictor, photo(seed)) for seed in range(60)])
    fit_familiar(features[:40], features[40:], components=8).save(folder)
    return folder


def photo(seed, size=(64, 96), light=90):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, rng.uniform(5, 15), (*size, 3))
    return np.clip(light * rng.uniform(0.8, 1.2) + noise, 0, 255).astype(np.uint8)


def features_of(predictor, image):
    pooled = Pooled()
    predictor.network.streaming(predictor.network.normalized(torch.from_numpy(image)[None]), pooled)
    return pooled.mean()


def test_features_are_those_of_the_encoder(folder):
    predictor = Predictor.load(folder, precision="float32")
    network = build_model("lite_unet", encoder="efficientnet-lite0").eval()
    assert isinstance(network, LiteUNet)
    from safetensors.torch import load_file

    network.load_state_dict(load_file(folder / "model.safetensors"))
    image = photo(3)
    with torch.inference_mode():
        wanted = network.encoder(predictor.network.normalized(torch.from_numpy(image)[None]))[3]
    got = features_of(predictor, image)
    assert got.shape == (1, CHANNELS)
    assert np.allclose(got, wanted.mean((2, 3)).numpy(), atol=1e-4)


def test_bands_and_batches_and_whole_photos_agree(folder):
    predictor = Predictor.load(folder, precision="float32")
    images = [photo(seed, (96, 160)) for seed in range(3)]
    alone = [predictor(image).unfamiliarity for image in images]
    batch = [found.unfamiliarity for found in predictor.predictions(images)]
    assert batch == pytest.approx(alone, rel=1e-3)
    wanted = predictor.familiar.unfamiliarity(
        np.concatenate([features_of(predictor, image) for image in images])
    )
    assert alone == pytest.approx(wanted, rel=1e-3)
    compact = [found.unfamiliarity for found in predictor.compact(images)]
    assert compact == pytest.approx(alone, rel=1e-3)


def test_other_photos_are_unfamiliar(folder):
    predictor = Predictor.load(folder, precision="float32")
    known = [predictor(photo(seed)).unfamiliarity for seed in range(100, 120)]
    others = np.zeros((64, 96, 3), np.uint8)
    others[::8] = 255
    assert np.median(known) < 1 < predictor(others).unfamiliarity


def test_probabilities_do_not_change(folder, tmp_path):
    config = ModelConfig("lite_unet", {"encoder": "efficientnet-lite0"})
    network = build_model("lite_unet", encoder="efficientnet-lite0")
    save_model(tmp_path, network, config)
    plain, image = Predictor.load(tmp_path), photo(1)
    with_statistics = Predictor(network, config, familiar=Familiar.load(folder))
    assert plain(image).unfamiliarity is None
    assert np.array_equal(plain.prob(image), with_statistics.prob(image))


def test_distance_is_that_to_the_nearest_photo():
    rng = np.random.default_rng(0)
    train = rng.normal(3, 2, (50, 12)).astype(np.float32)
    known = fit_familiar(train, rng.normal(3, 2, (20, 12)).astype(np.float32), components=5)
    query = rng.normal(3, 2, (4, 12)).astype(np.float32)
    for row, distance in zip(query, known.distance(query), strict=True):
        each = [
            float(np.linalg.norm((row - known.shift) @ known.projection - one))
            for one in known.known
        ]
        assert distance == pytest.approx(min(each), rel=1e-3)
    assert np.all(known.distance(train) < 0.02)  # 16 bits


def test_the_file_holds_what_was_fitted(tmp_path):
    rng = np.random.default_rng(1)
    train = rng.normal(size=(30, 12)).astype(np.float32)
    known = fit_familiar(train, train[:10] + 1, components=4)
    known.save(tmp_path)
    read = Familiar.load(tmp_path)
    assert read is not None
    query = rng.normal(size=(5, 12)).astype(np.float32)
    assert read.unfamiliarity(query) == pytest.approx(known.unfamiliarity(query))
    assert Familiar.load(tmp_path / "none") is None


def test_tiles_tell_nothing(folder):
    assert Predictor.load(folder, tile=64)(photo(1)).unfamiliarity is None
    assert Predictor.load(folder, tta=True)(photo(1)).unfamiliarity is None
