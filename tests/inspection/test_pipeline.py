"""Photos in, everything an inspection writes out; stops, limits, masks, rasters, bad files."""

import csv
import errno
import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from fissura.checkpoint import ModelConfig, save_model
from fissura.data.synthetic import draw_panel
from fissura.errors import InputError
from fissura.files import OutputOptions, output_names
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inspection import export as export_module
from fissura.inspection import pipeline as module
from fissura.inspection.photos import recorder as recorder_module
from fissura.inspection.pipeline import inspect, measure_files
from fissura.measurement import measure
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.models import build_model

SIZE = (48, 64)
CPU = PredictOptions(device="cpu", precision="float32")
RESUME, OVERWRITE = OutputOptions(resume=True), OutputOptions(overwrite=True)
TABLES = ("cracks.csv", "photos.csv", "widths.csv", "cracks.geojson")


def panel(index):
    return draw_panel(2, index, size_hw=SIZE, crack_fraction=0.1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny network as it was initialized: its cracks are arbitrary, but the same each time."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    card = ModelConfig(
        model="crackseg", options={"width": 2}, threshold=0.5, training={"terms": "for all"}
    )
    save_model(folder, build_model("crackseg", width=2), card)
    (folder / "card.md").write_text("# A card\n\nof <nothing>")
    return folder


@pytest.fixture(scope="module")
def inspected(model, tmp_path_factory):
    """Photos a and b, and the folder of their inspection, which tests must not change."""
    root = tmp_path_factory.mktemp("inspected")
    (root / "in").mkdir()
    for index, name in ((1, "a"), (3, "b")):
        cv2.imwrite(str(root / "in" / f"{name}.png"), panel(index).image[..., ::-1])
    done = inspect(str(root / "in"), str(root / "out"), model=model, predicting=CPU)
    return root, done


@pytest.fixture
def copied(inspected, tmp_path):
    """A copy of the inspected folder, for tests that go on with it."""
    root, _ = inspected
    shutil.copytree(root / "out", tmp_path / "out")
    return root / "in", tmp_path / "out"


@pytest.fixture
def masks(tmp_path):
    folder = tmp_path / "in" / "deck"
    folder.mkdir(parents=True)
    for index in (1, 3):
        cv2.imwrite(str(folder / f"{index}.png"), panel(index).mask.astype(np.uint8) * 255)
    return tmp_path / "in"


def rows(file):
    with file.open(newline="", encoding="utf-8-sig") as table:
        return list(csv.DictReader(table))


def test_masks_measured_as_the_library_measures_them(masks, model, tmp_path):
    out = tmp_path / "out"
    done = measure_files(masks, out, model=model, resolution=ResolutionOptions(mm_per_pixel=0.5))
    assert (done.photos, done.failures, done.failing, done.report) == (2, [], [], None)
    table = rows(out / "cracks.csv")
    for index in (1, 3):
        expected = measure(panel(index).mask, mm_per_pixel=0.5)
        ours = [row for row in table if row["photo"] == f"deck/{index}"]
        assert len(ours) == len(expected) > 0
        for row, crack in zip(ours, expected, strict=True):
            for name, value in crack.metrics().items():
                assert float(row[name] or "nan") == pytest.approx(value, rel=1e-4, nan_ok=True)
        written = cv2.imread(str(out / "masks" / "deck" / f"{index}.png"), 0) > 0
        np.testing.assert_array_equal(written, panel(index).mask)
        assert (out / "overlays" / "deck" / f"{index}.jpg").is_file()


def test_photos_go_through_the_model(inspected, model):
    root, done = inspected
    assert (done.photos, done.failures, done.edited) == (2, [], [])
    prediction = Predictor.load(model, device="cpu", precision="float32")(panel(1).image)
    mask = cv2.imread(str(root / "out/masks/a.png"), 0) > 0
    np.testing.assert_array_equal(mask, prediction.mask)
    table = [row for row in rows(root / "out/cracks.csv") if row["photo"] == "a"]
    expected = measure(prediction)
    assert [float(row["length_px"]) for row in table] == pytest.approx(
        [crack.length for crack in expected], rel=1e-4
    )
    annotations = json.loads((root / "out/coco.json").read_text())["annotations"]
    assert len(annotations) == done.cracks == len(rows(root / "out/cracks.csv"))
    assert [entry["area"] for entry in annotations[: len(table)]] == [
        crack.area for crack in expected
    ]
    features = json.loads((root / "out/cracks.geojson").read_text())["features"]
    assert len(features) == done.cracks


def test_the_report_names_model_terms_and_local_time(inspected, model):
    root, _ = inspected
    page = (root / "out/report.html").read_text(encoding="utf-8")
    assert "of &lt;nothing&gt;" in page
    assert f"model {model} (for all)" in page
    assert "+00:00" not in page


def test_limits_fail_photos_and_other_limits_need_no_measuring(copied, model, monkeypatch):
    photos, out = copied
    monkeypatch.setattr(module.Inspector, "__call__", None)
    limits = out.parent / "limits.yaml"
    given = {"model": model, "predicting": CPU, "limits": limits, "output": RESUME}
    for text, failing in (
        ("max_width_px: 0.01\n", ["a", "b"]),
        ("max_width_px: 5000\n", []),
        ("max_width_mm: 5000\n", ["a", "b"]),  # without a resolution it cannot be judged
    ):
        limits.write_text(text)
        assert inspect([photos], out, **given).failing == failing
        verdicts = {row["photo"]: row["verdict"] for row in rows(out / "photos.csv")}
        assert [name for name in verdicts if verdicts[name] == "fail"] == failing


def test_a_stopped_inspection_goes_on(inspected, model, tmp_path, monkeypatch):
    root, _ = inspected
    out, given = tmp_path / "out", {"model": model, "predicting": CPU}
    real, calls = module.Inspector.__call__, []

    def once(self, file, name):
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, file, name)

    monkeypatch.setattr(module.Inspector, "__call__", once)
    with pytest.raises(KeyboardInterrupt):
        inspect(root / "in", out, **given)
    with pytest.raises(InputError, match="--resume"):
        inspect(root / "in", out, **given)
    with pytest.raises(InputError, match="other settings"):
        inspect(root / "in", out, output=RESUME, measuring=MeasureOptions(bridge=5), **given)
    inspect(root / "in", out, output=RESUME, **given)
    assert calls == ["a", "b", "b"]
    for name in (*TABLES, "coco.json"):
        assert (out / name).read_bytes() == (root / "out" / name).read_bytes()


def test_each_record_is_read_once(copied, model, monkeypatch):
    photos, out = copied
    read = []
    real = export_module.load_record
    monkeypatch.setattr(export_module, "load_record", lambda path: read.append(path) or real(path))
    inspect(photos, out, model=model, predicting=CPU, output=RESUME)
    assert [path.stem for path in read] == ["a", "b"]


def test_a_deleted_mask_is_named(copied, model):
    photos, out = copied
    mask = out / "masks" / "b.png"
    mask.unlink()
    done = inspect(photos, out, model=model, predicting=CPU, output=RESUME)
    (sentence,) = done.edited
    assert str(mask) in sentence
    assert "--resume" in sentence
    assert not mask.exists()  # nothing is repaired in silence
    assert sentence.split(";")[0] in (out / "report.html").read_text(encoding="utf-8")


def test_an_inspection_of_an_older_version_is_refused(copied, model):
    photos, out = copied
    settings = json.loads((out / "inspection.json").read_text())
    del settings["format"]
    (out / "inspection.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"another version of Fissura.*--overwrite"):
        inspect(photos, out, model=model, predicting=CPU, output=RESUME)
    done = inspect(photos, out, model=model, predicting=CPU, output=OVERWRITE)
    assert done.photos == 2


class TestOnePhotoThatFails:
    """The others go on, it is named, and the report is there."""

    def check(self, out, done, name, reason):
        (failure,) = done.failures
        assert reason in failure.reason
        assert done.photos >= 1
        photos = [row["photo"] for row in rows(out / "photos.csv")]
        assert len(photos) == done.photos
        assert name not in photos
        for file in ("cracks.csv", "widths.csv"):
            assert name not in {row["photo"] for row in rows(out / file)}
        if done.report:
            page = done.report.read_text(encoding="utf-8")
            assert "1 file was left out" in page

    def test_unreadable(self, inspected, model, tmp_path):
        root, _ = inspected
        broken = tmp_path / "broken.jpg"
        broken.write_bytes(b"nothing")
        out = tmp_path / "out"
        done = inspect([root / "in" / "a.png", broken], out, model=model, predicting=CPU)
        self.check(out, done, "broken", "broken.jpg")

    @pytest.mark.parametrize(
        ("where", "error"),
        [
            ("crack_labels", RuntimeError("a bug")),
            ("draw_cracks", ValueError("another")),
            ("write_image", OSError(errno.EACCES, "Permission denied")),
            ("measure", MemoryError()),
        ],
    )
    def test_measuring_or_writing(self, masks, model, tmp_path, monkeypatch, where, error):
        real, calls = getattr(recorder_module, where), []

        def failing(*args, **options):
            calls.append(where)
            if len(calls) == 1:
                raise error
            return real(*args, **options)

        monkeypatch.setattr(recorder_module, where, failing)
        out = tmp_path / "out"
        done = measure_files(masks, out, kind="mask", model=model)
        reason = {"measure": "too large for the memory", "write_image": "Permission denied"}
        self.check(out, done, "deck/1", reason.get(where, str(error)))
        assert "1.png" in done.failures[0].reason

    @pytest.mark.parametrize("exporter", ["geopackage.properties", "coco.crack_annotations"])
    def test_exporting(self, copied, model, monkeypatch, exporter):
        pytest.importorskip("pyogrio")
        photos, out = copied
        target = f"fissura.inspection.exporters.{exporter}"
        owner, name = target.rsplit(".", 1)
        real = getattr(__import__(owner, fromlist=[name]), name)

        def failing(record, *rest):
            if record.name == "a":
                raise RuntimeError("no such thing")
            return real(record, *rest)

        monkeypatch.setattr(target, failing)
        done = inspect(photos, out, model=model, predicting=CPU, output=RESUME)
        self.check(out, done, "a", "no such thing")
        features = json.loads((out / "cracks.geojson").read_text())["features"]
        assert {feature["properties"]["photo"] for feature in features} == {"b"}
        assert [row["photo"] for row in rows(out / "photos.csv")] == ["b"]

    def test_a_damaged_record(self, copied, model):
        photos, out = copied
        (out / "measured" / "a.npz").write_bytes(b"nothing")
        done = inspect(photos, out, model=model, predicting=CPU, output=RESUME)
        self.check(out, done, "a", "Delete it and use --resume")

    def test_a_full_disk_ends_the_run(self, masks, model, tmp_path, monkeypatch):
        def full(*args):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(recorder_module, "write_image", full)
        with pytest.raises(OSError, match="No space left"):
            measure_files(masks, tmp_path / "out", kind="mask", model=model)

    def test_a_photo_without_the_resolution_that_was_asked_for(self, masks, model, tmp_path):
        out = tmp_path / "out"
        resolution = ResolutionOptions(distance_mm=900)
        done = measure_files(masks, out, model=model, kind="mask", resolution=resolution)
        assert done.photos == 0
        assert all("EXIF" in failure.reason for failure in done.failures)
        assert rows(out / "cracks.csv") == []


@pytest.mark.parametrize(
    "name", ["Ri\udcdf.png", 241 * "n" + ".png", 120 * "ü" + ".png", "a b;'\"&<.png"]
)
def test_names_that_file_systems_allow(model, tmp_path, name):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    small = panel(1).image[:24, :32]
    for given in (name, "other.png"):
        (folder / given).write_bytes(cv2.imencode(".png", small)[1].tobytes())
    done = inspect(folder, out, model=model, predicting=CPU)
    assert (done.photos, done.failures) == (2, [])
    text = output_names([folder / name], [folder])[0]
    assert text in {row["photo"] for row in rows(out / "photos.csv")}
    features = json.loads((out / "cracks.geojson").read_text(encoding="utf-8"))["features"]
    assert text in {feature["properties"]["photo"] for feature in features}
    again = inspect(folder, out, model=model, predicting=CPU, output=RESUME)
    assert (again.photos, again.failures) == (2, [])


@pytest.mark.parametrize("shape", [(70_000, 8), (6, 66_000)])
def test_a_side_that_no_jpeg_holds(model, tmp_path, shape):
    mask = np.zeros(shape, np.uint8)
    mask[shape[0] // 3 : shape[0] // 3 + 40, 3:6] = 255
    mask[3:6, shape[1] // 3 : shape[1] // 3 + 40] = 255
    cv2.imwrite(str(tmp_path / "long.png"), mask)
    done = measure_files(tmp_path / "long.png", tmp_path / "out", model=model, kind="mask")
    assert (done.photos, done.failures) == (1, [])
    assert cv2.imread(str(tmp_path / "out/overlays/long.jpg")) is not None
    written = cv2.imread(str(tmp_path / "out/masks/long.png"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(written, mask)


def test_a_folder_is_found_where_none_is_given(masks, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [measure_files("in/deck/1.png", kind="mask", model=model).out for _ in range(2)]
    assert [str(folder) for folder in folders] == ["measurement", "measurement-2"]


def test_overwrite_measures_anew(masks, model, tmp_path):
    out, given = tmp_path / "out", {"kind": "mask", "model": model}
    before = measure_files(masks, out, **given).cracks
    measuring = MeasureOptions(min_length=30)
    assert measure_files(masks, out, output=OVERWRITE, measuring=measuring, **given).cracks < before


def test_a_georeferenced_image_is_read_by_windows(model, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    geopandas = pytest.importorskip("geopandas")
    folder = tmp_path / "in"
    folder.mkdir()
    image = panel(1).image
    transform = rasterio.Affine(0.002, 0, 400_000, 0, -0.002, 5_000_000)
    profile = {
        "driver": "GTiff",
        "height": SIZE[0],
        "width": SIZE[1],
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32633",
        "transform": transform,
    }
    with rasterio.open(folder / "ortho.tif", "w", **profile) as file:
        file.write(image.transpose(2, 0, 1))
    cv2.imwrite(str(folder / "plain.png"), image[..., ::-1])
    out = tmp_path / "out"
    inspect(folder, out, model=model, predicting=CPU, measuring=MeasureOptions(min_length=0))
    with rasterio.open(out / "masks" / "ortho.tif") as mask:
        assert mask.transform == transform
        assert mask.crs.to_epsg() == 32633
        by_windows = mask.read(1) > 0
    whole = cv2.imread(str(out / "masks" / "plain.png"), 0) > 0
    np.testing.assert_array_equal(by_windows, whole)
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


def test_a_min_prob_of_ones_own_alone_tells_what_is_left_out(inspected, model, tmp_path):
    """The model doubts everything; the masks tell that, unless the user wants all of it."""
    root, done = inspected
    doubting = tmp_path / "model"
    shutil.copytree(model, doubting)
    card = json.loads((doubting / "config.json").read_text())
    card["measuring"] = {"min_prob": 1.0}
    (doubting / "config.json").write_text(json.dumps(card))

    def found(name, **options):
        out = tmp_path / name
        cracks = inspect(root / "in", out, model=doubting, predicting=CPU, **options).cracks
        masks = [cv2.imread(str(out / "masks" / f"{photo}.png"), 0) for photo in "ab"]
        return cracks, sum(int((mask > 0).sum()) for mask in masks)

    assert found("by_the_model") == (0, 0)
    cracks, pixels = found("all", measuring=MeasureOptions(min_prob=0.0))
    assert cracks == done.cracks > 0
    assert pixels > 0
    kept, same = found("own", measuring=MeasureOptions(min_prob=0.55))
    assert kept <= cracks
    assert same == pixels
