import csv
import io

import cv2
import numpy as np
import pytest

from fissura.data.synthetic import draw_panel
from fissura.inference.files.folder import predict
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inference.working_scale import in_words, scale_by_windows, working_scale
from fissura.inspection.pipeline import inspect


@pytest.fixture(scope="module")
def sharp():
    """A surface with detail as fine as its pixels and coarser, in every octave alike."""
    rng = np.random.default_rng(0)
    total = np.zeros((512, 640))
    for octave in range(6):
        noise = rng.normal(0, 8, (512 >> octave, 640 >> octave))
        total += cv2.resize(noise, (640, 512), interpolation=cv2.INTER_NEAREST)
    gray = np.clip(140 + total, 0, 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def enlarged(image, factor):
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(("factor", "scale"), [(1, 1), (2, 1 / 2), (4, 1 / 4), (8, 1 / 8)])
def test_an_enlarged_photo_is_seen_at_its_own_size(sharp, factor, scale):
    assert working_scale(enlarged(sharp, factor)) == scale


def test_an_enlarged_jpeg_too(sharp):
    _, data = cv2.imencode(".jpg", enlarged(sharp, 4), [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert working_scale(cv2.imdecode(data, cv2.IMREAD_COLOR)) == 1 / 4


def test_no_side_becomes_shorter_than_the_network_needs():
    flat = cv2.GaussianBlur(draw_panel(0, 1, size_hw=(300, 300)).image, (0, 0), 8)
    assert working_scale(flat) == 1
    assert working_scale(enlarged(flat, 4)) >= 256 / 1200


@pytest.mark.parametrize("size_hw", [(1, 1), (15, 700), (256, 256), (700, 512)])
def test_any_size_and_nothing_to_see(size_hw):
    assert working_scale(np.full((*size_hw, 3), 90, np.uint8)) == 1


def test_windows_give_what_the_image_gives(sharp):
    image = enlarged(sharp, 2)
    read = []

    def windows(top, left, bottom, right):
        read.append((bottom - top) * (right - left))
        return image[top:bottom, left:right]

    assert scale_by_windows(windows, image.shape[:2]) == working_scale(image)
    assert len(read) == 9


def test_a_predictor_takes_each_photo_at_its_scale(sharp):
    auto = Predictor.load("crackseg-small", scale="auto")
    fixed = {scale: Predictor.load("crackseg-small", scale=scale) for scale in (1.0, 0.5)}
    small = sharp[:288, :320]
    photos = [small, enlarged(small, 2), small]
    found = list(auto.predictions(photos))
    assert [one.scale for one in found] == [1, 0.5, 1]
    for photo, one in zip(photos, found, strict=True):
        assert np.array_equal(one.prob, fixed[one.scale].prob(photo))
    assert [one.scale for one in auto.compact(photos)] == [1, 0.5, 1]


def test_a_model_of_many_scales_takes_each_photo_at_its_own_unless_told_otherwise(sharp):
    assert not Predictor.load("crackseg-small").auto_scale
    photo = enlarged(sharp[:288, :320], 2)
    own, fixed = Predictor.load("fissura-general"), Predictor.load("fissura-general", scale=1.0)
    assert [own(photo).scale, fixed(photo).scale] == [0.5, 1]
    assert np.array_equal(own.prob(photo), Predictor.load("fissura-general", scale=0.5).prob(photo))


def test_scales_in_words():
    assert in_words(0.125) == "1/8"
    assert in_words(2.0) == "2"


def test_commands_say_the_scale_and_specks_are_specks_at_any_size(sharp, tmp_path, capsys):
    small = sharp.copy()
    small[200:204, 60:400] = 20  # a crack
    photo = tmp_path / "in" / "photo.png"
    photo.parent.mkdir()
    cv2.imwrite(str(photo), enlarged(small, 4))
    options = PredictOptions(scale="auto", device="cpu", precision="float32")
    predict(photo.parent, tmp_path / "out", model="crackseg-small", options=options)
    assert "photo.png: predicted at scale 1/4" in " ".join(capsys.readouterr().err.split())
    inspect(photo.parent, tmp_path / "report", model="crackseg-small", predicting=options)
    assert "photo.png: predicted at scale 1/4" in " ".join(capsys.readouterr().err.split())
    table = (tmp_path / "report" / "cracks.csv").read_text(encoding="utf-8-sig")
    lengths = [float(row["length_px"]) for row in csv.DictReader(io.StringIO(table))]
    assert lengths
    assert min(lengths) >= 40  # ten pixels of the photo as it was
