"""Photos in, everything an inspection writes out; stops, limits, masks and rasters."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from fissura.checkpoint import ModelConfig, save_model
from fissura.data.synthetic import draw_panel
from fissura.errors import InputError
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inspection import pipeline as module
from fissura.inspection.pipeline import inspect_files
from fissura.measurement import measure
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.models import build_model

SIZE = (96, 128)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny network as it was initialized: what it finds is arbitrary, but the same each time."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    card = ModelConfig(model="crackseg", options={"width": 2}, threshold=0.5)
    save_model(folder, build_model("crackseg", width=2), card)
    (folder / "card.md").write_text("# A card\n\nof <nothing>")
    return folder


@pytest.fixture
def masks(tmp_path):
    folder = tmp_path / "in" / "deck"
    folder.mkdir(parents=True)
    for index in (1, 3):
        mask = draw_panel(2, index, size_hw=SIZE, crack_fraction=0.06).mask
        cv2.imwrite(str(folder / f"{index}.png"), mask.astype(np.uint8) * 255)
    return tmp_path / "in"


def inspect(inputs, out, model, **options):
    quiet, predicting = Console(quiet=True), PredictOptions(device="cpu", precision="float32")
    return inspect_files(
        [inputs], out, model=model, console=quiet, predicting=predicting, **options
    )


def rows(file):
    with file.open(newline="") as table:
        return list(csv.DictReader(table))


def test_masks_measured_as_the_library_measures_them(masks, model, tmp_path):
    out = tmp_path / "out"
    done = inspect(masks, out, model, kind="auto", scaling=ResolutionOptions(mm_per_pixel=0.5))
    assert (done.photos, done.failures, done.failing) == (2, [], [])
    table = rows(out / "cracks.csv")
    for index in (1, 3):
        mask = cv2.imread(str(masks / "deck" / f"{index}.png"), 0) > 0
        expected = measure(mask, mm_per_pixel=0.5, min_length=10)
        ours = [row for row in table if row["photo"] == f"deck/{index}"]
        assert len(ours) == len(expected) > 0
        for row, crack in zip(ours, expected, strict=True):
            for name, value in crack.figures().items():
                assert float(row[name] or "nan") == pytest.approx(value, rel=1e-5, nan_ok=True)
        written = cv2.imread(str(out / "masks" / "deck" / f"{index}.png"), 0) > 0
        assert np.array_equal(written, mask)
        assert (out / "overlays" / "deck" / f"{index}.jpg").is_file()
    assert len(rows(out / "widths.csv")) == sum(
        len(crack.widths)
        for index in (1, 3)
        for crack in measure(cv2.imread(str(masks / "deck" / f"{index}.png"), 0) > 0, min_length=10)
    )
    page = (out / "report.html").read_text()
    assert "deck/1" in page
    assert len(json.loads((out / "cracks.geojson").read_text())["features"]) == len(table)
    assert len(json.loads((out / "coco.json").read_text())["annotations"]) == len(table)


def test_photos_go_through_the_model(model, tmp_path):
    (tmp_path / "in").mkdir()
    image = draw_panel(2, 1, size_hw=SIZE, crack_fraction=0.06).image
    cv2.imwrite(str(tmp_path / "in" / "a.png"), image[..., ::-1])
    inspect(tmp_path / "in", tmp_path / "out", model)
    prediction = Predictor.load(model, device="cpu", precision="float32")(image)
    mask = cv2.imread(str(tmp_path / "out/masks/a.png"), 0) > 0
    assert (mask != prediction.mask).mean() < 1e-3  # levels of 16 bits
    assert "of &lt;nothing&gt;" in (tmp_path / "out/report.html").read_text()


def test_limits_fail_photos_and_other_limits_need_no_measuring(masks, model, tmp_path, monkeypatch):
    out, limits = tmp_path / "out", tmp_path / "limits.yaml"
    limits.write_text("max_width_px: 0.5\n")
    done = inspect(masks, out, model, kind="mask", limits=limits)
    assert done.failing == ["deck/1", "deck/3"]
    assert [row["verdict"] for row in rows(out / "photos.csv")] == ["fail", "fail"]
    monkeypatch.setattr(module.Inspector, "__call__", None)
    limits.write_text("max_width_px: 500\n")
    assert inspect(masks, out, model, kind="mask", limits=limits, resume=True).failing == []
    assert [row["verdict"] for row in rows(out / "photos.csv")] == ["pass", "pass"]
    limits.write_text("max_width_mm: 5\n")
    done = inspect(masks, out, model, kind="mask", limits=limits, resume=True)
    assert len(done.failing) == 2  # no scale: it can't be judged


def test_a_stopped_inspection_goes_on(masks, model, tmp_path, monkeypatch):
    out, whole = tmp_path / "out", tmp_path / "whole"
    inspect(masks, whole, model, kind="mask")
    real, calls = module.Inspector.__call__, []

    def once(self, file, name):
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, file, name)

    monkeypatch.setattr(module.Inspector, "__call__", once)
    with pytest.raises(KeyboardInterrupt):
        inspect(masks, out, model, kind="mask")
    with pytest.raises(InputError, match="--resume"):
        inspect(masks, out, model, kind="mask")
    with pytest.raises(InputError, match="other settings"):
        inspect(masks, out, model, kind="mask", resume=True, measuring=MeasureOptions(bridge=5))
    inspect(masks, out, model, kind="mask", resume=True)
    assert calls == ["deck/1", "deck/3", "deck/3"]
    for name in ("cracks.csv", "photos.csv", "widths.csv", "coco.json", "cracks.geojson"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_a_bad_file_is_left_out_with_a_sentence(masks, model, tmp_path):
    (masks / "deck" / "broken.jpg").write_bytes(b"nothing")
    done = inspect(masks, tmp_path / "out", model, kind="auto")
    assert done.photos == 2
    (failure,) = done.failures
    assert "broken.jpg" in failure.reason
    assert "broken.jpg" in (tmp_path / "out/report.html").read_text()


def test_a_photo_without_the_scale_that_was_asked_for_is_left_out(masks, model, tmp_path):
    done = inspect(
        masks, tmp_path / "out", model, kind="mask", scaling=ResolutionOptions(distance_mm=900)
    )
    assert done.photos == 0
    assert all("EXIF" in failure.reason for failure in done.failures)
    assert rows(tmp_path / "out" / "cracks.csv") == []


def test_overwrite_measures_anew(masks, model, tmp_path):
    out = tmp_path / "out"
    before = inspect(masks, out, model, kind="mask").cracks
    options = {"kind": "mask", "measuring": MeasureOptions(min_length=60)}
    after = inspect(masks, out, model, overwrite=True, **options).cracks
    assert after < before


def test_a_georeferenced_image_is_read_by_windows(model, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    geopandas = pytest.importorskip("geopandas")
    folder = tmp_path / "in"
    folder.mkdir()
    image = draw_panel(2, 1, size_hw=SIZE, crack_fraction=0.06).image
    place = rasterio.Affine(0.002, 0, 400_000, 0, -0.002, 5_000_000)
    profile = {
        "driver": "GTiff",
        "height": SIZE[0],
        "width": SIZE[1],
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32633",
        "transform": place,
    }
    with rasterio.open(folder / "ortho.tif", "w", **profile) as file:
        file.write(image.transpose(2, 0, 1))
    cv2.imwrite(str(folder / "plain.png"), image[..., ::-1])
    out = tmp_path / "out"
    inspect(folder, out, model, measuring=MeasureOptions(min_length=0))
    with rasterio.open(out / "masks" / "ortho.tif") as mask:
        assert mask.transform == place
        assert mask.crs.to_epsg() == 32633
        by_windows = mask.read(1) > 0
    whole = cv2.imread(str(out / "masks" / "plain.png"), 0) > 0
    assert (by_windows != whole).mean() < 0.01  # 8 bits against 16
    table = {row["photo"]: row for row in rows(out / "photos.csv")}
    assert float(table["ortho"]["mm_per_pixel"]) == pytest.approx(2.0, rel=1e-3)
    assert table["plain"]["mm_per_pixel"] == ""
    cracks = geopandas.read_file(out / "cracks-EPSG-32633.geojson")
    assert cracks.crs.to_epsg() == 32633
    mine = [row for row in rows(out / "cracks.csv") if row["photo"] == "ortho"]
    assert len(cracks) == len(mine) > 0
    total = sum(float(row["length_mm"]) for row in mine)
    assert cracks.length.sum() * 1000 == pytest.approx(total, rel=1e-3)
    assert (out / "cracks-pixels.geojson").is_file()
    images = json.loads((out / "coco.json").read_text())["images"]
    assert len(images) == 2
