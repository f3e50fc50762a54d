"""Images in chunks: the prediction of the whole photo, through kills, and in its place."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from fissura.checkpoint import ModelConfig, save_model
from fissura.errors import InputError
from fissura.inference import unsure
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inference.rasters import chunks
from fissura.inference.rasters import raster as large
from fissura.inference.rasters.opening import probability_reader, raster_of
from fissura.inference.rasters.raster import predict_raster
from fissura.inference.rasters.raster_files import RasterFiles
from fissura.inference.rasters.windows import filled, intervals
from fissura.models import build_model
from fissura.raster import open_raster

rasterio = pytest.importorskip("rasterio", reason="the extra fissura[geo] is not installed")
from affine import Affine  # noqa: E402
from rasterio.enums import ColorInterp  # noqa: E402

NORTH_UP = Affine(0.001, 0, 500000, 0, -0.001, 5500000)
THRESHOLD = 0.45
OUTS = ("probability.tif", "mask.tif")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    card = ModelConfig(model="crackseg", options={"width": 2}, threshold=THRESHOLD)
    save_model(folder / "model", build_model("crackseg", width=2), card)
    return folder


@pytest.fixture(scope="module")
def image():
    """Blurred noise, (700, 90, 3): taller than two halos."""
    import cv2

    pixels = np.random.default_rng(0).integers(0, 256, (700, 90, 3)).astype(np.uint8)
    return cv2.GaussianBlur(pixels, (0, 0), 1.5)


def write(path, pixels, alpha=None, **profile):
    bands = np.moveaxis(pixels, -1, 0)
    if alpha is not None:
        bands = np.concatenate([bands, alpha[None]])
    profile = {"crs": "EPSG:32633", "transform": NORTH_UP, **profile}
    height, width = pixels.shape[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        dataset = rasterio.open(
            path, "w", driver="GTiff", dtype="uint8", count=len(bands), height=height, width=width,
            **profile,
        )  # fmt: skip
    with dataset:
        if alpha is not None:
            colors = ("red", "green", "blue", "alpha")
            dataset.colorinterp = [ColorInterp[color] for color in colors]
        dataset.write(bands)
    return path


@pytest.fixture
def file(tmp_path, image):
    return write(tmp_path / "deck.tif", image)


def predictor(model, **options):
    return Predictor.load(model, device="cpu", precision="float32", **options)


def predict(model, file, out, *, chunk_rows=160, using=None, **options):
    out.mkdir(exist_ok=True)
    files = RasterFiles(out / OUTS[0], out / OUTS[1], out / "work")
    with open_raster(file) as raster:
        return predict_raster(
            using or predictor(model), raster, files,
            model=model, chunk_rows=chunk_rows, **{"console": Console(quiet=True), **options},
        )  # fmt: skip


def read(out):
    arrays = []
    for name in OUTS:
        with probability_reader(out / name) as reader:
            arrays.append(reader.read(0, 0, *reader.size_hw))
    return arrays


def contents(out):
    return [(out / name).read_bytes() for name in OUTS]


def agree(out, prob):
    """Probabilities within one of 255 of the whole photo's, and its mask."""
    quantized, mask = read(out)
    assert quantized.shape == prob.shape
    assert np.abs(quantized - 255 * prob).max() <= 1
    np.testing.assert_array_equal(mask, (prob >= THRESHOLD) * np.uint8(255))
    assert ((mask == 255) == (quantized / 255 >= THRESHOLD)).all()
    assert set(np.unique(mask)) == {0, 255}


@pytest.mark.parametrize("chunk_rows", [96, 160, 2048])
def test_chunks_give_the_prediction_of_the_whole(model, image, file, tmp_path, chunk_rows):
    result = predict(model, file, tmp_path / "out", chunk_rows=chunk_rows)
    agree(tmp_path / "out", predictor(model).prob(image))
    assert result.chunks == result.computed == -(-700 // chunk_rows)
    assert result.valid_fraction == 1
    mask = read(tmp_path / "out")[1]
    assert result.crack_fraction == pytest.approx((mask > 0).mean())
    assert result.threshold == THRESHOLD


@pytest.mark.parametrize(("chunk_rows", "scale"), [(96, 1.0), (160, 1.0), (160, 0.5)])
def test_parts_across_chunks_are_left_out_as_of_the_whole(
    image, file, tmp_path, monkeypatch, chunk_rows, scale
):
    """Some parts go and some stay, and those that cross from chunk to chunk are judged whole."""
    torch.manual_seed(0)
    network = build_model("crackseg", width=2)
    card = ModelConfig(model="crackseg", options={"width": 2})
    prob = Predictor(network, card, PredictOptions(scale=scale)).prob(image)
    threshold, least = (float(np.quantile(prob, fraction)) for fraction in (0.9, 0.998))
    card = replace(card, threshold=threshold, measuring={"min_prob": least})
    save_model(tmp_path / "model", network, card)
    using = predictor(tmp_path / "model", scale=scale)
    assert using.min_prob == least
    monkeypatch.setattr(unsure, "PIXELS", 5000)
    predict(tmp_path / "model", file, tmp_path / "out", chunk_rows=chunk_rows, using=using)
    whole, everything = using(image), using.keeping_unsure()(image)
    kept, mask = whole.mask.sum() / everything.mask.sum(), read(tmp_path / "out")[1]
    assert 0 < kept < 1
    assert (mask.astype(bool) == whole.mask).mean() > 0.999  # 8 bits may tip a part
    settings = json.loads((tmp_path / "out" / "work" / "settings.json").read_text())
    assert settings["min_prob"] == least


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_chunks_of_resampled_images(model, image, file, tmp_path, scale):
    using = predictor(model, scale=scale)
    predict(model, file, tmp_path / "out", using=using)
    agree(tmp_path / "out", using.prob(image))


def test_chunks_of_an_odd_scale_are_near(model, tmp_path):
    """Rows are resampled on another grid then, by less than half a row."""
    import cv2

    pixels = np.random.default_rng(1).integers(0, 256, (1500, 90, 3)).astype(np.uint8)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 6)
    file = write(tmp_path / "smooth.tif", pixels)
    using = predictor(model, scale=0.37)
    predict(model, file, tmp_path / "out", using=using, chunk_rows=300)
    quantized, _ = read(tmp_path / "out")
    off = np.abs(quantized - 255 * using.prob(pixels))
    assert np.quantile(off, 0.99) < 5


def test_chunks_of_a_network_by_tiles_are_near(model, image, file, tmp_path):
    using = predictor(model, tile=64)
    predict(model, file, tmp_path / "out", using=using)
    quantized, _ = read(tmp_path / "out")
    off = np.abs(quantized - 255 * using.prob(image))
    assert np.quantile(off, 0.99) < 5


@pytest.mark.parametrize("profile", [{}, {"tiled": True, "blockxsize": 64, "blockysize": 64}])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_long_rows_are_cut_too(model, image, tmp_path, monkeypatch, scale, profile):
    monkeypatch.setattr(chunks, "WIDEST", 512)
    monkeypatch.setattr(chunks, "MOST_COLUMNS", 1000)
    wide = image.swapaxes(0, 1).copy()
    using = predictor(model, scale=scale)
    seen = []
    monkeypatch.setattr(chunks, "even", lambda window, *_: (seen.append(window.shape), window)[1])
    file = write(tmp_path / "wide.tif", wide, **profile)
    predict(model, file, tmp_path / "out", using=using)
    assert len(seen) > 1
    assert max(width for _, width, _ in seen) <= 512 / scale
    agree(tmp_path / "out", using.prob(wide))


@pytest.mark.parametrize(
    ("length", "step", "scale", "halo"),
    [(5000, 700, 0.37, 160), (999, 32, 3.7, 256), (31, 64, 1, 160), (40, 3, 8, 256)],
)
def test_intervals_cover_an_axis_once_and_see_enough(length, step, scale, halo):
    found = intervals(length, step, scale, halo)
    assert [interval.index for interval in found] == list(range(len(found)))
    assert [each.start for each in found[1:]] == [each.stop for each in found[:-1]]
    assert (found[0].start, found[-1].stop) == (0, length)
    for interval in found:
        first, last = interval.seen.start, interval.seen.stop
        assert interval.start < interval.stop
        assert first == 0 or interval.start - first >= halo / scale - 1
        assert last == length or last - interval.stop >= halo / scale - 1
        phase = first * scale / 32
        assert abs(phase - round(phase)) * 32 <= 0.5 * scale + 1e-9


def test_the_results_are_georeferenced_tiled_and_compressed(model, file, tmp_path):
    predict(model, file, tmp_path / "out")
    for name in OUTS:
        with rasterio.open(tmp_path / "out" / name) as dataset:
            assert dataset.crs.to_epsg() == 32633
            assert dataset.transform == NORTH_UP
            assert dataset.shape == (700, 90)
            assert dataset.dtypes == ("uint8",)
            assert dataset.block_shapes == [(512, 512)]
            assert dataset.compression.name == "deflate"
            assert dataset.nodata is None
    with rasterio.open(tmp_path / "out" / OUTS[0]) as dataset:
        assert dataset.scales == (1 / 255,)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*sorted(OUTS), "work"]
    assert [path.name for path in (tmp_path / "out" / "work").iterdir()] == ["settings.json"]


def test_plain_images_stay_plain(model, image, tmp_path):
    file = write(tmp_path / "plain.tif", image[:200], crs=None, transform=None)
    predict(model, file, tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "out" / OUTS[1]) as dataset:
            assert dataset.crs is None


def test_empty_areas_hold_no_crack(model, image, tmp_path, monkeypatch):
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[:330] = alpha[:, :40] = 0  # two chunks and more
    seen = []
    monkeypatch.setattr(large.Raster, "read", spied(large.Raster.read, seen))
    file = write(tmp_path / "ortho.tif", image, alpha)
    result = predict(model, file, tmp_path / "out", using=predictor(model, threshold=0.0))
    quantized, mask = read(tmp_path / "out")
    assert not quantized[alpha == 0].any()
    assert not mask[alpha == 0].any()
    assert quantized[alpha > 0].all()
    assert result.valid_fraction == pytest.approx((alpha > 0).mean())
    assert result.crack_fraction == 1
    assert [window[1] for window in seen] == [160, 320, 480]  # the first chunks are not even read


def test_the_edge_of_an_empty_area_is_not_seen(model, image, tmp_path):
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[:, :30] = alpha[600:] = 0
    black = image * (alpha > 0)[..., None].astype(np.uint8)
    predict(model, write(tmp_path / "ortho.tif", black, alpha), tmp_path / "out")
    beside = np.pad(image[:600, 30:], ((0, 100), (30, 0), (0, 0)), mode="edge")
    expected = 255 * predictor(model).prob(beside)
    quantized, _ = read(tmp_path / "out")
    assert np.abs(quantized - expected)[alpha > 0].max() <= 1


def test_empty_pixels_are_filled_with_the_nearest_colors():
    valid = np.zeros((40, 50), bool)
    valid[10:12, 10:12] = valid[30, 40] = True
    colors = np.random.default_rng(0).integers(1, 256, (40, 50, 3)).astype(np.uint8)
    image = filled(colors * valid[..., None].astype(np.uint8), valid)
    assert (image[valid] == colors[valid]).all()
    assert (image[0, 0] == colors[10, 10]).all()
    assert (image[11, 20] == colors[11, 11]).all()
    assert (image[39, 49] == colors[30, 40]).all()
    for whole in (np.ones_like(valid), np.zeros_like(valid)):
        assert (filled(colors, whole) == colors).all()


def spied(function, seen):
    def spy(self, top, left, bottom, right):
        seen.append((self, top, bottom))
        return function(self, top, left, bottom, right)

    return spy


class KilledError(Exception):
    pass


def interrupt(monkeypatch, after):
    """Let prediction fail after so many chunks."""
    predict_rows, count = large.predict_rows, iter(range(10**6))

    def failing(*arguments):
        if next(count) >= after:
            raise KilledError
        return predict_rows(*arguments)

    monkeypatch.setattr(large, "predict_rows", failing)


def test_interrupted_and_resumed_it_gives_the_same_bytes(model, file, tmp_path, monkeypatch):
    predict(model, file, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, 2)
        with pytest.raises(KilledError):
            predict(model, file, tmp_path / "out")
    assert not any((tmp_path / "out" / name).exists() for name in OUTS)
    parts = sorted((tmp_path / "out" / "work").glob("chunk-*"))
    times = [part.stat().st_mtime_ns for part in parts]
    assert len(parts) == 2
    (tmp_path / "out" / "work" / ".chunk-00002.123.tmp.npz").write_bytes(b"half")
    (tmp_path / "out" / ".mask.123.tmp.tif").write_bytes(b"half")
    with monkeypatch.context() as patch:
        kept = []
        assemble = large.assemble
        patch.setattr(
            large, "assemble",
            lambda *args, **options: (
                kept.extend(p.stat().st_mtime_ns for p in parts), assemble(*args, **options)
            )[1],
        )  # fmt: skip
        result = predict(model, file, tmp_path / "out")
    assert (result.chunks, result.computed) == (5, 3)
    assert kept == times
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*sorted(OUTS), "work"]


def test_interrupted_while_assembling(model, file, tmp_path, monkeypatch):
    predict(model, file, tmp_path / "whole")
    with monkeypatch.context() as patch:
        # The mask is there then, and the probability is not.
        patch.setattr(large, "record", lambda *_: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            predict(model, file, tmp_path / "out")
    (tmp_path / "out" / OUTS[0]).unlink()
    assert predict(model, file, tmp_path / "out").computed == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_done_is_done(model, file, tmp_path, monkeypatch):
    first = predict(model, file, tmp_path / "out")
    times = [(tmp_path / "out" / name).stat().st_mtime_ns for name in OUTS]
    interrupt(monkeypatch, 0)
    again = predict(model, file, tmp_path / "out")
    assert [(tmp_path / "out" / name).stat().st_mtime_ns for name in OUTS] == times
    assert again.computed == 0
    assert again.crack_fraction == first.crack_fraction


def test_a_result_that_was_lost_is_made_again(model, file, tmp_path):
    predict(model, file, tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / OUTS[1]).unlink()
    assert predict(model, file, tmp_path / "out").computed == 5
    assert contents(tmp_path / "out") == before


def test_other_settings_are_told_apart(model, image, file, tmp_path):
    predict(model, file, tmp_path / "out")
    other = predictor(model, threshold=0.3)
    with pytest.raises(InputError, match=r"other settings \(threshold\).*--overwrite"):
        predict(model, file, tmp_path / "out", using=other)
    write(file, image[:200])
    with pytest.raises(InputError, match=r"other settings \(image\)"):
        predict(model, file, tmp_path / "out")
    result = predict(model, file, tmp_path / "out", overwrite=True)
    assert result.computed == 2
    with probability_reader(tmp_path / "out" / OUTS[1]) as reader:
        assert reader.size_hw == (200, 90)


def test_nothing_of_the_users_is_overwritten(model, file, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / OUTS[1]).write_bytes(b"mine")
    with pytest.raises(InputError, match=r"mask\.tif is there already"):
        predict(model, file, tmp_path / "out")
    assert (tmp_path / "out" / OUTS[1]).read_bytes() == b"mine"
    predict(model, file, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / OUTS[1]).read_bytes() != b"mine"


def test_damage_gets_a_sentence(model, file, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 2)
        with pytest.raises(KilledError):
            predict(model, file, tmp_path / "out")
    part = tmp_path / "out" / "work" / "chunk-00001.npz"
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"chunk-00001\.npz is damaged"):
        predict(model, file, tmp_path / "out")
    part.unlink()
    predict(model, file, tmp_path / "out")
    (tmp_path / "out" / "work" / "settings.json").write_text("{")
    with pytest.raises(InputError, match=r"settings\.json is damaged"):
        predict(model, file, tmp_path / "out")
    with pytest.raises(InputError, match="at least 32"):
        predict(model, file, tmp_path / "out", chunk_rows=31)


def test_the_record_says_what_the_results_depend_on(model, file, tmp_path):
    predict(model, file, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "work" / "settings.json").read_text())
    assert record["image"]["bytes"] == file.stat().st_size
    assert len(record["model"]) == 64
    assert (record["threshold"], record["scale"], record["chunk_rows"]) == (THRESHOLD, 1.0, 160)
    assert record["finished"]["chunks"] == 5


def test_windows_of_the_probabilities(model, file, tmp_path):
    predict(model, file, tmp_path / "out")
    quantized, _ = read(tmp_path / "out")
    with probability_reader(tmp_path / "out" / OUTS[0]) as reader:
        assert (reader.read(500, 7, 530, 80) == quantized[500:530, 7:80]).all()
    with pytest.raises(InputError, match="no such file"), probability_reader(tmp_path / "none"):
        pass


@pytest.mark.parametrize("bands", [2, 5, 7])
@pytest.mark.parametrize("placed", [True, False])
def test_bands_that_are_no_photo_are_refused_and_not_read_as_one(tmp_path, image, bands, placed):
    pixels = np.repeat(image[:50, :, :1], bands, axis=2)
    place = {} if placed else {"crs": None, "transform": None}
    file = write(tmp_path / "multispectral.tif", pixels, **place)
    if bands == 2 and not placed:
        with raster_of(file) as raster:
            assert raster is None  # gray and transparency, a photo without a place
        return
    with pytest.raises(InputError, match=rf"multispectral\.tif: has {bands} bands"):
        raster_of(file).__enter__()


def test_a_file_that_gdal_does_not_know_is_left_to_the_reader_of_photos(tmp_path):
    (tmp_path / "bad.tif").write_bytes(b"no image")
    for file in (tmp_path / "bad.tif", tmp_path / "none.tif", tmp_path / "a.png"):
        with raster_of(file) as raster:
            assert raster is None


def test_a_terminal_shows_rows_and_the_time_left(model, file, tmp_path, monkeypatch):
    console = Console(force_terminal=True, width=120, file=(tmp_path / "log").open("w"))
    with monkeypatch.context() as patch:
        interrupt(patch, 2)
        with pytest.raises(KilledError):
            predict(model, file, tmp_path / "out")
    predict(model, file, tmp_path / "out", console=console)
    console.file.close()
    shown = (tmp_path / "log").read_text()
    assert "predicting deck.tif" in shown
    assert "320/700" in shown
    assert "700/700" in shown
    assert "left" in shown


PROGRAM = """
import sys, time
from pathlib import Path
from fissura.inference.rasters import raster
from fissura.inference import unsure
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inference.rasters.raster_files import RasterFiles
from fissura.raster import open_raster
model, file, out = map(Path, sys.argv[1:])
predict_rows = raster.predict_rows
def slow(*arguments):
    time.sleep(0.5)
    return predict_rows(*arguments)
raster.predict_rows = slow
predictor = Predictor.load(model, device="cpu", precision="float32")
files = RasterFiles(out / "probability.tif", out / "mask.tif", out / "work")
with open_raster(file) as image:
    raster.predict_raster(predictor, image, files, model=model, chunk_rows=96)
"""


@pytest.mark.slow
def test_killed_for_real_and_resumed(model, file, tmp_path):
    predict(model, file, tmp_path / "whole", chunk_rows=96)
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(model), str(file), str(out)]
    for least in (1, 3, 5):
        process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
        while len(list((out / "work").glob("chunk-*.npz"))) < least:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not any((out / name).exists() for name in OUTS)
    subprocess.run(command, check=True)
    assert contents(out) == contents(tmp_path / "whole")
    assert [path.name for path in (out / "work").iterdir()] == ["settings.json"]
