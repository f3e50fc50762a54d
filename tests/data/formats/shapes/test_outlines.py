"""Outlines of pixels paint the same pixels again, also with their holes joined to them."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fissura.data.formats.annotation import Polygon
from fissura.data.formats.shapes.outlines import components, inset, keyhole, outlines
from fissura.data.formats.shapes.rasterize import fill

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))
# Larger and mostly filled, so that there are holes, in each other's reach.
filled = arrays(
    np.bool_,
    st.just((12, 14)),
    elements=st.floats(0, 1).map(lambda v: v > 0.15),
    fill=st.just(True),
)


def painted(rings, size_hw):
    mask = np.zeros(size_hw, int)
    for ring in rings:
        pixels, top, left = fill(ring, size_hw)
        mask[top : top + pixels.shape[0], left : left + pixels.shape[1]] += pixels
    return mask


@given(masks | filled)
def test_outlines_and_holes_are_the_pixels(mask):
    found = outlines(mask)
    outer = painted([polygon.outer for polygon in found], mask.shape)
    holes = painted([hole for polygon in found for hole in polygon.holes], mask.shape)
    np.testing.assert_array_equal(outer - holes, mask.astype(int))
    count, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    assert len(found) == len(components(mask)) == count - 1


@given(masks | filled)
def test_joined_outlines_are_the_pixels(mask):
    found = outlines(mask)
    rings = [keyhole(polygon) for polygon in found]
    np.testing.assert_array_equal(painted(rings, mask.shape), mask)
    holes = [tuple(map(inset, polygon.holes)) for polygon in found]
    rings = [keyhole(Polygon(inset(p.outer), h)) for p, h in zip(found, holes, strict=True)]
    np.testing.assert_array_equal(painted(rings, mask.shape), mask)


@given(filled)
def test_lines_to_holes_run_through_the_shape(mask):
    """Programs that paint an outline's line as well, such as OpenCV, paint nothing within holes."""
    for polygon in outlines(mask):
        ring = keyhole(polygon)
        start, end = ring, np.roll(ring, -1, axis=0)
        for (x0, y0), (x1, y1) in zip(start, end, strict=True):
            if y0 == y1 and y0 % 1 == 0.5:  # a line to a hole
                assert mask[int(y0), int(min(x0, x1)) : int(max(x0, x1))].all()


@given(masks)
def test_points_lie_where_an_outline_turns(mask):
    for polygon in outlines(mask):
        for ring in (polygon.outer, *polygon.holes):
            before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
            assert ((before == 0).sum(axis=1) == 1).all()
            assert ((before == 0) != (after == 0)).all()


@given(masks)
def test_components_are_cut_to_their_boxes(mask):
    total = np.zeros(mask.shape, int)
    for pixels, top, left in components(mask):
        assert pixels[0].any()
        assert pixels[-1].any()
        assert pixels[:, 0].any()
        assert pixels[:, -1].any()
        total[top : top + pixels.shape[0], left : left + pixels.shape[1]] += pixels
    np.testing.assert_array_equal(total, mask)


@given(masks | filled)
def test_programs_that_paint_outlines_paint_the_same_pixels(mask):
    """As Ultralytics does; pixels may be added only where two touch at a corner."""
    canvas = np.zeros(mask.shape, np.uint8)
    for polygon in outlines(mask):
        holes = tuple(map(inset, polygon.holes))
        ring = keyhole(Polygon(inset(polygon.outer), holes))
        cv2.fillPoly(canvas, [ring.astype(np.int32)], 1)
    crossed = (mask[:-1, :-1] == mask[1:, 1:]) & (mask[1:, :-1] == mask[:-1, 1:])
    crossed &= mask[:-1, :-1] != mask[1:, :-1]
    beside = np.zeros(mask.shape, bool)
    for down, across in np.ndindex(2, 2):
        rows, columns = crossed.shape
        beside[down : down + rows, across : across + columns] |= crossed
    assert canvas[mask].all()
    assert not canvas[~mask & ~beside].any()


@pytest.mark.parametrize("size_hw", [(0, 5), (5, 0), (0, 0), (3, 4)])
def test_no_pixels_have_no_outline(size_hw):
    nothing = np.zeros(size_hw, np.bool_)
    assert outlines(nothing) == components(nothing) == []
