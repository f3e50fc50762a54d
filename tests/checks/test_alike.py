import numpy as np
import pytest

from fissura.checks.alike import AGREE, ORIENTATIONS, PLACE, View, agreement, find_alike


def test_different_photos_are_not_alike(surfaces):
    assert find_alike([View.of(image) for image, _ in surfaces], range(len(surfaces))) == []


@pytest.mark.parametrize(("how", "turn"), ORIENTATIONS)
def test_a_copy_is_found_in_any_orientation(surfaces, how, turn):
    images = [image for image, _ in surfaces[:8]]
    noise = np.random.default_rng(0).normal(0, 3, images[2].shape)
    brighter = (images[2] * 0.8 + 20 + noise).clip(0, 255).astype(np.uint8)
    copy = np.stack([turn(brighter[:, :, channel]) for channel in range(3)], axis=2)
    (found,) = find_alike([View.of(image) for image in (*images, np.ascontiguousarray(copy))])
    assert (found.first, found.second, found.kind) == (2, 8, "copy")
    undone = ORIENTATIONS[[name for name, _ in ORIENTATIONS].index(found.how)][1]
    back = undone(copy[:, :, 0])
    assert np.abs(back.astype(int) - brighter[:, :, 0]).max() == 0
    assert how == "" or found.how != ""


def test_overlapping_tiles_are_found_among_neighbors(surfaces):
    large = np.hstack([image for image, _ in surfaces[:3]])
    tiles = [np.ascontiguousarray(large[:, left : left + 160]) for left in (0, 70)]
    views = [View.of(image) for image in (*tiles, *[image for image, _ in surfaces[10:20]])]
    (found,) = find_alike(views, range(len(views)))
    assert (found.first, found.second, found.kind) == (0, 1, "overlap")
    assert find_alike(views) == []


def test_the_rim_of_panels_is_no_place(surfaces):
    """One edge makes the views correlate, and nothing else."""
    images = [image.copy() for image, _ in surfaces[:2]]
    for image in images:
        image[:, 130:] = 5
    views = [View.of(image) for image in images]
    one, other = (view.fine.astype(np.float32) for view in views)
    assert float(np.vdot(one, other)) > PLACE
    assert agreement(one, other) < AGREE
    assert find_alike(views, range(2)) == []


def test_one_place_with_other_things_on_it_is_found(surfaces):
    images = [image.copy() for image, _ in surfaces[:2]]
    images.append(images[0].copy())
    images[2][20:80, 30:110] = images[1][20:80, 30:110]
    (found,) = find_alike([View.of(image) for image in images])
    assert (found.first, found.second, found.kind) == (0, 2, "place")


def test_agreement_is_the_median_of_the_parts_correlations():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 24, 40)).astype(np.float32)
    parts = [
        np.corrcoef(
            one[row : row + 6, left : left + 10].ravel(),
            other[row : row + 6, left : left + 10].ravel(),
        )[0, 1]
        for row in range(0, 24, 6)
        for left in range(0, 40, 10)
    ]
    assert agreement(one, other) == pytest.approx(np.median(parts), abs=1e-5)
    assert agreement(one, one) == pytest.approx(1)


def test_flat_photos_are_like_nothing():
    flat = View.of(np.full((40, 40, 3), 90, np.uint8))
    assert find_alike([flat, flat, flat], range(3)) == []
