"""Measured photos come back from their files as they were."""

import dataclasses

import numpy as np
import pytest

from fissura.data.synthetic import draw_panel
from fissura.inspection.record import Record
from fissura.inspection.store import StoredPhotos, load_inspected, save_inspected
from fissura.measurement import measure


def photo(tmp_path, mask, **changes):
    panel = draw_panel(1, 3, size_hw=mask.shape)
    known = {
        "file": tmp_path / "a.jpg",
        "name": "deck/a",
        "size_hw": mask.shape,
        "cracks": measure(mask, mm_per_pixel=0.2),
        "mm_per_pixel": 0.2,
        "scale_source": "given: 0.2 mm per pixel",
        "preview": panel.image,
        "preview_scale": 1.0,
        "files": {"mask": "masks/deck/a.png"},
    }
    return Record(**known | changes)


@pytest.mark.parametrize("empty", [False, True])
def test_round_trip(tmp_path, empty):
    mask = draw_panel(1, 3, size_hw=(90, 120), crack_fraction=0.08).mask & (not empty)
    before = photo(tmp_path, mask, crs="EPSG:32633", transform=(0.1, 0, 5, 0, -0.1, 7))
    save_inspected(tmp_path / "a.npz", before)
    after = load_inspected(tmp_path / "a.npz")
    assert len(after.cracks) == len(before.cracks)
    for ours, theirs in ((after, before), *zip(after.cracks, before.cracks, strict=True)):
        for entry in dataclasses.fields(theirs):
            one, other = getattr(ours, entry.name), getattr(theirs, entry.name)
            if entry.name == "preview":
                assert np.abs(one.astype(int) - other).mean() < 4
            elif entry.name == "lines":
                for line, line2 in zip(one, other, strict=True):
                    np.testing.assert_array_equal(line, line2)
            elif isinstance(other, np.ndarray):
                np.testing.assert_array_equal(one, other)
            elif entry.name != "cracks":
                assert one == other, entry.name
                assert type(one) is type(other)


def test_photos_are_loaded_when_asked_for_and_judged(tmp_path):
    mask = draw_panel(1, 3, size_hw=(90, 120), crack_fraction=0.08).mask
    files = []
    for name in "ab":
        files.append(tmp_path / f"{name}.npz")
        save_inspected(files[-1], photo(tmp_path, mask, name=name))

    def judge(each):
        return dataclasses.replace(each, failures=["no"], judged=True)

    photos = StoredPhotos(files, preview=False, judge=judge)
    assert [each.name for each in photos] == ["a", "b"]
    assert photos[1].failures == ["no"]
    assert photos[-1].preview.shape == (0, 0, 3)
    assert [each.name for each in photos[1:]] == ["b"]
    with pytest.raises(IndexError):
        photos[2]
