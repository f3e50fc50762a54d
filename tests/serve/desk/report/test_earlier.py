"""Reports of the desk compared with earlier inspections: which are offered, and what comes out."""

import csv
import os
import shutil
import time

import cv2
import numpy as np
import pytest

from fissura.errors import InputError
from fissura.serve.desk.report.earlier import find_earlier
from fissura.serve.options import Served, ServeOptions


def inspection(folder, photos=1, days_ago=0):
    """What tells a folder of results."""
    (folder / "measured" / "east").mkdir(parents=True)
    for number in range(photos):
        (folder / "measured" / "east" / f"{number}.npz").touch()
    settings = folder / "inspection.json"
    settings.write_text("{}", encoding="utf-8")
    then = time.time() - 86_400 * days_ago
    os.utime(settings, (then, then))
    return folder


def test_reports_of_the_desk_come_first_then_the_latest_of_all_places(tmp_path):
    wall = tmp_path / "walls" / "2026"
    home = wall / "fissura-desk"
    inspection(home / "report", days_ago=2)
    inspection(home / "report-2", photos=3)
    inspection(home / "model")  # what the model found, not what was filed
    inspection(tmp_path / "walls" / "2025", days_ago=365)
    inspection(tmp_path / "walls" / "2024" / "fissura-desk" / "report", days_ago=700)
    inspection(tmp_path / "elsewhere" / "old", days_ago=1000)
    (tmp_path / "walls" / "empty" / "measured").mkdir(parents=True)
    (tmp_path / "walls" / "empty" / "inspection.json").write_text("{}", encoding="utf-8")
    places = [wall, wall.parent, tmp_path / "elsewhere" / "old", tmp_path / "not there"]
    found = find_earlier(home, places)
    assert [(one.name, one.own, one.photos) for one in found] == [
        ("report-2", True, 3),
        ("report", True, 1),
        ("2025", False, 1),
        ("2024/fissura-desk/report", False, 1),
        ("old", False, 1),
    ]
    assert len({one.id for one in found}) == len(found)
    assert [one.id for one in find_earlier(home, places)] == [one.id for one in found]


def test_what_lies_beside_the_photos_is_shown_to_this_machine_alone(tmp_path):
    more = ServeOptions(earlier=(tmp_path / "old",))
    assert Served(folder=tmp_path / "wall", options=more).earlier == (
        *(tmp_path / "old", tmp_path / "wall", tmp_path),
    )
    open_to_all = ServeOptions(host="0.0.0.0", token="0123456789abcdef", earlier=more.earlier)
    assert Served(folder=tmp_path / "wall", options=open_to_all).earlier == (
        *(tmp_path / "old", tmp_path / "wall"),
    )
    assert Served(options=more).earlier == ()


def finished(desk, **body):
    """File the report, and return what the page is told."""
    desk.store.tell("finished", None)
    desk.finish(body)
    for _ in range(600):
        told = desk.about()["finished"]
        if told:
            return told
        time.sleep(0.05)
    raise TimeoutError


def changes(told, desk):
    with desk.result("comparison/changes.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_report_is_compared_with_the_one_before(desk):
    first = finished(desk)
    assert (first["comparison"], first["compared"]) == (None, [])
    (own,) = desk.earlier()
    assert (own.name, own.own, own.photos) == ("report", True, 2)
    desk.edit("p1", "paint", {"points": [[30, 8], [200, 8]], "radius": 2})
    told = finished(desk, earlier=own.id, old_date="2025-11-20", new_date="2026-11-20")
    assert told["comparison"] == "comparison/comparison.html"
    assert told["compared"] == [
        "Compared with report: 2 pairs of photos; cracks: 1 new, 8 unchanged."
    ]
    new = [row for row in changes(told, desk) if row["verdict"] == "new"]
    assert [row["photo_new"] for row in new] == ["wall 0"]
    assert float(new[0]["growth_px"]) == pytest.approx(174, abs=4)
    assert [one.name for one in desk.earlier()] == ["report", "report-2"]


@pytest.mark.slow
def test_rules_of_growth_judge_the_comparison(photos, opened, tmp_path):
    rules = tmp_path / "growth.yaml"
    rules.write_text("max_new_cracks: 0\n", encoding="utf-8")
    desk = opened(photos, growth=rules)
    try:
        finished(desk)
        desk.edit("p1", "paint", {"points": [[30, 8], [200, 8]], "radius": 2})
        told = finished(desk, earlier=desk.earlier()[0].id)
        assert "wall 0: there is 1 new crack; at most 0 may be." in told["compared"]
    finally:
        desk.close()
    rules.write_text("max_grwth_mm: 0\n", encoding="utf-8")
    with pytest.raises(InputError, match="rule that Fissura does not know"):
        opened(photos, growth=rules)


def test_a_comparison_that_cannot_be_is_refused_before_anything_is_written(desk):
    for body, why in (
        ({"earlier": "nothing"}, "not there any more"),
        ({"earlier": 5}, "not there any more"),
        ({"earlier": "x", "old_date": "yesterday"}, "is no day"),
        ({"earlier": "x", "old_date": 5}, "must be a day"),
        ({"earlier": "x", "old_date": "2026-01-01", "new_date": "2025-01-01"}, "is not after"),
    ):
        with pytest.raises(InputError, match=why):
            desk.finish(body)
    assert not list(desk.home.glob("report*"))


@pytest.mark.slow
def test_what_cannot_be_compared_is_said_in_a_sentence(desk, opened, tmp_path):
    other = tmp_path / "others"
    other.mkdir()
    rng = np.random.default_rng(5)
    cv2.imwrite(str(other / "field.png"), rng.integers(0, 255, (300, 400, 3)).astype(np.uint8))
    elsewhere = opened(other)
    finished(elsewhere)
    elsewhere.close()
    shutil.move(other / "fissura-desk" / "report", desk.home / "report-of-others")
    (strange,) = desk.earlier()
    told = finished(desk, earlier=strange.id)
    assert told["comparison"] is None
    assert told["compared"][0].startswith("Not compared with report-of-others: No photo of")
    assert desk.result(told["report"]) is not None  # the report is filed all the same
