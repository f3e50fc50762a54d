"""Photos, masks and probabilities: recognized, and read with one meaning in every format."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine
from scipy import ndimage

from fissura.data.masks import read_mask
from fissura.errors import InputError
from fissura.inspection.photos import sources
from fissura.inspection.photos.sources import looks_like_mask, read_source, recognize
from fissura.inspection.pipeline import inspect, measure_files
from fissura.measurement import measure

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
FOLDERS = ("uav_concrete", "walls", "deepcrack/test", "magnetic_tile", "composites", "crack_free")
OVEREXPOSED = ("15921.jpg",)  # white nearly all over
RNG = np.random.default_rng(0)
MASK = np.zeros((60, 90), np.uint8)
MASK[20:26, 8:80] = 255
NOISE = RNG.integers(0, 256, (60, 90), dtype=np.uint8)
FORMATS = {
    "gray.png": Image.fromarray(MASK),
    "one.png": Image.fromarray(MASK // 255),
    "rgb.png": Image.fromarray(np.stack([MASK] * 3, 2)),
    "rgba.png": Image.fromarray(np.stack([MASK] * 3, 2)).convert("RGBA"),
    "palette.png": Image.fromarray(MASK).convert("P"),
    "bit.png": Image.fromarray(MASK).convert("1"),
    "deep_one.png": Image.fromarray((MASK // 255).astype(np.uint16)),
    "deep.png": Image.fromarray(MASK.astype(np.uint16) * 257),
    "float.tif": Image.fromarray(MASK.astype(np.float32) / 255),
    "float255.tif": Image.fromarray(MASK.astype(np.float32)),
    "gray.jpg": Image.fromarray(MASK),
    "rgb.jpg": Image.fromarray(np.stack([MASK] * 3, 2)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_mask_means_the_same_in_every_format(tmp_path, name):
    FORMATS[name].save(tmp_path / name)
    source = recognize(tmp_path / name)
    assert source.kind == "mask"
    _, mask, words = read_source(tmp_path / name, source)
    np.testing.assert_array_equal(mask, MASK > 0)
    assert words


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image.fromarray(MASK * 0), "mask"),
        (Image.fromarray(NOISE), "photo"),
        (Image.fromarray(NOISE // 2 + 90), "photo"),
        (Image.fromarray(RNG.integers(0, 256, (60, 90, 3), dtype=np.uint8)), "photo"),
        (Image.fromarray(NOISE.astype(np.uint16) * 250), "probability"),
    ],
)
def test_kinds(tmp_path, image, kind):
    image.save(tmp_path / "a.png")
    assert recognize(tmp_path / "a.png").kind == kind


@pytest.mark.parametrize(
    "values",
    [255 - MASK, MASK // 255 * 2 + np.eye(60, 90, dtype=np.uint8).cumsum(1, dtype=np.uint8)],
    ids=["inverted", "classes"],
)
def test_unclear_masks_are_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png"):
        read_source(tmp_path / "a.png", recognize(tmp_path / "a.png"))


def test_a_file_that_cannot_be_read_is_left_to_the_reader(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert recognize(tmp_path / "a.png").kind == "photo"


@pytest.mark.parametrize(("given", "expected"), [(None, 0.8), (0.3, 0.3)])
def test_probabilities_have_the_threshold_of_their_results(tmp_path, given, expected):
    file = tmp_path / "probabilities" / "deck" / "a.png"
    file.parent.mkdir(parents=True)
    Image.fromarray(np.where(MASK, 40000, 100).astype(np.uint16)).save(file)
    (tmp_path / "prediction.json").write_text(json.dumps({"threshold": 0.8}), encoding="utf-8")
    source = recognize(file, threshold=given)
    assert (source.kind, source.threshold) == ("probability", expected)
    prob, mask, words = read_source(file, source)
    assert prob.max() == np.float32(40000) / np.float32(65535)
    assert mask.any() == (expected == 0.3)
    assert f"{expected:g}" in words


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        ("inspection.json", {"threshold": None, "model": "MODEL"}),
        ("chunks/deck/a/settings.json", {"threshold": 0.7}),
        ("parts/deck/a/settings.json", {"threshold": 0.7}),
        ("parts/deck/a/settings.json", {"model": "MODEL"}),
        ("nothing.json", {"threshold": 0.7}),
    ],
)
def test_the_threshold_is_found_beside_the_results(tmp_path, monkeypatch, beside, told):
    file = tmp_path / "probabilities" / "deck" / "a.png"
    file.parent.mkdir(parents=True)
    Image.fromarray(np.where(MASK, 40000, 100).astype(np.uint16)).save(file)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(sources, "config_of", lambda _: SimpleNamespace(threshold=0.7))
    if told.get("model"):
        told = told | {"model": str(tmp_path / "model")}
    for name, content in (("inspection.json", {}), (beside, told)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    source = recognize(file)
    assert source.threshold == (0.5 if beside == "nothing.json" else 0.7)
    assert ("--threshold" if beside == "nothing.json" else Path(beside).name) in source.words


def test_colors_get_a_sentence(tmp_path):
    Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: has colors"):
        read_source(tmp_path / "a.png", recognize(tmp_path / "a.png", "probability"))
    with pytest.raises(InputError, match=r"a\.png"):
        read_source(tmp_path / "a.png", recognize(tmp_path / "a.png", "mask"))


def placed(path, values, **tags):
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "height": 60, "width": 90, "count": 1, "dtype": values.dtype}
    profile |= {"crs": "EPSG:32633", "transform": Affine(0.002, 0, 4e5, 0, -0.002, 5e6)}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values, 1)
        dataset.update_tags(**tags)
    return path


@pytest.mark.parametrize("kind", ["mask", "probability"])
def test_own_geotiffs_keep_their_place(tmp_path, kind):
    if kind == "mask":
        file = placed(tmp_path / "in" / "a.tif", MASK, DESCRIPTION="crack (255) where …")
    else:
        file = placed(tmp_path / "res" / "probabilities" / "a.tif", MASK // 2)
        (tmp_path / "res" / "prediction.json").write_text('{"threshold": 0.4}', encoding="utf-8")
    done = measure_files(file, tmp_path / "out")
    assert (done.photos, done.cracks, done.failures) == (1, 1, [])
    lines = json.loads((tmp_path / "out" / "cracks.geojson").read_text(encoding="utf-8"))
    assert "crack" in json.dumps(lines)
    with rasterio.open(tmp_path / "out" / "masks" / "a.tif") as written:
        np.testing.assert_array_equal(written.read(1), MASK)
        assert written.crs == "EPSG:32633"
    (crack,) = measure(MASK > 0)
    table = (tmp_path / "out" / "cracks.csv").read_text(encoding="utf-8-sig").splitlines()
    row = dict(zip(table[0].split(","), table[1].split(","), strict=True))
    if kind == "mask":
        assert float(row["length_mm"]) == pytest.approx(2 * crack.length, rel=0.02)


@pytest.mark.parametrize("name", ["gray.png", "rgb.jpg", "one.png"])
def test_inspect_refuses_masks_and_names_the_way_on(tmp_path, name):
    FORMATS[name].save(tmp_path / name)
    done = inspect(tmp_path / name, tmp_path / "out")
    (failed,) = done.failures
    assert "looks like a mask" in failed.reason
    assert "fissura measure" in failed.reason


@pytest.mark.parametrize("kind", ["own mask", "own probability", "mask"])
def test_inspect_refuses_geotiffs_that_are_no_photos(tmp_path, kind):
    tags = {
        "own mask": "crack (255) where …",
        "own probability": "probability of crack",
        "mask": "",
    }
    file = placed(tmp_path / "in" / "a.tif", MASK, DESCRIPTION=tags[kind])
    (failed,) = inspect(file, tmp_path / "out").failures
    assert f"fissura measure {file}" in failed.reason
    told = {"own mask": "is a mask that Fissura wrote", "mask": "looks like a mask"}
    assert told.get(kind, "is a probability that Fissura wrote") in failed.reason


@pytest.mark.parametrize("change", ["inverted", "three values", "not on black"])
def test_unclear_geotiffs_are_refused_like_small_masks(tmp_path, change):
    values = {"inverted": 255 - MASK, "not on black": MASK // 3 + 80}
    odd = MASK.copy()
    odd[40:, 40:] = 77
    file = placed(tmp_path / "a.tif", values.get(change, odd))
    (failed,) = measure_files(file, tmp_path / "out", kind="mask").failures
    expected = "looks inverted, 9" if change == "inverted" else "unclear which pixels are crack"
    assert expected in failed.reason


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_own_masks_may_be_crack_nearly_all_over(tmp_path, suffix):
    (tmp_path / "masks").mkdir()
    (tmp_path / "prediction.json").write_text("{}", encoding="utf-8")
    file = tmp_path / "masks" / f"a.{suffix}"
    if suffix == "png":
        Image.fromarray(255 - MASK).save(file)
    else:
        placed(file, 255 - MASK)
    done = measure_files(file, tmp_path / "out")
    assert (done.failures, done.photos) == ([], 1)
    with Image.open(tmp_path / "out" / "masks" / f"a.{suffix}") as written:
        np.testing.assert_array_equal(np.asarray(written), 255 - MASK)


def test_what_was_read_and_a_nearly_full_mask_are_said(tmp_path, capsys):
    full = np.full((60, 90), 255, np.uint8)
    full[:10] = 0
    Image.fromarray((full // 255).astype(np.uint16) * 60000).save(tmp_path / "a.png")
    measure_files(tmp_path / "a.png", tmp_path / "out", kind="probability")
    told = capsys.readouterr().err
    assert "83% of the image is crack" in told
    assert "a.png: read as probabilities, crack from 0.5 on" in told


def lights(base, seed=0):
    """A photo taken at night: sensor noise, and lights that are mostly saturated."""
    rng = np.random.default_rng(seed)
    dark = rng.normal(base, 1.5, (120, 160))
    for row, column in rng.integers(10, 110, (4, 2)):
        dark[row : row + 6, column : column + 6] = 400
    return np.clip(ndimage.gaussian_filter(dark, 0.7), 0, 255).astype(np.uint8)


DARK = {
    "night": lights(4),
    "black night": lights(1),
    "evening": lights(20),
    "noise": np.where(NOISE > 252, 255, NOISE // 10).astype(np.uint8),
    "colors": np.stack([lights(4), lights(4, 1), lights(4, 2)], 2),
    "black": np.zeros((60, 90, 3), np.uint8),
}


@pytest.mark.parametrize("name", DARK)
def test_dark_photos_are_no_masks(tmp_path, name):
    assert not looks_like_mask(DARK[name])
    Image.fromarray(DARK[name]).save(tmp_path / "a.png")
    if name != "black":
        assert recognize(tmp_path / "a.png").kind == "photo"


@pytest.mark.parametrize("base", [60, 215, 245])
def test_pale_and_even_photos_are_no_masks(tmp_path, base):
    rng = np.random.default_rng(0)
    wall = np.clip(rng.normal(base, 2, (60, 90)), 0, 255).astype(np.uint8)
    wall[30, 20:70] //= 3  # a crack
    for name, image in {"gray": wall, "rgb": np.stack([wall, wall - 6, wall - 10], 2)}.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        assert recognize(tmp_path / f"{name}.png").kind == "photo"


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_masks_remain_masks_as_jpeg_and_resampled(tmp_path, quality):
    big = cv2.resize(MASK, None, fx=2.3, fy=2.3, interpolation=cv2.INTER_CUBIC)
    for values in (MASK, big, MASK.T, np.maximum(MASK, MASK.T.repeat(2, 1)[:60, :90])):
        Image.fromarray(values).save(tmp_path / "a.jpg", quality=quality)
        source = recognize(tmp_path / "a.jpg")
        assert source.kind == "mask"
        with Image.open(tmp_path / "a.jpg") as image:
            assert looks_like_mask(np.asarray(image))
        _, mask, _ = read_source(tmp_path / "a.jpg", source)
        assert (mask != (values > 127)).mean() < 0.002


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real photos are not part of the repository")
@pytest.mark.parametrize(
    "folder",
    ["uav_concrete", "walls", "deepcrack/test", "magnetic_tile", "composites", "crack_free"],
)
def test_real_photos_and_their_masks(folder):
    files = [file for file in (DATA / folder).rglob("*") if file.suffix in (".jpg", ".png")]
    assert files
    wrong = []
    for file in files:
        expected = "mask" if "masks" in file.parts else "photo"
        if file.name in OVEREXPOSED:
            with pytest.raises(InputError, match="--kind photo"):
                recognize(file)
            continue
        kind = recognize(file).kind
        pixels = read_mask(file)
        if kind != expected or looks_like_mask(pixels) != (expected == "mask" and pixels.any()):
            wrong.append(file.name)
    assert wrong == []
