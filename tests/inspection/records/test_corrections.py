"""Masks that were edited or given: measured, and compared with what the model found."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from fissura.checkpoint import ModelConfig, save_model
from fissura.data.formats.shapes.runs import crack_runs
from fissura.data.synthetic import draw_panel
from fissura.errors import InputError
from fissura.files import OutputOptions
from fissura.inference.options import PredictOptions
from fissura.inspection import pipeline as module
from fissura.inspection.options import InspectOptions
from fissura.inspection.pipeline import inspect, measure_files
from fissura.inspection.records.corrections import Correction, Found, review
from fissura.measurement import crack_labels, measure
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.models import build_model

CPU = PredictOptions(device="cpu", precision="float32")
RESUME = OutputOptions(resume=True)
SIZE = (96, 128)


def drawn(*boxes):
    """A mask with the given bars: top, left, bottom, right."""
    mask = np.zeros(SIZE, np.bool_)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def found_on(mask):
    cracks = measure(mask)
    return Found(cracks, crack_runs(crack_labels(mask, cracks), len(cracks)), {})


def reviewed(mask, model, keep=True):
    cracks = measure(mask)
    return review(Correction(mask="m"), cracks, crack_labels(mask, cracks), model, keep=keep)


LONG, SHORT, THIRD = (10, 10, 14, 110), (40, 10, 44, 70), (70, 20, 73, 60)


def test_each_crack_gets_its_status():
    model = found_on(drawn(LONG, SHORT))
    cracks, correction = reviewed(drawn(LONG, (40, 10, 44, 95), THIRD), model)
    assert correction.statuses == ["found", "corrected", "added"]
    assert [crack.became for crack in correction.model_cracks] == [1, 2]
    assert correction.rejected == []
    assert [crack.number for crack in cracks] == [1, 2, 3]
    cracks, correction = reviewed(drawn(SHORT), model)
    assert correction.counts() == {"found": 1, "rejected": 1}
    assert [old.number for old in correction.rejected] == [1]
    assert correction.words() == "mask corrected (m): 1 found, 1 rejected"


def test_a_crack_cut_in_two_and_two_joined_are_corrected():
    model = found_on(drawn(LONG))
    _, correction = reviewed(drawn((10, 10, 14, 50), (10, 60, 14, 110)), model)
    assert correction.statuses == ["corrected", "corrected"]
    model = found_on(drawn((10, 10, 14, 50), (10, 60, 14, 110)))
    _, correction = reviewed(drawn(LONG), model)
    assert correction.statuses == ["corrected"]
    assert [crack.became for crack in correction.model_cracks] == [1, 1]


def test_one_pixel_at_the_edges_is_still_found_but_measured_anew():
    model = found_on(drawn(LONG))
    wider = drawn((9, 10, 15, 110))
    cracks, correction = reviewed(wider, model)
    assert correction.statuses == ["found"]
    assert cracks[0].width_mean == pytest.approx(measure(wider)[0].width_mean)
    _, correction = reviewed(drawn((8, 10, 15, 110)), model)
    assert correction.statuses == ["corrected"]


def test_numbers_of_untouched_cracks_are_the_models():
    rng = np.random.default_rng(0)
    prob = np.clip(drawn(LONG, SHORT) * 0.8 + rng.uniform(0, 0.19, SIZE), 0, 1).astype(np.float32)
    own = measure(prob, threshold=0.5)
    labels = crack_labels(prob >= 0.5, own)
    model = Found(own, crack_runs(labels, len(own)), {})
    mask = labels == 1
    (kept,), _ = reviewed(mask, model)
    assert kept.width_mean == own[0].width_mean
    (measured,), _ = reviewed(mask, model, keep=False)
    assert measured.width_mean == measure(mask)[0].width_mean


def test_what_was_too_short_stays_too_short_and_what_was_long_enough_stays():
    mask = drawn(LONG, (40, 10, 43, 22))
    cracks = measure(mask, options=MeasureOptions(min_length=0))
    length = min(crack.length for crack in cracks)
    labels = crack_labels(mask, cracks)
    runs = crack_runs(labels, 2)
    correction = Correction(mask="m")
    model = Found(cracks[:1], runs[:1], {}, specks=runs[1])
    kept, _ = review(correction, cracks, labels, model, keep=True, min_length=length - 1)
    assert len(kept) == 1
    model = Found(cracks, runs, {}, specks=runs[0][:0])
    kept, now = review(correction, cracks, labels, model, keep=True, min_length=length + 1)
    assert now.statuses == ["found", "found"]
    kept, now = review(correction, cracks, labels, model, keep=False, min_length=length + 1)
    assert now.counts() == {"found": 1, "rejected": 1}


def test_without_the_models_cracks_nothing_is_claimed():
    _, correction = reviewed(drawn(LONG), None)
    assert correction.statuses == ["given"]
    assert correction.model_cracks == []


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    card = ModelConfig(model="crackseg", options={"width": 2}, threshold=0.5, training={})
    save_model(folder, build_model("crackseg", width=2), card)
    return folder


@pytest.fixture(scope="module")
def first(model, tmp_path_factory):
    root = tmp_path_factory.mktemp("first")
    (root / "in" / "deck").mkdir(parents=True)
    for index, name in ((1, "a"), (3, "deck/b")):
        image = draw_panel(2, index, size_hw=SIZE, crack_fraction=0.1).image
        cv2.imwrite(str(root / "in" / f"{name}.png"), image[..., ::-1])
    inspect(root / "in", root / "out", model=model, predicting=CPU)
    return root


@pytest.fixture
def copied(first, tmp_path):
    shutil.copytree(first / "out", tmp_path / "out")
    return first / "in", tmp_path / "out"


def rows(file):
    with file.open(newline="", encoding="utf-8-sig") as table:
        return list(csv.DictReader(table))


def lengths(out, photo):
    return [float(row["length_px"]) for row in rows(out / "cracks.csv") if row["photo"] == photo]


def erase_longest(out, name="a"):
    """Erase the longest crack of a mask; return the numbers of the others."""
    path = out / "masks" / f"{name}.png"
    mask = cv2.imread(str(path), 0)
    cracks = measure(mask > 0)
    mask[crack_labels(mask > 0, cracks) == 1] = 0
    cv2.imwrite(str(path), mask)
    return len(cracks)


def test_an_erased_false_alarm_is_gone_on_resume(copied, model):
    photos, out = copied
    before, other = lengths(out, "a"), lengths(out, "deck/b")
    erase_longest(out)
    edited = (out / "masks/a.png").read_bytes()
    done = inspect(photos, out, model=model, predicting=CPU, output=RESUME)
    assert done.statuses["rejected"] == 1
    assert done.failures == []
    assert lengths(out, "a") == before[1:]  # not one number of the others changed
    assert lengths(out, "deck/b") == other
    assert (out / "masks/a.png").read_bytes() == edited
    table = rows(out / "corrections.csv")
    assert [row["status"] for row in table] == ["found"] * (len(before) - 1) + ["rejected"]
    assert float(table[-1]["model_length_px"]) == before[0]
    page = done.report.read_text(encoding="utf-8")
    assert "1 rejected" in page
    annotations = json.loads((out / "coco.json").read_text())["annotations"]
    assert len(annotations) == done.cracks


def test_edits_go_on_from_edits_and_are_compared_with_the_model(copied, model, monkeypatch):
    photos, out = copied
    erase_longest(out)
    given = {"model": model, "predicting": CPU, "output": RESUME}
    inspect(photos, out, **given)
    erase_longest(out)
    done = inspect(photos, out, **given)
    assert done.statuses["rejected"] == 2
    monkeypatch.setattr(module.Inspector, "__call__", None)
    monkeypatch.setattr(module.Inspector, "corrected", None)
    assert inspect(photos, out, **given).statuses == done.statuses  # nothing is measured again


def test_masks_of_another_folder(copied, model, tmp_path):
    photos, out = copied
    shutil.copytree(out / "masks", tmp_path / "corrected")
    mask = cv2.imread(str(tmp_path / "corrected/a.png"), 0)
    mask[:] = 0
    mask[5:8, 5:100] = 255
    cv2.imwrite(str(tmp_path / "corrected/a.png"), mask)
    (tmp_path / "corrected/deck/b.png").unlink()
    new = tmp_path / "new"
    inspecting = InspectOptions(masks=tmp_path / "corrected", previous=out)
    done = inspect(photos, new, model=model, predicting=CPU, inspecting=inspecting)
    assert (done.photos, done.failures) == (2, [])
    assert len(lengths(new, "a")) == 1
    assert lengths(new, "deck/b") == lengths(out, "deck/b")  # by the model
    assert set(done.statuses) <= {"corrected", "added", "rejected"}
    written = cv2.imread(str(new / "masks/a.png"), 0)
    np.testing.assert_array_equal(written, mask)
    # Without the earlier inspection nothing is known of the model's cracks.
    alone = InspectOptions(masks=tmp_path / "corrected")
    done = inspect(photos, tmp_path / "n", model=model, predicting=CPU, inspecting=alone)
    assert done.statuses == {"given": 1}


def test_annotations_of_a_tool_are_masks(copied, model, tmp_path):
    photos, out = copied
    content = json.loads((out / "coco.json").read_text())
    number = next(image["id"] for image in content["images"] if image["file_name"] == "a.png")
    of_a = [one for one in content["annotations"] if one["image_id"] == number]
    content["annotations"] = [
        one for one in content["annotations"] if one["image_id"] != number
    ] + of_a[1:]
    (tmp_path / "corrected.json").write_text(json.dumps(content))
    inspecting = InspectOptions(masks=tmp_path / "corrected.json", previous=out)
    done = inspect(photos, tmp_path / "new", model=model, predicting=CPU, inspecting=inspecting)
    assert done.statuses["rejected"] == 1
    assert set(done.statuses) == {"found", "rejected"}
    assert lengths(tmp_path / "new", "a") == lengths(out, "a")[1:]


def test_masks_that_fit_no_photo_are_said(copied, model, tmp_path, capsys):
    photos, out = copied
    folder = tmp_path / "masks"
    folder.mkdir()
    shutil.copy(out / "masks/a.png", folder / "other.png")
    with pytest.raises(InputError, match=r"no mask of any of the photos.*a\.png"):
        inspect(photos, tmp_path / "n", model=model, inspecting=InspectOptions(masks=folder))
    shutil.copy(out / "masks/a.png", folder / "a_mask.png")
    inspecting = InspectOptions(masks=folder)
    done = inspect(photos, tmp_path / "n", model=model, predicting=CPU, inspecting=inspecting)
    said = capsys.readouterr().err
    assert "other.png" in said
    assert "belongs to no photo" in said
    assert "1 of 2 photos" in said
    assert done.photos == 2


def test_a_mask_of_another_size_costs_its_photo(copied, model, tmp_path):
    photos, _ = copied
    (tmp_path / "m").mkdir()
    cv2.imwrite(str(tmp_path / "m/a.png"), np.zeros((10, 10), np.uint8))
    done = inspect(
        photos, tmp_path / "n", model=model, predicting=CPU,
        inspecting=InspectOptions(masks=tmp_path / "m"),
    )  # fmt: skip
    assert done.photos == 1
    assert "10×10" in done.failures[0].reason


def test_an_edit_here_and_a_mask_given_are_not_mixed(copied, model, tmp_path):
    photos, out = copied
    shutil.copytree(out / "masks", tmp_path / "m")
    erase_longest(out)
    with pytest.raises(InputError, match="Move one of them away"):
        inspect(
            photos, out, model=model, predicting=CPU, output=RESUME,
            inspecting=InspectOptions(masks=tmp_path / "m"),
        )  # fmt: skip


def test_a_changed_photo_is_inspected_anew(first, model, tmp_path):
    shutil.copytree(first / "in", tmp_path / "in")
    shutil.copytree(first / "in", tmp_path / "in2")
    out = tmp_path / "out"
    inspect(tmp_path / "in", out, model=model, predicting=CPU)
    before = lengths(out, "a")
    shutil.copy(tmp_path / "in/deck/b.png", tmp_path / "in/a.png")
    inspect(tmp_path / "in", out, model=model, predicting=CPU, output=RESUME)
    assert lengths(out, "a") == lengths(out, "deck/b") != before


def test_other_measuring_does_not_take_over_numbers(copied, model, tmp_path):
    photos, out = copied
    done = inspect(
        photos, tmp_path / "n", model=model, predicting=CPU,
        measuring=MeasureOptions(min_length=12),
        resolution=ResolutionOptions(mm_per_pixel=0.5),
        inspecting=InspectOptions(masks=out),
    )  # fmt: skip
    assert set(done.statuses) <= {"found", "rejected"}
    mask = cv2.imread(str(out / "masks/a.png"), 0) > 0
    expected = [crack.length for crack in measure(mask, options=MeasureOptions(min_length=12))]
    assert lengths(tmp_path / "n", "a") == pytest.approx(expected, rel=1e-4)


def test_what_measure_wrote_is_named_as_before(copied, model, tmp_path):
    _, out = copied
    done = measure_files(out / "masks", tmp_path / "m", model=model)
    (mask,) = (tmp_path / "m" / "masks").rglob("b.png")
    cv2.imwrite(str(mask), np.zeros(SIZE, np.uint8))
    again = measure_files(out / "masks", tmp_path / "m", model=model, output=RESUME)
    assert again.cracks == done.cracks
    assert "was changed after it had been measured" in again.edited[0]


def test_a_corrected_georeferenced_image(model, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    image = draw_panel(2, 1, size_hw=SIZE, crack_fraction=0.1).image
    profile = {
        "driver": "GTiff", "height": SIZE[0], "width": SIZE[1], "count": 3, "dtype": "uint8",
        "crs": "EPSG:32633", "transform": rasterio.Affine(0.002, 0, 4e5, 0, -0.002, 5e6),
    }  # fmt: skip
    with rasterio.open(tmp_path / "ortho.tif", "w", **profile) as file:
        file.write(image.transpose(2, 0, 1))
    out = tmp_path / "out"
    inspect(tmp_path / "ortho.tif", out, model=model, predicting=CPU)
    before = lengths(out, "ortho")
    with rasterio.open(out / "masks/ortho.tif", "r+") as file:
        mask = file.read(1)
        cracks = measure(mask > 0)
        mask[crack_labels(mask > 0, cracks) == 1] = 0
        file.write(mask, 1)
    done = inspect(tmp_path / "ortho.tif", out, model=model, predicting=CPU, output=RESUME)
    assert done.statuses["rejected"] == 1
    assert lengths(out, "ortho") == before[1:]
