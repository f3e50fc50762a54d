"""Cracks of known length and width, and what must not depend on how the image is read."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fissura import measurement
from fissura.data.synthetic import draw_panel
from fissura.data.synthetic.shapes import arc, bar, length_within, lines, true_widths
from fissura.errors import InputError
from fissura.measurement import crack_labels
from fissura.measurement.options import MeasureOptions

SIZE = (112, 112)


def measure(source, *, mm_per_pixel=None, threshold=None, mask=None, min_length=0.0, **options):
    """Measure with these options, and cracks of every length."""
    return measurement.measure(
        source,
        mm_per_pixel=mm_per_pixel,
        threshold=threshold,
        mask=mask,
        options=MeasureOptions(min_length=min_length, **options),
    )


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.metrics() == pytest.approx(other.metrics(), nan_ok=True)
        assert (one.box, one.anchors, one.branches) == (other.box, other.anchors, other.branches)
        np.testing.assert_allclose(one.widths, other.widths)
        for line, line2 in zip(one.lines, other.lines, strict=True):
            np.testing.assert_allclose(line, line2)


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(0, np.pi),
    length=st.floats(50, 85),
    width=st.floats(1.5, 12),
    shift=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
)
def test_bars_at_any_angle_and_point(angle, length, width, shift):
    prob = bar(SIZE, (55.5 + shift[0], 55.5 + shift[1]), angle, length, width)
    (crack,) = measure(prob)
    assert crack.branches == 1
    assert crack.length == pytest.approx(length, rel=0.02)
    assert crack.longest_path == pytest.approx(crack.length, rel=1e-6)
    assert np.abs(crack.widths - width).mean() <= 0.32  # at the worst point and angle
    assert crack.area == (prob >= 0.5).sum()
    turned = (crack.orientation - np.degrees(-angle)) % 180
    assert min(turned, 180 - turned) < 3  # 1.7 the worst of 1200 at random, 2.2 of those found


def test_widths_of_bars_on_average():
    rng = np.random.default_rng(0)
    errors = []
    for width in np.linspace(1.5, 12, 30):
        center = (55.5 + rng.uniform(-0.5, 0.5), 55.5 + rng.uniform(-0.5, 0.5))
        (crack,) = measure(bar(SIZE, center, rng.uniform(0, np.pi), 80, width))
        errors.append(crack.widths - width)
    assert np.abs(np.concatenate(errors)).mean() <= 0.1
    assert abs(np.concatenate(errors).mean()) <= 0.03


@settings(max_examples=15, deadline=None)
@given(
    radius=st.floats(18, 45),
    start=st.floats(0, 6.28),
    turn=st.floats(1.5, 4.5),
    width=st.floats(1.5, 8),
)
@example(18.0, 0.0, 3.609375, 3.625)  # seen along its end the crack goes on behind, just too far
@example(19.521, 1.489, 3.138, 4.467)
def test_arcs(radius, start, turn, width):
    assume(radius >= 4 * width)
    prob = arc(SIZE, (55.3, 55.8), radius, start, turn, width)
    (crack,) = measure(prob)
    if radius * turn >= 50:
        assert crack.length == pytest.approx(radius * turn, rel=0.03)  # the worst; 0.003 on average
    assert np.abs(crack.widths - width).mean() <= 0.25


def test_a_ring_is_measured_all_around():
    (crack,) = measure(arc(SIZE, (55.3, 55.8), 30, 0, 7, 4))
    assert crack.length == pytest.approx(2 * np.pi * 30, rel=0.02)
    assert crack.longest_path == pytest.approx(np.pi * 30, rel=0.02)
    assert crack.branches == 1


@pytest.mark.parametrize("index", [1, 3, 8])
def test_branching_cracks_of_the_generator(index):
    size = (400, 600)
    panel = draw_panel(5, index, size_hw=size, crack_fraction=0.02)
    # Of what is finer, no pixel is half covered.
    branches = [np.column_stack([b[:, :2], np.maximum(b[:, 2], 1.5)]) for b in panel.centerline]
    cracks = measure(lines(branches, size))
    assert sum(crack.branches for crack in cracks) > 8
    assert sum(crack.length for crack in cracks) == pytest.approx(
        length_within(branches, size), rel=0.02
    )
    samples = np.concatenate([crack.samples for crack in cracks])
    widths = np.concatenate([crack.widths for crack in cracks])
    assert np.abs(widths - true_widths(branches, samples)).mean() <= 0.25


@settings(max_examples=8, deadline=None)
@given(index=st.integers(0, 40), window=st.integers(20, 130), halo=st.integers(4, 40))
def test_windows_cut_no_crack_in_two(index, window, halo):
    size = (120, 150)
    panel = draw_panel(7, index, size_hw=size, crack_fraction=0.08)
    prob = ndimage.gaussian_filter(panel.mask.astype(np.float32), 0.7)
    reads = []

    def read(top, left, bottom, right):
        reads.append((bottom - top) * (right - left))
        return prob[top:bottom, left:right]

    options = MeasureOptions(min_length=3.0, bridge=6.0)
    by_windows = measurement.measure_windows(
        read, size, threshold=0.5, options=options, mm_per_pixel=0.1, window=window, halo=halo
    )
    same(by_windows, measurement.measure(prob, options=options, mm_per_pixel=0.1))
    assert len(reads) > 1


@pytest.mark.parametrize("index", [3, 7])
def test_components_measured_in_chunks_are_the_same(index, monkeypatch):
    mask = draw_panel(7, index, size_hw=(150, 210), crack_fraction=0.08).mask
    together = measure(mask)
    monkeypatch.setattr("fissura.measurement.cracks.POINTS_AT_ONCE", 40)
    assert len(together) > 2
    same(measure(mask), together)


def test_a_thick_blob_gets_the_halo_it_needs():
    prob = np.zeros((220, 300), np.float32)
    prob[30:190, 40:260] = 1
    prob[100:104, 260:290] = 1

    def read(top, left, bottom, right):
        return prob[top:bottom, left:right]

    by_windows = measurement.measure_windows(read, prob.shape, threshold=0.5, window=50, halo=4)
    same(by_windows, measurement.measure(prob))


def test_order_numbers_labels_and_boxes():
    mask = np.zeros((60, 90), bool)
    mask[10:13, 5:35] = True
    mask[30:35, 5:85] = True
    mask[50, 50] = True
    cracks = measure(mask)
    assert [crack.number for crack in cracks] == [1, 2, 3]
    assert [crack.box for crack in cracks] == [(30, 5, 35, 85), (10, 5, 13, 35), (50, 50, 51, 51)]
    labels = crack_labels(mask, cracks)
    assert [int((labels == n).sum()) for n in range(4)] == [60 * 90 - 491, 400, 90, 1]
    for crack in cracks:
        assert crack.area == (labels == crack.number).sum()
    long = measure(mask, min_length=40)
    assert [crack.area for crack in long] == [400]
    assert set(np.unique(crack_labels(mask, long))) == {0, 1}


def test_widest_sample_percentile_and_profile():
    branch = np.column_stack([np.full(120, 40.0), np.arange(120.0) + 10, np.full(120, 3.0)])
    branch[70:80, 2] = 9.0
    (crack,) = measure(lines([branch], (80, 140)))
    assert crack.width_median == pytest.approx(3, abs=0.1)
    assert crack.width_max == pytest.approx(9, abs=0.5)
    assert 78 <= crack.widest_at[1] <= 91
    assert crack.width_p95 == pytest.approx(np.percentile(crack.widths, 95))
    assert len(crack.samples) == len(crack.widths) == len(crack.width_errors)


def test_metrics_carry_their_unit():
    mask = np.zeros((20, 60), bool)
    mask[8:12, 5:55] = True
    (plain,) = measure(mask)
    (scaled,) = measure(mask, mm_per_pixel=0.5)
    assert plain.metrics()["length_px"] == pytest.approx(2 * scaled.metrics()["length_mm"])
    assert plain.metrics()["area_px2"] == pytest.approx(4 * scaled.metrics()["area_mm2"]) == 200
    assert not any(name.endswith(("px", "px2")) for name in scaled.metrics())


def test_spurs_are_pruned_by_the_stated_rule():
    prob = bar(SIZE, (55, 55), 0, 90, 10)
    bump = bar(SIZE, (51, 40), np.pi / 2, 8, 3)  # reaches 3 px out of the crack
    branch = bar(SIZE, (45, 70), np.pi / 2, 20, 3)
    both = np.maximum(np.maximum(prob, bump), branch)
    assert measure(both)[0].branches == 3
    assert measure(both, spur=0)[0].branches >= 5
    assert measure(both, spur=5)[0].branches == 1


def test_gaps_are_bridged_only_on_request_and_along_the_crack():
    prob = bar((60, 160), (30, 40), 0, 60, 3)
    onward = bar((60, 160), (31, 110), 0, 60, 3)  # 10 px on
    beside = bar((60, 160), (44, 75), 0, 20, 3)
    both = np.maximum(np.maximum(prob, onward), beside)
    assert len(measure(both)) == 3
    assert len(measure(both, bridge=8)) == 3
    long, short = measure(both, bridge=14)
    assert long.length == pytest.approx(130, rel=0.02)
    assert long.longest_path == pytest.approx(130, rel=0.02)
    assert long.branches == 2
    assert len(long.anchors) == 2
    assert short.length == pytest.approx(20, abs=0.7)
    labels = crack_labels(both >= 0.5, [long, short])
    assert labels[30, 20] == labels[31, 120] == 1


def test_uncertainty_follows_from_the_slope():
    sharp = bar(SIZE, (55.2, 55), 0.3, 80, 8)
    soft = ndimage.gaussian_filter(sharp, 2.0)
    (one,), (other,) = measure(sharp), measure(soft)
    assert other.width_error > 3 * one.width_error
    (doubled,) = measure(soft, prob_error=0.2)
    assert doubled.width_error == pytest.approx(2 * other.width_error)
    # A Gaussian edge has the slope 1/(σ·√(2π)) in its middle, seen over one pixel.
    expected = 0.1 * np.sqrt(2) * 2.0 * np.sqrt(2 * np.pi)
    assert other.width_error == pytest.approx(expected, rel=0.1)


def test_the_border_of_the_image():
    prob = np.zeros((50, 80), np.float32)
    prob[20:24, :] = 1  # leaves at both sides
    (crack,) = measure(prob)
    assert crack.length == pytest.approx(80, abs=0.5)
    prob = np.zeros((50, 80), np.float32)
    prob[:3, 10:70] = 1  # cut off lengthwise
    (crack,) = measure(prob)
    assert np.isnan(crack.width_mean)
    assert len(crack.widths) == 0
    assert crack.length == pytest.approx(60, rel=0.05)


@pytest.mark.parametrize("fill", [False, True])
def test_nothing_and_everything(fill):
    cracks = measure(np.full((40, 50), fill))
    assert len(cracks) == int(fill)


def test_masks_and_probabilities_of_a_mask_agree():
    mask = draw_panel(3, 3, size_hw=(128, 128)).mask
    same(measure(mask), measure(mask.astype(np.float64)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_tiny_images(shape, seed):
    mask = np.random.default_rng(seed).random(shape) < 0.6
    cracks = measure(mask)
    assert sum(crack.area for crack in cracks) == mask.sum()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), fraction=st.floats(0.05, 0.9))
def test_noise_breaks_nothing(seed, fraction):
    mask = np.random.default_rng(seed).random((28, 25)) < fraction
    cracks = measure(mask)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    assert len(cracks) == count
    assert sum(crack.area for crack in cracks) == mask.sum()
    for crack in cracks:
        assert np.isfinite(crack.length)
        assert crack.longest_path <= crack.length + 1e-6
        assert len({int(labels[anchor]) for anchor in crack.anchors}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold is 0"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"min_length": -1.0}, "min-length is -1"),
        ({"bridge": float("nan")}, "bridge is nan"),
        ({"prob_error": 0.0}, "above 0"),
        ({"mm_per_pixel": -2.0}, "mm per pixel"),
    ],
    ids=str,
)
def test_values_out_of_range_get_a_sentence(options, message):
    with pytest.raises(InputError, match=message):
        measure(np.zeros((5, 5)), **options)


def test_other_arrays_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        measure(np.zeros((5, 5), np.uint8))


def test_specks_alone_leave_nothing_to_measure():
    specks = np.zeros((40, 60), bool)
    specks[5, 5] = specks[20, 30] = specks[30, 50] = True
    assert measurement.measure(specks) == []
    assert measurement.measure(np.zeros((40, 60), bool)) == []
    assert measurement.measure(specks, options=MeasureOptions(bridge=5.0)) == []

    def read(top, left, bottom, right):
        return specks[top:bottom, left:right].astype(np.float32)

    for window in (8, 64):
        assert (
            measurement.measure_windows(read, (40, 60), threshold=0.5, window=window, halo=4) == []
        )
