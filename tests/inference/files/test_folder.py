"""The command: files and folders in, images and a table out, and what goes wrong on the way."""

import csv
import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from fissura.checkpoint import ModelConfig, save_model
from fissura.errors import InputError
from fissura.files import OutputOptions
from fissura.inference.files import folder_work as batch
from fissura.inference.files.folder import predict as predict_photos
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.models import build_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    card = ModelConfig(model="crackseg", options={"width": 2}, threshold=0.45)
    save_model(folder / "model", build_model("crackseg", width=2), card)
    return folder


@pytest.fixture
def photos(tmp_path):
    """Sub-folders, names that differ in the suffix alone, two broken files, a text."""
    folder = tmp_path / "photos"
    (folder / "deck" / "north").mkdir(parents=True)
    for i, name in enumerate(["a.jpg", "a.png", "deck/2.jpg", "deck/10.jpg", "deck/north/a.jpg"]):
        image = np.random.default_rng(i).integers(0, 256, (40 + 8 * i, 70, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), image)
    (folder / "broken.jpg").write_bytes(b"this is not a picture")
    whole = (folder / "deck/2.jpg").read_bytes()
    (folder / "deck" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("nothing")
    return folder


GOOD = ["a_jpg", "a_png", "deck/2", "deck/10", "deck/north/a"]


def predict(model, inputs, out, **options):
    names = ("probabilities", "overlays", "console")
    taken = {"console": Console(quiet=True)}
    taken |= {name: options.pop(name) for name in names if name in options}
    output = {name: options.pop(name) for name in ("resume", "overwrite") if name in options}
    options = {"device": "cpu", "precision": "float32", "tile": 64, **options}
    return predict_photos(
        inputs,
        out,
        model=model,
        options=PredictOptions(**options),
        output=OutputOptions(**output),
        **taken,
    )


def rows(out):
    with (out / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def written(out):
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def test_everything_is_written(model, photos, tmp_path):
    out = tmp_path / "out"
    summary = predict(model, [photos], out, probabilities=True)
    assert summary.predicted == 5
    assert summary.kept == 0
    assert summary.table == out / "predictions.csv"
    expected = ["predictions.csv", "prediction.json"]
    for name in GOOD:
        expected += [f"masks/{name}.png", f"overlays/{name}.jpg", f"probabilities/{name}.png"]
    assert written(out) == sorted(expected)

    predictor = Predictor.load(model, device="cpu", precision="float32", tile=64)
    table = {row["mask"]: row for row in rows(out)}
    for name, file in zip(
        GOOD, ["a.jpg", "a.png", "deck/2.jpg", "deck/10.jpg", "deck/north/a.jpg"], strict=True
    ):
        prediction = predictor(photos / file)
        mask = cv2.imread(str(out / f"masks/{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, prediction.mask * np.uint8(255))
        prob = cv2.imread(str(out / f"probabilities/{name}.png"), cv2.IMREAD_UNCHANGED)
        assert prob.dtype == np.uint16
        np.testing.assert_allclose(prob / 65535, prediction.prob, atol=1e-4)
        shown = cv2.imread(str(out / f"overlays/{name}.jpg"))
        assert shown.shape[:2] == mask.shape
        row = table[f"masks/{name}.png"]
        assert row["file"] == str(photos / file)
        assert float(row["crack_fraction"]) == pytest.approx(prediction.crack_fraction, abs=1e-6)
        assert float(row["threshold"]) == 0.45
        assert float(row["seconds"]) >= 0
    settings = json.loads((out / "prediction.json").read_text())
    assert settings["threshold"] == 0.45
    assert settings["tile"] == 64


def test_broken_files_are_named_and_the_rest_goes_on(model, photos, tmp_path):
    console = Console(record=True, width=400, file=(tmp_path / "log").open("w"))
    summary = predict(model, [photos], tmp_path / "out", console=console)
    console.file.close()
    assert [failure.file for failure in summary.failures] == [
        photos / "broken.jpg",
        photos / "deck" / "cut.jpg",
    ]
    for failure in summary.failures:
        assert str(failure.file) in failure.reason
        assert str(failure.file) in console.export_text(clear=False)
    assert len(rows(tmp_path / "out")) == summary.predicted == 5


def test_only_broken_files_leave_an_empty_table(model, photos, tmp_path):
    summary = predict(model, [photos / "broken.jpg"], tmp_path / "out")
    assert summary.predicted == 0
    assert len(summary.failures) == 1
    assert rows(tmp_path / "out") == []


def test_overlays_can_be_left_out_and_threshold_given(model, photos, tmp_path):
    predict(model, [photos / "a.jpg"], tmp_path / "out", overlays=False, threshold=0.0)
    assert written(tmp_path / "out") == ["masks/a.png", "prediction.json", "predictions.csv"]
    assert float(rows(tmp_path / "out")[0]["crack_fraction"]) == 1


def test_several_folders_keep_their_names(model, photos, tmp_path):
    out = tmp_path / "out"
    predict(model, [photos / "deck" / "north", photos / "a.jpg", photos / "a.png"], out)
    assert [row["mask"] for row in rows(out)] == [
        "masks/deck/north/a.png",
        "masks/a_jpg.png",
        "masks/a_png.png",
    ]


def test_results_inside_the_input_folder_are_not_read_as_photos(model, photos):
    out = photos / "deck" / "out"
    predict(model, [photos], out, probabilities=True)
    before = written(out)
    summary = predict(model, [photos], out, probabilities=True, overwrite=True)
    assert summary.predicted == 5
    assert written(out) == before
    with pytest.raises(InputError, match="no photos"):
        predict(model, [out], out, overwrite=True)


def test_a_folder_that_is_not_empty_is_refused(model, photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    for options in ({}, {"resume": True}):
        with pytest.raises(InputError, match="not empty"):
            predict(model, [photos], out, **options)
    assert written(out) == ["thesis.txt"]
    predict(model, [photos], out, overwrite=True)
    assert (out / "thesis.txt").read_text() == "precious"
    assert len(rows(out)) == 5
    with pytest.raises(InputError, match="is a file"):
        predict(model, [photos], out / "thesis.txt", overwrite=True)


def stop_after(count, monkeypatch):
    """Let the command be interrupted after `count` photos."""
    original, calls = batch.write_photo, []

    def write(*arguments, **options):
        if len(calls) == count:
            raise KeyboardInterrupt
        calls.append(arguments[1])
        return original(*arguments, **options)

    monkeypatch.setattr(batch, "write_photo", write)
    return calls


def test_resume_goes_on_where_it_stopped(model, photos, tmp_path, monkeypatch):
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    predict(model, [photos], undisturbed)
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        with pytest.raises(KeyboardInterrupt):
            predict(model, [photos], out)
    assert not (out / "predictions.csv").exists()
    partial = out / "predictions.partial.csv"
    assert len(partial.read_text().splitlines()) == 4
    with partial.open("a") as file:
        file.write(f"{photos / 'deck' / '10.jpg'},masks/deck/10.png,0.0")  # as if cut off

    with monkeypatch.context() as patch:
        calls = stop_after(99, patch)
        summary = predict(model, [photos], out, resume=True)
    assert calls == GOOD[3:]
    assert (summary.predicted, summary.kept) == (2, 3)
    assert len(summary.failures) == 2
    assert written(out) == written(undisturbed)
    for name in GOOD:
        mask = f"masks/{name}.png"
        assert (out / mask).read_bytes() == (undisturbed / mask).read_bytes()
    assert [row["mask"] for row in rows(out)] == [row["mask"] for row in rows(undisturbed)]

    again = predict(model, [photos], out, resume=True)
    assert (again.predicted, again.kept) == (0, 5)
    assert len(rows(out)) == 5


def test_resume_makes_lost_masks_again(model, photos, tmp_path):
    out = tmp_path / "out"
    predict(model, [photos], out)
    (out / "masks" / "a_jpg.png").unlink()
    summary = predict(model, [photos], out, resume=True)
    assert (summary.predicted, summary.kept) == (1, 4)
    assert (out / "masks" / "a_jpg.png").is_file()


def test_resume_with_other_settings_is_refused(model, photos, tmp_path):
    out = tmp_path / "out"
    predict(model, [photos], out)
    with pytest.raises(InputError, match=r"other settings \(threshold, tile;"):
        predict(model, [photos], out, resume=True, threshold=0.9, tile=128)
    (out / "prediction.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        predict(model, [photos], out, resume=True)


def test_masks_with_and_without_unsure_parts_are_not_mixed(model, photos, tmp_path):
    doubting = tmp_path / "model"
    shutil.copytree(model / "model", doubting)
    card = json.loads((doubting / "config.json").read_text())
    card["measuring"] = {"min_prob": 1.0}
    (doubting / "config.json").write_text(json.dumps(card))
    out = tmp_path / "out"
    predict(doubting, [photos / "a.png"], out)
    assert not cv2.imread(str(out / "masks" / "a.png"), 0).any()
    with pytest.raises(InputError, match="min_prob"):
        predict(doubting, [photos / "a.png"], out, resume=True, keep_unsure=True)
    predict(doubting, [photos / "a.png"], out, overwrite=True, keep_unsure=True)
    assert cv2.imread(str(out / "masks" / "a.png"), 0).any()


def test_nothing_is_written_where_the_input_is_wrong(model, photos, tmp_path):
    out = tmp_path / "out"
    for wrong in (
        {"model": tmp_path},
        {"inputs": [tmp_path / "missing"]},
        {"tile": 7},
        {"device": "abacus"},
    ):
        options = {"model": model, "inputs": [photos], "out": out} | wrong
        with pytest.raises(InputError):
            predict(**options)
    assert not out.exists()


def test_photos_too_large_to_wait_beside_others_give_the_same(model, photos, tmp_path, monkeypatch):
    predict(model, [photos], tmp_path / "expected", probabilities=True)
    monkeypatch.setattr(batch, "AHEAD_PIXELS", 4000)  # of these photos 2800 to 5040
    monkeypatch.setattr(batch, "HUGE", 4500)
    console = Console(record=True, width=200, file=(tmp_path / "log").open("w"))
    out = tmp_path / "out"
    predict(model, [photos], out, probabilities=True, console=console)
    console.file.close()
    assert written(out) == written(tmp_path / "expected")
    for name in written(out):
        if name.endswith((".png", ".jpg")):
            assert (out / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    said = console.export_text()
    assert "deck/north/a.jpg has 0 megapixels" in said
    assert "deck/2.jpg has" not in said


def test_an_image_that_cannot_be_written_ends_the_run(model, photos, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batch, "write_photo", fail)
    with pytest.raises(OSError, match="No space left"):
        predict(model, [photos], tmp_path / "out")
    assert not (tmp_path / "out" / "predictions.csv").exists()


MEMORY = """
import resource, sys
from pathlib import Path
from fissura.data.images import read_image
from fissura.inference.files.folder import predict as predict_photos
from fissura.inference.options import PredictOptions
photo, model, out = map(Path, sys.argv[1:])
if out.name == "read":
    read_image(photo)
else:
    options = PredictOptions(scale=1, precision="float32", device="cpu")
    predict_photos(photo, out, model=model, options=options)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_a_large_photo_takes_less_than_a_gibibyte_beyond_its_reader(tmp_path):
    """Of 20,000×20,000 pixels it may be two; features of all rows at once would take far more."""
    torch.manual_seed(0)
    options = {"width": 16}
    save_model(
        tmp_path / "model",
        build_model("crackseg", **options),
        ModelConfig(model="crackseg", options=options),
    )
    side = 6000
    panel = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), np.tile(panel, (side // 50, side // 60, 1)))

    def peak(out):
        arguments = [tmp_path / "photo.png", tmp_path / "model", tmp_path / out]
        command = [sys.executable, "-c", MEMORY, *map(str, arguments)]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    assert peak("out") - peak("read") < 2**30


def test_georeferenced_images_are_predicted_by_windows(model, photos, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    image = cv2.imread(str(photos / "a.png"))[..., ::-1]
    place = rasterio.Affine(0.01, 0, 400_000, 0, -0.01, 5_000_000)
    file = photos / "ortho.tif"
    height, width, _ = image.shape
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": height, "width": width}
    with rasterio.open(file, "w", crs="EPSG:32633", transform=place, **profile) as raster:
        raster.write(image.transpose(2, 0, 1))
    out = tmp_path / "out"
    options = {"tile": None, "overlays": True}
    summary = predict(model, [photos / "a.png", file], out, **options)
    assert summary.predicted == 2
    table = {row["mask"]: row for row in rows(out)}
    assert set(table) == {"masks/a.png", "masks/ortho.tif"}
    with rasterio.open(out / "masks/ortho.tif") as mask:
        assert mask.transform == place
        found = mask.read(1)
    whole = cv2.imread(str(out / "masks/a.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(found, whole)
    assert (out / "overlays/ortho.jpg").is_file()
    again = predict(model, [photos / "a.png", file], out, resume=True, **options)
    assert (again.predicted, again.kept) == (0, 2)


def noise(path, *size, seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


def test_a_side_that_jpeg_cannot_hold_shrinks_the_overlay_and_says_so(model, tmp_path):
    noise(tmp_path / "photos" / "long.png", 4, 65_540)
    noise(tmp_path / "photos" / "other.png", 30, 40)
    console = Console(record=True, width=400, file=(tmp_path / "log").open("w"))
    summary = predict(model, [tmp_path / "photos"], tmp_path / "out", tile=None, console=console)
    console.file.close()
    assert (summary.predicted, summary.failures) == (2, [])
    mask = cv2.imread(str(tmp_path / "out/masks/long.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (4, 65_540)
    assert cv2.imread(str(tmp_path / "out/overlays/long.jpg")).shape[1] == 65_500
    assert "shrunk to 65,500 pixels" in console.export_text()


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
@pytest.mark.parametrize(
    ("name", "mask"),
    [
        (b"Ri\xdf.png", "Riß.png"),
        (b"\xff\xfe.png", "ÿþ.png"),
        (b"a" * 245 + b".png", None),
        ("ü" * 120 + ".png", None),
        ("裂缝.png", "裂缝.png"),
    ],
)
def test_any_file_name_is_predicted_and_resumed(model, tmp_path, name, mask):
    folder = tmp_path / "photos"
    noise(folder / os.fsdecode(name), 30, 40)
    out = tmp_path / "out"
    assert predict(model, [folder], out, probabilities=True).predicted == 1
    (row,) = rows(out)
    assert (out / row["mask"]).is_file()
    if mask:
        assert row["mask"] == f"masks/{mask}"
    again = predict(model, [folder], out, probabilities=True, resume=True)
    assert (again.predicted, again.kept) == (0, 1)


def test_a_name_that_would_be_a_formula_is_resumed(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise(tmp_path / "=1+1.png", 30, 40)
    predict(model, ["=1+1.png"], tmp_path / "out")
    again = predict(model, ["=1+1.png"], tmp_path / "out", resume=True)
    assert (again.predicted, again.kept) == (0, 1)
    assert [row["file"] for row in rows(tmp_path / "out")] == ["'=1+1.png"]


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("read_image", MemoryError()),
        ("read_image", KeyError("x")),
        ("write_photo", RuntimeError("odd")),
        ("write_photo", OSError(36, "File name too long")),
    ],
)
def test_whatever_goes_wrong_with_one_photo_the_others_go_on(
    model, tmp_path, monkeypatch, where, error
):
    for index in range(3):
        noise(tmp_path / "photos" / f"{index}.png", 30, 40, seed=index)
    original, calls = getattr(batch, where), iter(range(3))

    def failing(*arguments, **options):
        if next(calls) == 1:
            raise error
        return original(*arguments, **options)

    monkeypatch.setattr(batch, where, failing)
    summary = predict(model, [tmp_path / "photos"], tmp_path / "out")
    assert summary.predicted == 2
    assert [failure.file.name for failure in summary.failures] == ["1.png"]
    assert "1.png" in summary.failures[0].reason
    assert [row["mask"] for row in rows(tmp_path / "out")] == ["masks/0.png", "masks/2.png"]


def test_one_path_may_be_text_and_needs_no_list(model, tmp_path):
    noise(tmp_path / "a.png", 30, 40)
    options = PredictOptions(device="cpu", precision="float32")
    out = str(tmp_path / "out")
    summary = predict_photos(str(tmp_path / "a.png"), out, model=str(model), options=options)
    assert summary.predicted == 1
