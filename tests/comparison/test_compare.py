"""Two folders of inspections in; verdicts, growth with its uncertainty, files and statuses out."""

import csv
import json
import re

import cv2
import numpy as np
import pytest

from fissura import CompareOptions, InputError, compare
from fissura.cli import run
from fissura.measurement.perspective import from_rectangle

DATES = {"old_date": "2025-01-01", "new_date": "2026-01-01"}
# The drawn masks are exact: what a model adds to the differences of two photos is left out.
EXACT = {"length_error": 0.0, "width_fraction": 0.0}


def rows(file):
    with file.open(newline="", encoding="utf-8-sig") as table:
        return list(csv.DictReader(table))


@pytest.fixture(scope="module")
def walls(kit, tmp_path_factory):
    """Two walls; on each a crack that is the same, one grown, one widened, one new, one closed."""
    root = tmp_path_factory.mktemp("walls")
    old, new, grown = {}, {}, {}
    for seed, name in enumerate(("east/a", "east/b")):
        surface = kit.wall(seed)
        same, longer = kit.line((100, 60), (130, 300), 3, seed), kit.line((250, 80), (300, 420), 4)
        wider, closed = kit.line((60, 380), (200, 500), 3, 3), kit.line((180, 100), (180, 220), 3)
        fresh = kit.line((350, 150), (380, 400), 2.5, 9)
        after = wider.copy()
        after[:, 2] = 6
        grown[name] = kit.length(longer) - kit.length(longer[:250]), kit.length(fresh)
        old[name] = kit.photograph(surface, [same, longer[:250], wider, closed], seed=1)
        new[name] = kit.photograph(surface, [same, longer, after, fresh], kit.tilt(seed), seed=2)
    kit.write_inspection(root / "old", old)
    kit.write_inspection(root / "new", new)
    found = compare(
        root / "old", root / "new", root / "out", options=CompareOptions(**DATES, **EXACT)
    )
    return root, found, grown


def test_every_crack_has_its_verdict_and_the_growth_that_was_drawn(walls):
    _, found, grown = walls
    assert found.complete
    assert [pair.by for pair in found.pairs] == ["name", "name"]
    for pair in found.pairs:
        verdicts = [change.verdict for change in pair.changes]
        assert verdicts == ["new", "grown", "grown", "unchanged", "closed"]
        new, longer, wider, same, closed = pair.changes
        added, fresh = grown[pair.new]
        # 2 sigma of a normal distribution, for four changes each.
        assert new.length == pytest.approx(fresh, abs=2 * new.length_error)
        assert longer.length == pytest.approx(added, abs=2 * longer.length_error)
        assert longer.length_error < 8
        assert wider.width == pytest.approx(3, abs=2 * wider.width_error)
        assert wider.length == pytest.approx(0, abs=2 * wider.length_error)
        assert same.length == pytest.approx(0, abs=2 * same.length_error)
        assert same.width == pytest.approx(0, abs=2 * same.width_error)
        assert closed.length == pytest.approx(-120, abs=20)
        assert (closed.new, new.old) == ((), ())


def test_what_a_model_finds_differently_widens_the_uncertainty_by_its_formula(walls):
    root, exact, _ = walls
    found = compare(root / "old", root / "new", root / "measured", options=CompareOptions(**DATES))
    known = CompareOptions()
    changes = [
        (pair.registration.scale, one, other)
        for pair, same in zip(found.pairs, exact.pairs, strict=True)
        for one, other in zip(
            sorted(pair.changes, key=lambda change: (change.old, change.new)),
            sorted(same.changes, key=lambda change: (change.old, change.new)),
            strict=True,
        )
    ]
    for scale, one, other in changes:
        lengths = [length for length in (one.old_length, one.new_length) if length]
        long, coarser = sum(lengths) / len(lengths), max(1.0, scale)
        added = known.length_error**2 * coarser * long / 100
        assert one.length_error**2 - other.length_error**2 == pytest.approx(added)
        if one.old and one.new:
            wide = known.width_fraction * (one.old_width + one.new_width) / 2
            assert one.width_error**2 - other.width_error**2 == pytest.approx(wide**2)
    # Half of a crack of some 350 pixels is beyond twice that, and a crack twice as wide.
    assert [pair.counts["grown"] for pair in found.pairs] == [2, 2]


def test_the_tables_say_it_in_millimeters_and_per_year(walls):
    root, found, _ = walls
    table = rows(root / "out" / "changes.csv")
    changes = [(pair, change) for pair in found.pairs for change in pair.changes]
    assert len(table) == len(changes) == 10
    for row, (pair, change) in zip(table, changes, strict=True):
        assert row["verdict"] == change.verdict
        assert float(row["growth_mm"]) == pytest.approx(0.2 * change.length, rel=1e-5, abs=1e-6)
        assert float(row["growth_mm_per_year"]) == pytest.approx(
            0.2 * change.length / pair.years, rel=1e-5, abs=1e-6
        )
    content = json.loads((root / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert content["counts"]["grown"] == 4
    assert np.shape(content["pairs"][0]["homography_new_to_old"]) == (3, 3)
    (first, _) = rows(root / "out" / "pairs.csv")
    assert float(first["residual_mm"]) == pytest.approx(0.2 * float(first["residual_px"]), rel=1e-4)


def test_the_page_needs_no_network_and_escapes_names(walls):
    page = (walls[0] / "out" / "comparison.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert page.count('class="divider"') == 2


def test_an_unchanged_wall_against_itself_has_nothing_new(kit, tmp_path):
    surface, crack = kit.wall(4), kit.line((80, 60), (300, 480), 3)
    kit.write_inspection(tmp_path / "old", {"a": kit.photograph(surface, [crack], seed=1)})
    turned = kit.photograph(surface, [crack], kit.tilt(5), seed=2)
    kit.write_inspection(tmp_path / "new", {"a": turned})
    found = compare(tmp_path / "old", tmp_path / "new", tmp_path / "out")
    assert {v for v, count in found.counts.items() if count} <= {"unchanged", "not compared"}


@pytest.mark.parametrize(
    ("limits", "given", "status"),
    [
        ("max_growth_mm_per_year: 20", DATES, 3),
        ("max_growth_mm_per_year: 500", DATES, 0),
        ("max_growth_mm_per_year: 500", {}, 1),  # no dates
        ("max_width_growth_mm: 0.4", {}, 3),
        ("max_width_growth_mm: 2", {}, 0),
        ("max_new_cracks: 0", {}, 3),
        ("max_new_cracks: 1", {}, 0),
        ("max_growth_px: 0.5\nmax_new_cracks: 1", {}, 3),
        ("max_width_mm: 0.3", {}, 2),  # a rule of inspect
        ("max_growth: 0.3", {}, 2),
    ],
)
def test_the_exit_status_is_by_the_limits(walls, tmp_path, limits, given, status, capsys):
    (tmp_path / "growth.yaml").write_text(limits)
    asked = given | EXACT
    options = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    folders = [str(walls[0] / name) for name in ("old", "new")]
    where = ["--limits", str(tmp_path / "growth.yaml"), "--out", str(tmp_path / "out")]
    assert run(["compare", *folders, *where, *options]) == status


def test_what_lies_within_the_uncertainty_is_not_judged(kit, tmp_path):
    surface, crack = kit.wall(4), kit.line((80, 60), (300, 480), 3)
    for name, seed in (("old", 1), ("new", 2)):
        view = kit.photograph(surface, [crack], seed=seed)
        kit.write_inspection(tmp_path / name, {"a": view})
    (tmp_path / "growth.yaml").write_text("max_growth_mm: 0.1")
    found = compare(
        tmp_path / "old", tmp_path / "new", tmp_path / "out", limits=tmp_path / "growth.yaml"
    )
    assert not found.failing
    assert len(found.undecided) == 1
    assert not found.complete


def test_photos_of_other_names_are_paired_by_look(kit, tmp_path):
    crack = kit.line((80, 60), (300, 480), 3)
    old = {f"o{n}": kit.photograph(kit.wall(n), [crack], seed=1) for n in range(3)}
    new = {
        name: kit.photograph(kit.wall(n), [crack], kit.tilt(n), seed=2)
        for name, n in (("x", 2), ("y", 0), ("z", 7))
    }
    # The same name, but another wall.
    new["o1"] = kit.photograph(kit.wall(8), [crack], seed=2)
    kit.write_inspection(tmp_path / "old", old)
    kit.write_inspection(tmp_path / "new", new)
    found = compare(tmp_path / "old", tmp_path / "new", tmp_path / "out")
    assert {(pair.old, pair.new, pair.by) for pair in found.pairs} == {
        ("o2", "x", "look"),
        ("o0", "y", "look"),
    }
    assert [one.reason.split(":")[0] for one in found.refused] == ["o1"]
    assert (found.only_old, found.only_new) == ([], ["z"])
    assert not found.complete


def test_what_only_one_photo_shows_is_not_compared(kit, tmp_path):
    surface = kit.wall(4)
    left, right = kit.line((100, 40), (300, 60), 3), kit.line((90, 500), (310, 520), 3)
    shift = np.array([[1.0, 0, -150], [0, 1, 0], [0, 0, 1]])
    kit.write_inspection(tmp_path / "old", {"a": kit.photograph(surface, [left, right])})
    kit.write_inspection(tmp_path / "new", {"a": kit.photograph(surface, [left, right], shift)})
    (pair,) = compare(tmp_path / "old", tmp_path / "new", tmp_path / "out").pairs
    assert {verdict for verdict, count in pair.counts.items() if count} == {
        "unchanged",
        "not compared",
    }
    assert pair.registration.overlap == pytest.approx(1 - 150 / 560, abs=0.01)


def test_what_cannot_be_used_is_said_in_a_sentence(walls, tmp_path):
    old, new = walls[0] / "old", walls[0] / "new"
    for given, words in (
        ((tmp_path, new, tmp_path / "a"), "no folder of results of `fissura inspect`"),
        ((old, new, old), "holds an inspection"),
        ((old, new, walls[0] / "out"), "is not empty"),
    ):
        with pytest.raises(InputError, match=words):
            compare(*given)
    for options, words in (
        ({"old_date": "31.3.2025"}, "is no day"),
        ({"old_date": "2026-01-01", "new_date": "2025-01-01"}, "Give the older inspection first"),
        ({"sigmas": -1}, "must be 0 or more"),
    ):
        with pytest.raises(InputError, match=words):
            CompareOptions(**options)


def test_growth_is_true_on_either_side_of_a_slanted_wall(kit, tmp_path):
    """The old photo is slanted: a pixel at its right shows twice as much as one at its left."""
    surface, mm = kit.wall(3), 0.2
    lines = [kit.line((60, column), (340, column + 20), 3, column) for column in (60, 470)]
    corners = np.array([[0, 0], [560, 0], [560, 420], [0, 420]], np.float32)
    slanted = np.array([[0, 0], [520, 105], [520, 315], [0, 420]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, slanted)
    square = [(100.0, 80.0), (460.0, 80.0), (460.0, 340.0), (100.0, 340.0)]
    seen = kit.project(matrix, np.array(square))[:, ::-1]
    known = from_rectangle(seen, 360 * mm, 260 * mm)
    side = known.mean_mm_per_pixel((420, 560))
    before = kit.photograph(surface, [line[:200] for line in lines], matrix, seed=1)
    kit.write_inspection(tmp_path / "old", {"a": before}, side, known)
    # Seen a little less steeply, a year later.
    after = cv2.getPerspectiveTransform(
        corners, np.array([[10, 5], [530, 80], [525, 330], [5, 415]], np.float32)
    )
    photo = kit.photograph(surface, lines, after, seed=2)
    kit.write_inspection(tmp_path / "new", {"a": photo}, None)
    (pair,) = compare(tmp_path / "old", tmp_path / "new", tmp_path / "out").pairs
    grown = [change for change in pair.changes if change.verdict == "grown"]
    assert len(grown) == 2
    wanted = [mm * (kit.length(line) - kit.length(line[:200])) for line in lines]
    for change in grown:
        right = change.box[1] > 280
        assert change.length * side == pytest.approx(wanted[right], rel=0.12)
        assert change.box[3] < 530  # where the crack lies on the photo
    # On the photo the same growth is much longer at the left.
    drawn = sorted(float(np.ptp(np.concatenate(change.lines["come"])[:, 0])) for change in grown)
    assert drawn[1] / drawn[0] > 1.5
