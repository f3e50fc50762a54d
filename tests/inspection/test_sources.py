"""Photos, masks and probabilities: recognized, and read with one meaning in every format."""

import json

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine

from fissura.errors import InputError
from fissura.inspection.pipeline import inspect, measure_files
from fissura.inspection.sources import looks_like_mask, read_source, recognize
from fissura.measurement import measure

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
    table = (tmp_path / "out" / "cracks.csv").read_text(encoding="utf-8").splitlines()
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


def test_what_was_read_and_a_nearly_full_mask_are_said(tmp_path, capsys):
    full = np.full((60, 90), 255, np.uint8)
    full[:10] = 0
    Image.fromarray((full // 255).astype(np.uint16) * 60000).save(tmp_path / "a.png")
    measure_files(tmp_path / "a.png", tmp_path / "out", kind="probability")
    told = capsys.readouterr().err
    assert "83% of the image is crack" in told
    assert "a.png: read as probabilities, crack from 0.5 on" in told


def test_dark_photos_are_no_masks():
    dark = RNG.integers(0, 30, (60, 90), dtype=np.uint8)
    dark[5:8, 5:8] = 255
    assert not looks_like_mask(dark)
    assert not looks_like_mask(np.zeros((60, 90, 3), np.uint8))
    assert looks_like_mask(MASK)
