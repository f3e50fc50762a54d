"""The Python way and the commands give the same cracks, widths and mask, bit for bit."""

import csv

import cv2
import numpy as np
import pytest

import fissura
from fissura.cli import app
from fissura.data.synthetic import draw_panel
from fissura.inspection.records.store import load_record
from fissura.shipped import DEFAULT

MODEL = DEFAULT


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    file = tmp_path_factory.mktemp("photo") / "wall.png"
    panel = draw_panel(2, 3, size_hw=(160, 224), crack_fraction=0.06)
    cv2.imwrite(str(file), panel.image[..., ::-1])
    return file


@pytest.fixture(scope="module")
def prediction(photo):
    return fissura.Predictor.load(MODEL, device="cpu", precision="float32")(photo)


def run(*arguments):
    return app([str(one) for one in arguments], result_action="return_value", exit_on_error=False)


def rows(file):
    with file.open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def same(out, cracks, mask, name="wall"):
    assert cracks
    written = cv2.imread(str(out / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(written > 0, mask)
    record = load_record(out / "measured" / f"{name}.npz")
    assert len(rows(out / "cracks.csv")) == len(record.cracks) == len(cracks)
    for ours, theirs in zip(record.cracks, cracks, strict=True):
        assert ours.metrics() == pytest.approx(theirs.metrics(), rel=0, abs=0, nan_ok=True)
        np.testing.assert_array_equal(ours.widths, theirs.widths)
        np.testing.assert_array_equal(ours.lines[0], theirs.lines[0])


@pytest.mark.parametrize("command", ["inspect", "measure"])
def test_a_photo(command, photo, prediction, tmp_path):
    options = ["--device", "cpu", "--precision", "float32", "--mm-per-pixel", "0.2"]
    status = run(command, photo, "--out", tmp_path / "out", *options)
    assert not status
    cracks = fissura.measure(prediction, mm_per_pixel=0.2)
    same(tmp_path / "out", cracks, prediction.mask)


def test_a_written_mask(photo, prediction, tmp_path):
    out = tmp_path / "predicted"
    options = ["--model", MODEL, "--device", "cpu", "--precision", "float32"]
    assert not run("predict", photo, "--out", out, "--probabilities", *options)
    assert not run("measure", out / "masks", "--out", tmp_path / "a")
    same(tmp_path / "a", fissura.measure(prediction.mask), prediction.mask)
    assert not run("measure", out / "probabilities", "--out", tmp_path / "b")
    written = cv2.imread(str(tmp_path / "b" / "masks" / "wall.png"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(written > 0, prediction.mask)
    longest = max(float(row["length_px"]) for row in rows(tmp_path / "b" / "cracks.csv"))
    assert longest == pytest.approx(fissura.measure(prediction)[0].length, rel=1e-3)
