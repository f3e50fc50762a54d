"""Measuring what changed gives what measuring the whole photo gives, to the bit."""

from dataclasses import asdict, fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fissura.data.formats.shapes.runs import crack_runs
from fissura.inspection.records.corrections import Correction, Found, review
from fissura.measurement import crack_labels, measure
from fissura.measurement.cracks import measure_part
from fissura.measurement.options import MeasureOptions
from fissura.serve.desk.edits.remeasure import first_entries, remeasure
from fissura.serve.desk.photos.found import ModelFound
from fissura.serve.desk.photos.pixels import pack_pixels, stroke, trimmed, unpack_pixels

SIZE = (150, 220)
FIGURES = [
    *("length", "longest_path", "width_mean", "width_median", "width_p95", "width_max"),
    *("widest_at", "width_error", "area", "orientation", "branches", "box", "anchors"),
]


def model_found(prob, options):
    """What the record of a photo holds, and the mask of the model."""
    mask = prob >= 0.5
    cracks = measure(prob, mask=mask, threshold=0.5, options=options)
    labels = crack_labels(mask, cracks)
    specks = crack_runs((mask & (labels == 0)).astype(np.int32), 1)[0]
    model = ModelFound(cracks, crack_runs(labels, len(cracks)), specks, mask.shape, options)
    return model, mask


def whole(mask, model):
    """What `fissura inspect` does with a corrected mask."""
    options = MeasureOptions(**asdict(model.measuring) | {"min_length": 0.0})
    cracks = measure(mask.astype(np.float32), mask=mask, threshold=0.5, options=options)
    labels = crack_labels(mask, cracks)
    found = Found(model.cracks, model.runs, asdict(model.measuring), model.specks)
    return review(Correction(mask=""), cracks, labels, found, keep=True)


def same(one, other):
    for name in FIGURES:
        a, b = getattr(one, name), getattr(other, name)
        assert np.array_equal(a, b, equal_nan=True), name
    for name in ("samples", "widths", "width_errors"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert len(one.lines) == len(other.lines)
    for a, b in zip(one.lines, other.lines, strict=True):
        assert np.array_equal(a, b)


def check(entries, mask, model):
    """The cracks of the desk are those of the whole photo, and so is what became of them."""
    cracks, correction = whole(mask, model)
    live = {entry.crack.anchors: entry for entry in entries.values() if entry.is_live}
    assert live.keys() == {crack.anchors for crack in cracks}
    for crack, status in zip(cracks, correction.statuses, strict=True):
        entry = live[crack.anchors]
        assert entry.status == status
        assert entry.crack.number == int(entry.id)
        same(entry.crack, crack)
    rejected = {str(crack.number) for crack in correction.rejected}
    assert {entry.id for entry in entries.values() if not entry.is_live} == rejected


def drawn(seed):
    rng = np.random.default_rng(seed)
    prob = rng.uniform(0, 0.45, SIZE).astype(np.float32)
    for _ in range(rng.integers(1, 6)):
        x = np.sort(rng.uniform(0, SIZE[1], 5))
        way = np.stack([x, rng.uniform(0, SIZE[0], 5)], 1)
        found = stroke(way.tolist(), rng.uniform(0.8, 3.5), SIZE)
        if found is not None:
            prob[found.window][found.inside] += rng.uniform(0.3, 0.5)
    return prob.clip(0, 1)


strokes = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(
            st.tuples(st.floats(-5, SIZE[1] + 5), st.floats(-5, SIZE[0] + 5)),
            min_size=1,
            max_size=4,
        ),
        st.floats(0.5, 14),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), edits=strokes)
def test_edits_give_what_the_whole_photo_gives(seed, edits):
    model, mask = model_found(drawn(seed), MeasureOptions(min_length=10))
    entries = {entry.id: entry for entry in first_entries(model.cracks)}
    label = len(entries) + 1
    for paints, points, radius in edits:
        found = stroke(points, radius, SIZE)
        if found is None:
            continue
        there = mask[found.window]
        inside = found.inside & (~there if paints else there)
        turned = trimmed(type(found)(found.box, inside))
        if turned is None:
            continue
        turned.turn(mask)
        change = remeasure(mask, turned, entries, model, label)
        label = change.next_label
        for entry in change.before:
            del entries[entry.id]
        assert not entries.keys() & {entry.id for entry in change.after}
        entries |= {entry.id: entry for entry in change.after}
        check(entries, mask, model)


def test_bridged_gaps_are_measured_with_the_whole_photo():
    model, mask = model_found(drawn(3), MeasureOptions(min_length=5, bridge=30))
    entries = {entry.id: entry for entry in first_entries(model.cracks)}
    turned = stroke([(20, 10), (120, 100)], 3, SIZE)
    turned = trimmed(type(turned)(turned.box, turned.inside & mask[turned.window]))
    turned.turn(mask)
    change = remeasure(mask, turned, entries, model, len(entries) + 1)
    for entry in change.before:
        del entries[entry.id]
    entries |= {entry.id: entry for entry in change.after}
    check(entries, mask, model)


@pytest.mark.parametrize("seed", range(4))
def test_a_part_is_measured_as_the_whole_to_the_bit(seed):
    prob = drawn(seed)
    mask = prob >= 0.5
    options = MeasureOptions(min_length=3)
    cracks = measure(prob, mask=mask, threshold=0.5, options=options)
    labels = crack_labels(mask, cracks)
    for crack in cracks:
        top, left, bottom, right = crack.box
        own = labels[top:bottom, left:right] == crack.number
        (part,) = measure_part(
            lambda t, x, b, r: prob[t:b, x:r], SIZE, crack.box, own, threshold=0.5, options=options
        )
        same(part, crack)


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(-9, 50), st.floats(-9, 40)), min_size=1, max_size=4),
    radius=st.floats(0.3, 12),
)
def test_a_stroke_holds_the_pixels_whose_center_it_passes(points, radius):
    found = stroke(points, radius, (30, 40))
    mask = np.zeros((30, 40), bool)
    if found is not None:
        found.turn(mask)
        again = unpack_pixels(pack_pixels(found))
        assert again.box == found.box
        assert np.array_equal(again.inside, found.inside)
    ends = list(pairwise(points)) or [(points[0], points[0])]
    for row, column in np.ndindex(30, 40):
        at = np.array([column + 0.5, row + 0.5])
        nearest = min(distance(at, np.array(a), np.array(b)) for a, b in ends)
        if abs(nearest - radius) > 1e-9:
            assert mask[row, column] == (nearest < radius)


def distance(point, start, end):
    ahead = end - start
    square = float(ahead @ ahead)
    along = 0.0 if square == 0 else min(max(float((point - start) @ ahead) / square, 0.0), 1.0)
    return float(np.hypot(*(point - start - along * ahead)))


def test_fields_of_cracks_are_all_compared():
    names = {each.name for each in fields(measure(drawn(0) >= 0.5)[0])}
    apart = {"number", "mm_per_pixel", "lines", "samples", "widths", "width_errors"}
    assert names == {*FIGURES, *apart}
