from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fissura.checkpoint import ModelConfig, read_config, save_model
from fissura.errors import InputError
from fissura.inference.prediction import Prediction
from fissura.inference.predictor import Predictor
from fissura.measurement import measure
from fissura.measurement.calibration import Calibration, calibrated, certainty
from fissura.measurement.options import MeasureOptions
from fissura.models import build_model

KNOWN = Calibration(
    widths=(2.0, 4.0), shifts=(0.4, -0.6), constant=0.2, of_width=0.1, of_slope=2.0, min_prob=0.8
)


def two_cracks():
    """A sure crack, and one that is as long and doubtful."""
    prob = np.zeros((40, 80), np.float32)
    prob[8:12, 5:70] = 0.95
    prob[26:30, 5:70] = 0.7
    return prob


def reader(prob):
    return lambda top, left, bottom, right: prob[top:bottom, left:right]


def test_widths_and_errors_follow_the_formula():
    prob = two_cracks()
    plain = measure(prob)
    cracks = calibrated(plain, replace(KNOWN, min_prob=0.0), reader(prob), prob.shape)
    assert [crack.number for crack in cracks] == [1, 2]
    for before, after in zip(plain, cracks, strict=True):
        for w, s, width, error in zip(
            before.widths, before.width_errors, after.widths, after.width_errors, strict=True
        ):
            between = min(max((w - 2) / 2, 0), 1)
            assert width == pytest.approx(w + 0.4 - between)
            assert error == pytest.approx(0.2 + 0.1 * w + 2 * s)
        assert after.width_mean == pytest.approx(after.widths.mean())
        assert after.width_error == pytest.approx(np.median(after.width_errors))
        assert after.length == before.length


def test_scale_means_pixels_of_the_network():
    width, error = np.array([6.0]), np.array([0.5])
    half, half_error = KNOWN.width_and_error(width, error, 0.5)
    seen, seen_error = KNOWN.width_and_error(width / 2, error / 2)
    assert half == pytest.approx(2 * seen)
    assert half_error == pytest.approx(2 * seen_error)


def test_cracks_that_the_model_doubts_are_left_out():
    prob = two_cracks()
    found = measure(prob, calibration=KNOWN)
    assert len(found) == 1
    assert found[0].number == 1
    assert certainty(found[0], reader(prob), prob.shape) == pytest.approx(0.95)
    assert len(measure(prob, calibration=KNOWN, options=MeasureOptions(min_prob=0))) == 2
    assert len(measure(prob, options=MeasureOptions(min_prob=0.8))) == 1
    assert len(measure(prob)) == 2


def test_the_surest_points_decide():
    prob = two_cracks()
    prob[26:30, 30:40] = 0.85  # a sure piece is enough
    assert len(measure(prob, calibration=KNOWN)) == 2
    # Of a photo that was seen at half its size they are twice as many pixels.
    assert len(measure(prob, calibration=KNOWN, scale=0.5)) == 1


def test_a_prediction_brings_its_calibration():
    prob = two_cracks()
    prediction = Prediction(prob, prob >= 0.5, 0.5, 0.1, 0.0, measuring=KNOWN.entries())
    cracks, wanted = measure(prediction), measure(prob, calibration=KNOWN)
    assert len(cracks) == len(wanted) == 1
    assert np.array_equal(cracks[0].widths, wanted[0].widths)
    # Another threshold moves the edges, so that nothing is known of the errors.
    assert len(measure(prediction, threshold=0.4)) == 2


def test_the_model_keeps_it(tmp_path):
    network = build_model("crackseg", width=2)
    config = ModelConfig("crackseg", {"width": 2}, measuring=KNOWN.entries())
    save_model(tmp_path / "m", network, config)
    assert read_config(tmp_path / "m" / "config.json") == config
    assert Calibration.parse(config.measuring) == KNOWN
    image = np.zeros((32, 32, 3), np.uint8)
    assert Predictor.load(tmp_path / "m")(image).measuring == config.measuring
    assert Predictor.load(tmp_path / "m", threshold=0.6)(image).measuring == {}
    save_model(tmp_path / "n", network, replace(config, measuring={}))
    assert "measuring" not in (tmp_path / "n" / "config.json").read_text(encoding="utf-8")
    assert Calibration.parse({}) is None


def test_masks_are_as_they_were():
    mask = two_cracks() > 0
    assert [c.width_mean for c in measure(mask)] == [c.width_mean for c in measure(mask * 1.0)]
    assert "min_prob" not in MeasureOptions().settings()
    assert MeasureOptions(min_prob=0.5).settings()["min_prob"] == 0.5
    with pytest.raises(InputError, match="--min-prob"):
        MeasureOptions(min_prob=1.5)
