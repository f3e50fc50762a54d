import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fissura.checkpoint import ModelConfig
from fissura.data.synthetic import draw_panel
from fissura.errors import InputError
from fissura.inference.look import looks, mean_width, scale_by_width
from fissura.inference.options import PredictOptions
from fissura.inference.own_scale import OwnScale
from fissura.inference.predictor import Predictor
from fissura.inference.rasters import raster as rasters
from fissura.inference.rasters.raster import chunks_to_do, predict_chunk, predict_raster
from fissura.inference.rasters.raster_files import RasterFiles, recorded
from fissura.raster import open_raster

CPU = {"device": "cpu", "precision": "float32"}


def strip(width, angle, size=400):
    """Probabilities of a straight crack through the middle, of a width in pixels."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    off = np.abs(rows * np.cos(angle) + columns * np.sin(angle))
    return np.where(off <= width / 2, 0.9, 0.1).astype(np.float32)


@given(st.floats(4, 60), st.floats(0, np.pi))
def test_the_width_of_a_strip(width, angle):
    assert mean_width([strip(width, angle)]) == pytest.approx(width, abs=0.6 + 0.06 * width)


def test_widths_are_a_mean_over_pixels_of_all_images():
    both = mean_width([strip(10, 0), strip(30, 0), np.zeros((50, 50), np.float32)])
    assert both == pytest.approx((10 * 10 + 30 * 30) / 40, rel=0.1)  # a wide one has more pixels
    speck = np.zeros((50, 50), np.float32)
    speck[10:13, 10:13] = 1
    assert mean_width([speck]) == 0
    assert mean_width([]) == 0


def test_photos_are_seen_smaller_for_wide_cracks_and_larger_where_they_are_small():
    assert [scale_by_width(width, 257) for width in (0, 17.9, 18.1, 400)] == [1, 1, 0.5, 0.5]
    assert [scale_by_width(width, 256) for width in (0, 7.9, 8.1, 400)] == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("size_hw", "scale", "count"),
    [((300, 500), 0.25, 1), ((1, 7), 1.0, 1), ((1600, 900), 0.25, 2), ((7000, 9000), 0.25, 9),
     ((2400, 9000), 0.125, 3)],
)  # fmt: skip
def test_a_look_sees_all_of_a_photo_or_nine_windows_of_a_large_one(size_hw, scale, count):
    seen = np.zeros(size_hw, bool)

    def read(top, left, bottom, right):
        assert 0 <= top < bottom <= size_hw[0]
        assert 0 <= left < right <= size_hw[1]
        seen[top:bottom, left:right] = True
        return np.zeros((bottom - top, right - left, 3), np.uint8)

    found = list(looks(read, size_hw, scale))
    assert len(found) == count
    assert max(max(one.shape) for one in found) <= 384 or max(size_hw) * scale < 384
    if max(size_hw) * scale <= 3 * 384:
        assert seen.all()
    else:
        assert seen[[0, 0, -1, -1], [0, -1, 0, -1]].all()


class Dark(nn.Module):
    """Whatever is dark is crack."""

    def forward(self, image):
        return 12 * (-image.mean(dim=1, keepdim=True) - 0.4)


@pytest.fixture(scope="module")
def predictor():
    return dark()


def dark(**options):
    """A predictor of a network that knows cracks by nothing but their color."""
    config = ModelConfig(
        model="crackseg",
        options={"width": 2},
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        auto_scale=True,
        measuring={"min_prob": 0.7},
    )
    return Predictor(Dark(), config, PredictOptions(**CPU, **options))


def surface(size_hw, seed=0):
    """Fine grain, so that no detail is lost by halving it."""
    noise = np.random.default_rng(seed).normal(150, 14, size_hw)
    return np.repeat(np.clip(noise, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def cracked(size_hw, width):
    image = surface(size_hw)
    height, across = size_hw
    along = [(0, 0.4), (0.3, 0.5), (0.6, 0.45), (1, 0.6)]
    points = np.array([(across * x, height * y) for x, y in along]).astype(np.int32)
    cv2.polylines(image, [points.reshape(-1, 1, 2)], False, (25, 25, 25), width)
    return image


@pytest.mark.parametrize(
    ("size_hw", "width", "scale"),
    [((600, 800), 4, 1.0), ((600, 800), 60, 0.5), ((200, 240), 2, 2.0), ((200, 240), 20, 1.0)],
)
def test_a_predictor_takes_a_photo_by_the_width_of_its_cracks(predictor, size_hw, width, scale):
    image = cracked(size_hw, width)
    found = predictor(image)
    assert found.scale == predictor.scale_of(image) == scale
    assert np.array_equal(found.prob, predictor.at(scale).prob(image))
    assert found.mask.any()
    assert [one.scale for one in predictor.compact([image])] == [scale]


def test_the_threshold_of_the_mask_does_not_change_the_scale():
    image = cracked((600, 800), 60)
    for options in ({"threshold": 0.9}, {"keep_unsure": True}, {"threshold": 0.05}):
        assert dark(**options).scale_of(image) == 0.5


def test_a_scale_that_is_given_is_kept(predictor):
    image = cracked((600, 800), 60)
    fixed = dark(scale=1.0)
    assert fixed.scale_of(image) == fixed(image).scale == 1
    assert predictor.at(0.7).scale_of(image) == 0.7


@pytest.fixture
def wide(tmp_path):
    """A photo of wide cracks as a raster."""
    rasterio = pytest.importorskip("rasterio")
    image = cracked((600, 800), 60)
    file = tmp_path / "photo.tif"
    with rasterio.open(
        file, "w", driver="GTiff", height=600, width=800, count=3, dtype="uint8", photometric="RGB"
    ) as out:
        out.write(image.transpose(2, 0, 1))
    return file, image


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_has_the_scale_of_the_photo(predictor, wide, tmp_path):
    file, image = wide
    with open_raster(file) as raster:
        done = predict_raster(
            predictor, raster, RasterFiles.below(tmp_path / "out", "photo"), model="fissura-general"
        )
    assert done.scale == predictor.scale_of(image) == 0.5


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_chunks_on_other_machines_have_the_scale_of_the_first(
    predictor, wide, tmp_path, monkeypatch
):
    """Their rounding might choose another: half of a raster would be at half the scale."""
    file, _ = wide
    monkeypatch.setattr(rasters, "CHUNK_ROWS", 320)
    files = RasterFiles.below(tmp_path / "out", "photo")
    with open_raster(file) as raster:
        todo = chunks_to_do(predictor, raster, files, model="fissura-general")
        assert len(todo) == 2
        monkeypatch.setattr(Predictor, "scale_by_windows", lambda self, read, size_hw: 1.0)
        for index in todo:
            predict_chunk(predictor, raster, files, index)
        done = predict_raster(predictor, raster, files, model="fissura-general", chunk_rows=320)
        assert (done.scale, done.computed, recorded(files)["scale"]) == (0.5, 0, 0.5)
        other = dark(threshold=0.6)
        with pytest.raises(InputError, match="threshold"):
            predict_raster(other, raster, files, model="fissura-general", chunk_rows=320)


def test_a_photo_at_any_size_gives_the_same_cracks(predictor):
    """Enlarged to the double it is seen at half the scale, wide cracks or not."""
    image = draw_panel(3, 2, size_hw=(400, 480)).image
    twice = cv2.resize(image, (960, 800), interpolation=cv2.INTER_CUBIC)
    assert predictor.scale_of(twice) == predictor.scale_of(image) / 2


def test_an_enlarged_photo_is_as_familiar_as_it_is():
    """The photos of the training were not enlarged."""
    image = cracked((200, 240), 2)
    own = Predictor.load("fissura-general", **CPU)
    once, twice = (Predictor.load("fissura-general", scale=scale, **CPU) for scale in (1.0, 2.0))
    found = own(image)
    assert found.scale == 2
    assert found.unfamiliarity == pytest.approx(once(image).unfamiliarity, rel=1e-5)
    assert found.unfamiliarity != pytest.approx(twice(image).unfamiliarity, rel=1e-2)
    assert [one.unfamiliarity for one in own.compact([image])] == [found.unfamiliarity]


def test_a_photo_whose_look_fails_costs_that_photo(predictor, monkeypatch):
    """The memory of a device may not suffice for it."""
    images = [cracked((300, 400), 4), cracked((310, 400), 4), cracked((320, 400), 4)]
    look = OwnScale.of

    def fails(own, read, size_hw):
        if size_hw[0] == 310:
            raise InputError("The memory does not suffice.")
        return look(own, read, size_hw)

    monkeypatch.setattr(OwnScale, "of", fails)
    found = list(predictor.attempts(images))
    assert [isinstance(one, InputError) for one in found] == [False, True, False]
    with pytest.raises(InputError, match="memory"):
        list(predictor.predictions(images))
