"""Records come back from their files as they were."""

import dataclasses

import numpy as np
import pytest

from fissura.data.formats.shapes.runs import crack_runs
from fissura.data.synthetic import draw_panel
from fissura.errors import InputError
from fissura.inspection.records.record import Record
from fissura.inspection.records.store import load_outline, load_record, save_record
from fissura.measurement import crack_labels, measure


def record(tmp_path, mask, **changes):
    panel = draw_panel(1, 3, size_hw=mask.shape)
    cracks = measure(mask, mm_per_pixel=0.2)
    known = {
        "file": tmp_path / "a.jpg",
        "name": "deck/a",
        "size_hw": mask.shape,
        "cracks": cracks,
        "mm_per_pixel": 0.2,
        "resolution_source": "given",
        "preview": panel.image,
        "preview_scale": 1.0,
        "runs": crack_runs(crack_labels(mask, cracks), len(cracks)),
        "mask_sha256": "ab",
        "files": {"mask": "masks/deck/a.png"},
    }
    return Record(**known | changes)


def assert_same(one, other, name=""):
    if isinstance(other, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(other, list) and other and not isinstance(other[0], str):
        for left, right in zip(one, other, strict=True):
            assert_same(left, right, name)
    elif dataclasses.is_dataclass(other):
        for entry in dataclasses.fields(other):
            assert_same(getattr(one, entry.name), getattr(other, entry.name), entry.name)
    else:
        assert one == other, name
        assert type(one) is type(other), name


@pytest.mark.parametrize("case", ["cracks", "no crack", "no runs"])
def test_round_trip(tmp_path, case):
    mask = draw_panel(1, 3, size_hw=(90, 120), crack_fraction=0.08).mask & (case != "no crack")
    changes = {"crs": "EPSG:32633", "transform": (0.1, 0, 5, 0, -0.1, 7)}
    before = record(tmp_path, mask, **changes | ({"runs": None} if case == "no runs" else {}))
    save_record(tmp_path / "a.npz", before)
    after = load_record(tmp_path / "a.npz")
    assert np.abs(after.preview.astype(int) - before.preview).mean() < 4
    assert_same(dataclasses.replace(after, preview=before.preview), before)
    outline, photo = load_outline(tmp_path / "a.npz")
    assert outline == before.outline
    assert photo["mask_sha256"] == "ab"


def test_samples_are_read_under_their_old_name(tmp_path):
    before = record(tmp_path, draw_panel(1, 3, size_hw=(90, 120), crack_fraction=0.08).mask)
    save_record(tmp_path / "a.npz", before)
    with np.load(tmp_path / "a.npz") as stored:
        arrays = {{"samples": "places"}.get(name, name): stored[name] for name in stored}
    np.savez(tmp_path / "old.npz", **arrays)
    assert_same(load_record(tmp_path / "old.npz").cracks, before.cracks)


@pytest.mark.parametrize("damage", ["cut off", "empty", "text", "of version 0.1"])
def test_a_damaged_or_old_file_is_refused_with_a_sentence(tmp_path, damage):
    path = tmp_path / "a.npz"
    save_record(path, record(tmp_path, np.zeros((40, 50), bool)))
    if damage == "of version 0.1":
        np.savez(path, meta=np.frombuffer(b'{"photo": {}, "cracks": []}', np.uint8))
    else:
        kept = {"cut off": path.read_bytes()[:-400], "empty": b"", "text": b"nothing"}
        path.write_bytes(kept[damage])
    for load in (load_record, load_outline):
        with pytest.raises(InputError) as error:
            load(path)
        assert str(path) in str(error.value)
        assert ("--overwrite" if "0.1" in damage else "Delete it") in str(error.value)
