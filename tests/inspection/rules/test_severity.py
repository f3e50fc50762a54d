"""Severity: named classes by width with their sources, one's own; types by their course."""

import json
import math

import numpy as np
import pytest

from fissura.errors import InputError
from fissura.inspection.rules.kinds import KINDS, alignment, crack_kind
from fissura.inspection.rules.severity import PROFILES, WIDTHS, Classes, find_profile


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("aashto-reinforced", {0.1: "insignificant", 0.5: "moderate", 1.3: "wide"}),
        ("aashto-prestressed", {0.05: "insignificant", 0.15: "moderate", 0.3: "wide"}),
        ("astm-d6433", {9.9: "low", 10.0: "medium", 74.0: "medium", 76.0: "high"}),
        ("din-1076-like", {0.1: "under 0.2 mm", 0.25: "0.2–0.3 mm", 2.0: "from 0.4 mm"}),
    ],
)
def test_classes_by_width(straight, name, widths):
    for width, expected in widths.items():
        crack = straight(20, width / 0.05)
        assert find_profile(name).of(crack, 0.05) == expected
        assert find_profile(name).of(crack, None) == ""


def test_every_profile_says_where_it_is_from_and_what_it_does_not_know():
    for name, profile in PROFILES.items():
        assert profile.name == name
        assert len(profile.source) > 40
        assert len(profile.caution) > 40
        assert profile.width in WIDTHS
        begins = list(profile.classes.values())
        assert begins[0] == 0
        assert begins == sorted(set(begins))
        assert list(profile.bounds()) == list(profile.classes)


def test_a_width_that_is_not_known_has_no_class(straight):
    assert find_profile("astm-d6433").of(straight(20, math.nan), 1.0) == ""


def test_classes_of_ones_own(straight, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("title: Ours\nsource: Handbook, 2024\nwidth: max\nclasses:\n  A: 0\n  B: 0.3\n")
    own = find_profile(path)
    assert (own.title, own.source, own.width) == ("Ours", "Handbook, 2024", "max")
    assert own.of(straight(20, 3.0), 0.1) == "B"
    assert own.bounds() == {"A": "below 0.3 mm", "B": "0.3 mm and more"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("classes: [1, 2]", "holds no classes"),
        ("title: a", "holds no classes"),
        ("classes: {a: 0.1}", "the first must begin at 0"),
        ("classes: {a: 0, b: 0.2, c: 0.2}", "each at more"),
        ("classes: {a: 0, b: wide}", "width in millimeters"),
        ("classes: {a: 0}\nwidth: widest", "must be one of"),
        ("classes: {a: 0}\nunit: cm", "does not know"),
        (": :", "cannot be read"),
    ],
)
def test_wrong_classes_are_refused(tmp_path, text, reason):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=reason):
        find_profile(path)


def test_an_unknown_name_names_those_that_there_are():
    with pytest.raises(InputError, match="astm-d6433"):
        find_profile("astm")


@pytest.mark.parametrize(
    ("orientation", "axis", "kind"),
    [
        (90, 90, "longitudinal"),
        (112.5, 90, "longitudinal"),
        (113, 90, "diagonal"),
        (67, 90, "diagonal"),
        (22.5, 90, "transverse"),
        (0, 90, "transverse"),
        (179, 90, "transverse"),
        (1, 180, "longitudinal"),
        (178, 0, "longitudinal"),
        (45, 45, "longitudinal"),
    ],
)
def test_types_by_the_angle_to_the_axis(straight, orientation, axis, kind):
    assert crack_kind(straight(20, 3.0, orientation=orientation), axis) == kind
    assert kind in KINDS


def test_a_net_is_a_map_and_a_fork_is_none(fake_crack):
    def ring(row, column):
        angle = np.linspace(0, 2 * np.pi, 40)
        return np.stack([row + 10 * np.sin(angle), column + 10 * np.cos(angle)], axis=1)

    lines = [ring(20 * a, 20 * b) for a in range(3) for b in range(3)]
    base = fake_crack(np.column_stack([lines[0], np.full(40, 2.0)]))
    net = fake_crack(
        np.column_stack([lines[0], np.full(40, 2.0)]),
        lines=lines, branches=24, length=600.0, longest_path=150.0,
    )  # fmt: skip
    assert alignment(net) < 0.1
    assert crack_kind(net) == "map"
    fork = [np.array([[0.0, 0], [0, 100]]), np.array([[0.0, 100], [15, 140]])]
    branched = fake_crack(
        np.column_stack([lines[0], np.full(40, 2.0)]),
        lines=fork, branches=24, length=600.0, longest_path=150.0, orientation=3.0,
    )  # fmt: skip
    assert alignment(branched) > 0.9
    assert crack_kind(branched) == "transverse"
    assert crack_kind(base) != "map"


@pytest.mark.parametrize("profile", [None, PROFILES["astm-d6433"]])
def test_a_shard_tells_its_classes(profile):
    stored = json.loads(json.dumps(Classes(profile, 45.0).fields()))
    assert Classes.from_fields(stored) == Classes(profile, 45.0)
