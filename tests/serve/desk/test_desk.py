"""The desk from a folder of photos to the filed report: same numbers as by files alone."""

import csv

import cv2
import numpy as np
import pytest

from fissura.errors import InputError
from fissura.inference.options import PredictOptions
from fissura.inspection.options import InspectOptions
from fissura.inspection.pipeline import inspect
from fissura.measurement.options import MeasureOptions
from fissura.serve.desk.desk import Stale
from fissura.serve.errors import HttpError


def state(desk, photo="p1"):
    """All that a page is shown of a photo, but for the revision and what can be undone."""
    shown = desk.photo(photo)
    cracks = {crack["id"]: crack for crack in shown["cracks"]}
    return cracks, shown["verdict"], shown["note"], shown["scale"], shown["open"]


def edit(desk, kind, photo="p1", **body):
    return desk.edit(photo, kind, body)


def test_the_model_s_cracks_lie_on_the_desk(desk):
    rows = desk.store.photos()
    assert [(row.state, row.message) for row in rows] == [("done", "")] * 2
    shown = desk.photo("p1")
    assert [crack["id"] for crack in shown["cracks"]] == ["1", "2", "3", "4"]
    assert all(crack["status"] == "found" and crack["unit"] == "px" for crack in shown["cracks"])
    assert shown["levels"] == [
        {"width": 400, "height": 300},
        {"width": 200, "height": 150},
    ]
    assert desk.about()["progress"] == {"done": 2, "failed": 0, "total": 2, "seconds_left": 0}


def test_a_brush_draws_and_erases_and_all_is_undone_and_done_again(desk):
    first = state(desk)
    added = edit(desk, "paint", points=[[30, 5], [200, 8]], radius=2)
    (crack,) = added["cracks"]
    assert (crack["id"], crack["status"], added["removed"]) == ("5", "added", [])
    assert crack["length"] == pytest.approx(174, abs=3)
    longest = next(c for c in desk.photo("p1")["cracks"] if c["id"] == "1")
    x = (longest["box"][0] + longest["box"][2]) / 2
    y = longest["lines"][0][len(longest["lines"][0]) // 2][1]
    split = edit(desk, "erase", points=[[x, y - 40], [x, y + 40]], radius=4)
    assert {c["status"] for c in split["cracks"] if c["length"] > 50} == {"corrected"}
    gone = edit(desk, "erase", points=[[0, 30], [400, 30]], radius=40)
    assert any(c["status"] == "rejected" for c in gone["cracks"])
    last = state(desk)
    for _ in range(3):
        desk.undo("p1", {})
    assert state(desk) == first
    with pytest.raises(InputError, match="nothing to take back"):
        desk.undo("p1", {})
    for _ in range(3):
        desk.redo("p1", {})
    assert state(desk) == last
    assert [row["action"] for row in desk.store.history("p1")] == [
        *["edit"] * 3,
        *["undo"] * 3,
        *["redo"] * 3,
    ]


def test_an_edit_of_an_old_revision_is_refused(desk):
    edit(desk, "note", text="wet", base_revision=0)
    with pytest.raises(Stale) as caught:
        edit(desk, "note", text="dry", base_revision=0)
    assert caught.value.revision == 1
    assert desk.photo("p1")["note"] == "wet"


def test_cracks_are_accepted_rejected_and_taken_back(desk):
    first = state(desk)
    answer = edit(desk, "status", crack="2", status="rejected")
    assert [(c["id"], c["status"]) for c in answer["cracks"]] == [("2", "rejected")]
    assert not desk.opened("p1").mask[desk.opened("p1").model.pixels(2).window].any()
    answer = edit(desk, "status", cracks=["1", "2", "3"], status="accepted")
    assert {c["id"]: c["status"] for c in answer["cracks"]} == dict.fromkeys("123", "accepted")
    answer = edit(desk, "status", cracks=["1", "2", "3"], status="found")
    assert state(desk) == first
    edit(desk, "class", crack="2", **{"class": "spalling"})
    edit(desk, "note", crack="2", text="below the drain")
    edit(desk, "status", crack="2", status="rejected")
    desk.undo("p1", {})
    crack = state(desk)[0]["2"]
    assert (crack["class"], crack["note"], crack["status"]) == (
        "spalling",
        "below the drain",
        "found",
    )
    assert desk.about()["classes"] == ["spalling"]


def test_a_scale_changes_all_figures_and_the_verdict(photos, opened, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("max_width_mm: 0.5\n", encoding="utf-8")
    desk = opened(photos, limits=limits)
    try:
        before = state(desk)
        assert before[1] == "failed"  # nothing can be judged without a scale
        answer = edit(desk, "scale", points=[[10, 10], [110, 10]], length_mm=5)
        assert answer["verdict"] == "ok"
        lengths = {c["id"]: c["length"] for c in answer["cracks"]}
        for name, crack in before[0].items():
            assert lengths[name] == pytest.approx(0.05 * crack["length"])
        corners = [[10, 10], [390, 30], [380, 280], [20, 260]]
        answer = edit(desk, "scale", corners=corners, width_mm=400, height_mm=300)
        assert answer["verdict"] == "failed"
        assert len({c["length"] / before[0][c["id"]]["length"] for c in answer["cracks"]}) > 1
        for _ in range(2):
            desk.undo("p1", {})
        assert state(desk) == before
        with pytest.raises(InputError, match="four corners"):
            edit(desk, "scale", corners=[[0, 0]] * 4, width_mm=4, height_mm=4)
    finally:
        desk.close()


def test_a_new_desk_goes_on_where_the_last_one_ended(photos, opened):
    desk = opened(photos)
    edit(desk, "paint", points=[[30, 5], [200, 8]], radius=2)
    edit(desk, "status", crack="2", status="rejected")
    edit(desk, "note", text="north side")
    before, mask = state(desk), desk.opened("p1").mask.copy()
    desk.close()
    again = opened(photos)
    try:
        assert state(again) == before
        assert np.array_equal(again.opened("p1").mask, mask)
        for _ in range(3):
            again.undo("p1", {})
        assert {c["status"] for c in state(again)[0].values()} == {"found"}
    finally:
        again.close()


def test_a_desk_goes_on_with_the_options_it_began_with(photos, opened):
    opened(photos).close()
    for options, named in (
        ({"predicting": PredictOptions(threshold=0.3)}, "threshold"),
        ({"measuring": MeasureOptions(min_length=30)}, "measuring"),
    ):
        with pytest.raises(InputError, match=f"with other options before.*{named}"):
            opened(photos, **options)
    opened(photos, predicting=PredictOptions(device="cpu")).close()  # cracks don't depend on it


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_filed_report_has_the_numbers_of_the_desk_and_of_files_alone(photos, opened, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("max_width_mm: 0.1\n", encoding="utf-8")
    desk = opened(photos, limits=limits)
    try:
        edit(desk, "scale", mm_per_pixel=0.05)
        edit(desk, "paint", points=[[30, 5], [200, 8]], radius=2)
        edit(desk, "status", crack="2", status="rejected")
        longest = state(desk)[0]["3"]
        middle = longest["lines"][0][len(longest["lines"][0]) // 2]
        edit(desk, "erase", points=[middle], radius=12)
        edit(desk, "note", crack="1", text="look again")
        shown = desk.photo("p1")
        filed = desk.file_report({"training": True, "title": "Wall", "object": "House 3"})
        home = desk.home
    finally:
        desk.close()
    assert not filed.inspection.failures
    assert filed.trained == 1
    assert sorted(one.name for one in (home / "training" / "images").iterdir()) == ["wall 0.png"]
    mine = [row for row in rows_of(filed.out / "cracks.csv") if row["photo"].startswith("wall 0")]
    live = [crack for crack in shown["cracks"] if crack["status"] != "rejected"]
    by_length = sorted(live, key=lambda crack: -crack["length"])
    assert [float(row["length_mm"]) for row in mine] == pytest.approx(
        [crack["length"] for crack in by_length], rel=1e-3
    )
    assert [row["status"] for row in mine] == [crack["status"] for crack in by_length]
    counts = {"found": 4 + 2, "corrected": 2, "added": 1, "rejected": 1}
    assert filed.inspection.statuses == counts
    assert filed.inspection.failing == ["wall 0"] * bool(shown["reasons"]) + ["wall 1"]
    (judged,) = [row for row in rows_of(filed.out / "judged.csv") if row["note"]]
    assert (judged["number_on_desk"], judged["note"]) == ("1", "look again")
    assert "Wall" in (filed.out / "report.html").read_text(encoding="utf-8")

    # By files alone: the folder itself, the corrected masks, what the model found, the table.
    by_files = inspect(
        photos,
        tmp_path / "by files",
        limits=limits,
        inspecting=InspectOptions(
            masks=home / "masks", previous=home / "model", table=home / "photos.csv"
        ),
    )
    for name in ("cracks.csv", "photos.csv", "widths.csv", "corrections.csv"):
        written = (by_files.out / name).read_bytes()
        assert written == (filed.out / name).read_bytes(), name


def test_uploads_become_photos_and_bad_ones_sentences(desk, drawn_photo, tmp_path):
    cv2.imwrite(str(tmp_path / "new.png"), drawn_photo(9))
    with (tmp_path / "new.png").open("rb") as file:
        row = desk.receive(file, "../wall 0.png")
    assert (desk.folder / row.file).read_bytes() == (tmp_path / "new.png").read_bytes()
    assert row.file == "wall 0-2.png"
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    with (tmp_path / "bad.jpg").open("rb") as file, pytest.raises(HttpError, match="damaged"):
        desk.receive(file, "bad.jpg")


def test_a_photo_that_the_model_does_not_know_is_marked(photos, opened, drawn_photo):
    cv2.imwrite(str(photos / "wall 2.png"), (0.7 * drawn_photo(2)).astype(np.uint8))
    desk = opened(photos)
    try:
        assert [desk.photo(f"p{n}")["unfamiliar"] for n in (1, 2, 3)] == [False, False, True]
    finally:
        desk.close()
