"""Whole photos through small networks whose answers are known."""

import sys
import threading
import weakref

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from fissura.checkpoint import ModelConfig, save_model
from fissura.errors import InputError
from fissura.inference import network
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.models import build_model
from fissura.models.normalize import normalize


class Darkness(nn.Module):
    """Logits that depend on one pixel alone: dark is crack. Remembers the batches it saw."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))
        self.batches = []

    def forward(self, image):
        self.batches.append(tuple(image.shape))
        return self.bias - 2 * image.float().mean(1, keepdim=True)


class Slope(nn.Module):
    """Logits that depend on the place in the tile: every view gives another answer."""

    def forward(self, image):
        height, width = image.shape[-2:]
        y, x = torch.arange(height)[:, None], torch.arange(width)[None]
        return (image[:, :1] + 0.1 * y - 0.03 * x * y).float()


def config(**values):
    return ModelConfig(model="crackseg", options={"width": 4}, **values)


def predictor(model=None, *, card=None, **options):
    options = {"device": "cpu", "precision": "float32", **options}
    return Predictor(model or Darkness(), card or config(), PredictOptions(**options))


def photo(height, width, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def darkness(image, card=None):
    card = card or config()
    x = (image / 255.0 - np.array(card.mean)) / np.array(card.std)
    return 1 / (1 + np.exp(2 * x.mean(-1)))


@pytest.mark.parametrize("size", [(40, 50), (64, 64), (65, 64), (200, 150), (1, 130), (33, 7)])
def test_prob_of_any_size_is_the_networks(size):
    image = photo(*size)
    prob = predictor(tile=64).prob(image)
    assert prob.dtype == np.float32
    assert prob.shape == size
    np.testing.assert_allclose(prob, darkness(image), atol=1e-5)


def test_normalization_is_the_configs():
    card = config(mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.3))
    image = photo(30, 30)
    np.testing.assert_allclose(predictor(card=card).prob(image), darkness(image, card), atol=1e-5)


def test_prediction_has_everything():
    image = photo(90, 70)
    prediction = predictor(tile=64, threshold=0.3)(image)
    assert prediction.threshold == 0.3
    assert np.array_equal(prediction.mask, prediction.prob >= 0.3)
    assert prediction.crack_fraction == prediction.mask.mean()
    assert 0 < prediction.crack_fraction < 1
    assert prediction.seconds > 0


def test_threshold_and_scale_are_the_configs_where_not_given():
    card = config(threshold=0.7, scale=0.5)
    assert predictor(card=card).threshold == 0.7
    assert predictor(card=card).scale == 0.5
    assert predictor(card=card, threshold=0.2, scale=1.0).threshold == 0.2
    assert predictor(card=card, threshold=0.2, scale=1.0).scale == 1.0


def test_path_of_a_file_is_read(tmp_path):
    image = photo(40, 30)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    expected = predictor()(image).prob
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(predictor()(path).prob, expected)
    with pytest.raises(InputError, match=r"b\.png"):
        predictor()(tmp_path / "b.png")


def test_scale_shrinks_by_area_and_grows_back_bilinearly():
    image = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    model = Darkness()
    prob = predictor(model, card=config(scale=0.25)).prob(image)
    assert model.batches == [(1, 3, 30, 50)]
    small = cv2.resize(image, (50, 30), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(darkness(small), (200, 120), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(prob, expected, atol=1e-5)
    model.batches.clear()
    assert predictor(model, scale=2.0).prob(image).shape == (120, 200)
    assert model.batches == [(1, 3, 240, 400)]
    assert predictor(scale=0.01).prob(photo(40, 30)).shape == (40, 30)


def test_small_images_of_one_size_share_a_batch_of_as_many_pixels_as_the_tiles():
    sizes = [(32, 40)] * 7 + [(40, 32)] * 2 + [(100, 80)] * 2 + [(40, 32)]
    images = [photo(*size, seed=i) for i, size in enumerate(sizes)]
    model = Darkness()
    probs = list(predictor(model, tile=64, batch_size=2).probs(iter(images)))
    for image, prob in zip(images, probs, strict=True):
        np.testing.assert_allclose(prob, darkness(image), atol=1e-5)
    small = [batch for batch in model.batches if 64 not in batch[2:]]
    assert small == [(6, 3, 32, 40), (1, 3, 32, 40), (2, 3, 40, 32), (1, 3, 40, 32)]
    tiles = [batch for batch in model.batches if 64 in batch[2:]]
    assert {batch[0] for batch in tiles} == {2}
    assert len(tiles) == 2 * 3  # 3 × 2 tiles each


def test_images_are_taken_no_earlier_than_needed():
    taken = []

    def images():
        for i in range(100):
            taken.append(i)
            yield photo(20, 20)

    next(predictor(tile=32, batch_size=2).probs(images()))
    assert len(taken) == 2 * 32**2 // 20**2
    taken.clear()
    next(predictor().probs(images()))
    assert len(taken) == 64


@pytest.mark.parametrize("size", [(30, 40), (100, 70)])
def test_tta_is_the_mean_over_the_eight_views(size):
    image = photo(*size)
    one, eight = (predictor(Slope(), tile=128, tta=tta) for tta in (False, True))
    views = []
    for turns in range(4):
        for flipped in (False, True):
            view = np.rot90(image[:, ::-1] if flipped else image, turns)
            prob = np.rot90(one.prob(np.ascontiguousarray(view)), -turns)
            views.append(prob[:, ::-1] if flipped else prob)
    np.testing.assert_allclose(eight.prob(image), np.mean(views, axis=0), atol=1e-5)


def test_tta_of_a_turned_photo_is_the_turned_result():
    torch.manual_seed(0)
    model = build_model("crackseg", width=2)
    image = photo(96, 64)
    eight = predictor(model, tta=True)
    turned = eight.prob(np.ascontiguousarray(np.rot90(image)))
    np.testing.assert_allclose(np.rot90(turned, -1), eight.prob(image), atol=1e-5)


def test_results_are_the_same_every_time_and_on_every_array_layout():
    torch.manual_seed(0)
    model = build_model("crackseg", width=2)
    image = photo(150, 100)
    first = predictor(model, tile=64).prob(image)
    assert np.array_equal(predictor(model, tile=64).prob(image), first)
    turned = np.asfortranarray(image)
    assert np.array_equal(predictor(model, tile=64).prob(turned), first)
    backwards = np.ascontiguousarray(image[::-1])[::-1]
    assert np.array_equal(predictor(model, tile=64).prob(backwards), first)
    image.flags.writeable = False
    assert np.array_equal(predictor(model, tile=64).prob(image), first)
    other_batches = predictor(model, tile=64, batch_size=3).prob(image)
    np.testing.assert_allclose(other_batches, first, atol=1e-5)


def test_bfloat16_is_close_to_float32():
    torch.manual_seed(0)
    model = build_model("crackseg", width=4)
    image = photo(96, 96)
    exact = predictor(model).prob(image)
    rough = predictor(model, precision="bfloat16").prob(image)
    assert rough.dtype == np.float32
    assert not np.array_equal(rough, exact)
    np.testing.assert_allclose(rough, exact, atol=0.03)


def test_the_model_is_put_into_evaluation_mode():
    model = build_model("crackseg", width=2).train()
    predictor(model)
    assert not model.training


def test_load_from_a_run_folder(tmp_path):
    torch.manual_seed(0)
    model = build_model("crackseg", width=4)
    save_model(tmp_path / "model", model, config(threshold=0.4))
    image = photo(50, 60)
    loaded = Predictor.load(tmp_path, device="cpu", precision="float32", tile=64)
    assert loaded.threshold == 0.4
    np.testing.assert_allclose(loaded.prob(image), predictor(model).prob(image), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile": 100}, "multiple of 32"),
        ({"tile": 0}, "multiple of 32"),
        ({"overlap": 1.0}, "overlap"),
        ({"batch_size": 0}, "batch size"),
        ({"scale": 0.0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"threshold": 1.5}, "threshold"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_options_out_of_range_are_input_errors(options, words):
    with pytest.raises(InputError, match=words):
        predictor(**options)


@pytest.mark.parametrize(
    "image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)]
)
def test_arrays_that_are_no_photos(image):
    with pytest.raises((ValueError, TypeError)):  # beartype sees the wrong dtype first
        predictor().prob(image)


def test_out_of_memory_says_what_to_do():
    class Greedy(nn.Module):
        def forward(self, image):
            raise torch.OutOfMemoryError("no more")

    with pytest.raises(InputError, match="smaller --tile"):
        predictor(Greedy()).prob(photo(10, 10))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    torch.manual_seed(0)
    model = build_model("crackseg", width=4)
    image = photo(300, 200)
    here = predictor(model, tile=128).prob(image)
    there = predictor(model, tile=128, device="cuda").prob(image)
    np.testing.assert_allclose(there, here, atol=5e-3)


def crackseg(width=2):
    torch.manual_seed(0)
    return build_model("crackseg", width=width).eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [(40, 50), (700, 90), (90, 700), (33, 7)])
def test_a_crackseg_gives_the_probabilities_of_the_whole_photo(size, monkeypatch):
    monkeypatch.setattr(network, "BAND_BYTES", 4 * 200 * 64)
    monkeypatch.setattr(network, "WIDEST", 320)
    model, image = crackseg(), photo(*size)
    x = torch.from_numpy(image).permute(2, 0, 1)[None]
    whole = model(normalize(x, config().mean, config().std))[0, 0].sigmoid().numpy()
    np.testing.assert_allclose(predictor(model).prob(image), whole, atol=1e-5)


def test_tiles_are_taken_where_they_are_asked_for():
    image = photo(200, 300)
    whole = predictor(crackseg()).prob(image)
    tiled = predictor(crackseg(), tile=96).prob(image)
    assert not np.array_equal(tiled, whole)
    assert np.abs(tiled - whole).mean() < 0.01


@pytest.mark.parametrize(("highest", "kind"), [(65535, np.uint16), (255, np.uint8)])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_compact_predictions_are_the_predictions(scale, highest, kind):
    images = [photo(120, 90), photo(50, 60), photo(50, 60, seed=1)]
    settings = {"scale": scale, "threshold": 0.4, "tile": 64}
    predictions = predictor(**settings).predictions(images)
    compact = list(predictor(**settings).compact(images, highest=highest))
    for prediction, found in zip(predictions, compact, strict=True):
        assert found.mask.dtype == np.uint8
        assert np.array_equal(found.mask, prediction.mask * np.uint8(255))
        assert found.prob.dtype == kind
        np.testing.assert_allclose(found.prob / highest, prediction.prob, atol=1 / highest)
        again = found.prob.astype(np.float32) / np.float32(highest) >= 0.4
        assert np.array_equal(again, prediction.mask)
        assert found.crack_fraction == pytest.approx(prediction.crack_fraction)
        assert found.threshold == 0.4
    assert next(predictor().compact(images)).prob is None


class Brittle(Darkness):
    """Fails on batches with a photo that begins with a black pixel."""

    def forward(self, image):
        if (image[:, :, 0, 0] < -1.7).all(1).any():
            raise MemoryError
        return super().forward(image)


@pytest.mark.parametrize("size", [(20, 20), (90, 70)])
def test_one_photo_that_fails_is_an_error_in_its_turn_and_the_others_go_on(size):
    images = [photo(*size, seed=seed) for seed in range(5)]
    images[2][0, 0] = 0
    made = list(predictor(Brittle(), tile=64).attempts(iter(images), highest=65535))
    assert [isinstance(each, MemoryError) for each in made] == [i == 2 for i in range(5)]
    expected = list(predictor(tile=64).compact([image for i, image in enumerate(images) if i != 2]))
    for found, alone in zip([each for i, each in enumerate(made) if i != 2], expected, strict=True):
        assert np.array_equal(found.mask, alone.mask)
    with pytest.raises(MemoryError):
        list(predictor(Brittle(), tile=64).compact(images))


@pytest.fixture
def three_threads():
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("options", [{}, {"tile": 64}])
@pytest.mark.parametrize(("size", "count"), [((160, 100), 1), ((30, 40), 5)])
def test_several_cores_give_the_same_as_one(size, count, options, three_threads):
    images = [photo(*size, seed=seed) for seed in range(count)]
    together = [list(predictor(crackseg(), **options).probs(images)) for _ in range(2)]
    assert torch.get_num_threads() == 3
    torch.set_num_threads(1)
    alone = list(predictor(crackseg(), **options).probs(images))
    for one, first, again in zip(alone, *together, strict=True):
        assert np.array_equal(first, again)
        np.testing.assert_allclose(first, one, atol=1e-5)


def test_an_error_beside_other_threads_leaves_none_of_them(three_threads):
    image = photo(90, 70)
    image[0, 0] = 0
    before = threading.active_count()
    for _ in range(2):
        with pytest.raises(MemoryError):
            predictor(Brittle(), tile=64).prob(image)
    assert threading.active_count() == before
    assert torch.get_num_threads() == 3


def test_photos_are_let_go_as_soon_as_they_are_predicted():
    seen = []

    def images():
        for seed in range(4):
            image = photo(100, 70, seed)
            seen.append(weakref.ref(image))
            yield image
            del image
            assert seen[-1]() is None

    for _ in predictor(tile=64).compact(images()):
        pass


@pytest.mark.parametrize(
    ("precision", "most"),
    [("float32", 1e-4), pytest.param("bfloat16", 0.05, marks=pytest.mark.slow)],
)
def test_openvino_gives_the_same(precision, most):
    pytest.importorskip("openvino")
    image, model = photo(70, 50), crackseg()
    expected = predictor(model, tile=64).prob(image)
    found = predictor(model, tile=64, engine="openvino", precision=precision).prob(image)
    np.testing.assert_allclose(found, expected, atol=most)


def test_openvino_that_is_not_there_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"pip install 'fissura\[openvino\]'"):
        predictor(crackseg(), engine="openvino")


def spots():
    """A light wall with a spot that is sure to be crack, and one that is not, 12 pixels each."""
    image = np.full((40, 60, 3), 255, np.uint8)
    image[5:8, 10:14], image[20:23, 30:34] = 20, 95
    image[30, 40:46] = (90,) * 3
    image[30, 46:49] = 20  # this end is sure
    return image


SURE = config(threshold=0.5, measuring={"min_prob": 0.9})


@pytest.mark.parametrize("tile", [None, 32])
def test_parts_that_the_model_is_nowhere_sure_of_are_left_out(tile):
    image = spots()
    found = predictor(card=SURE, tile=tile)(image)
    everything = predictor(card=SURE, tile=tile, keep_unsure=True)(image)
    expected = darkness(image) >= 0.5
    np.testing.assert_array_equal(everything.mask, expected)
    expected[20:23] = False  # the faint spot
    expected[30] = False  # a part whose ten surest pixels are unsure in the mean
    np.testing.assert_array_equal(found.mask, expected)
    np.testing.assert_array_equal(found.mask, found.prob >= 0.5)
    assert found.crack_fraction == expected.mean() > 0
    np.testing.assert_array_equal(found.prob[expected], everything.prob[expected])
    below = ~everything.mask
    np.testing.assert_array_equal(found.prob[below], everything.prob[below])


@pytest.mark.parametrize("highest", [None, 255, 65535])
def test_compact_predictions_leave_out_the_same_parts(highest):
    image = spots()
    (compact,) = predictor(card=SURE).compact([image], highest=highest)
    whole = predictor(card=SURE)(image)
    np.testing.assert_array_equal(compact.mask == 255, whole.mask)
    assert compact.crack_fraction == whole.crack_fraction
    if highest is not None:
        np.testing.assert_array_equal(compact.prob / np.float32(highest) >= 0.5, whole.mask)


def test_all_parts_stay_at_a_threshold_of_ones_own_and_where_the_model_knows_none():
    image = spots()
    assert predictor(card=SURE).min_prob == 0.9
    assert predictor(card=SURE).keeping_unsure().min_prob == 0
    assert predictor(card=SURE, threshold=0.4).min_prob == 0
    assert predictor(card=config(threshold=0.5)).min_prob == 0
    mask = predictor(card=SURE, threshold=0.4)(image).mask
    np.testing.assert_array_equal(mask, darkness(image) >= 0.4)


def test_a_photo_seen_smaller_needs_as_many_pixels_there():
    """At half the size the model sees a quarter of the pixels, so ten of the line are twenty."""
    image = np.full((64, 64, 3), 255, np.uint8)
    image[20:22, 8:56] = 90
    image[20:22, 8:18] = 20
    card = config(threshold=0.5, measuring={"min_prob": 0.88})
    assert predictor(card=card)(image).mask.any()
    doubted = predictor(card=card, scale=0.5)
    assert doubted.keeping_unsure()(image).mask.any()
    surest = np.sort(doubted.keeping_unsure().prob(image), axis=None)[::-1]
    assert doubted(image).mask.any() == (surest[:20].mean() >= 0.88)
