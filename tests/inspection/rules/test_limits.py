"""Limits: what is read, what is refused, and what fails."""

import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.errors import InputError
from fissura.inspection.rules.limits import RULES, Limits, judge, read_limits

SIZE = {"size_hw": (100, 200)}


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "limits.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


class TestReadLimits:
    def test_every_rule_can_be_read(self, written):
        text = "".join(f"{name}: {value}\n" for value, name in enumerate(RULES, start=1))
        expected = {name: value for value, name in enumerate(RULES, start=1)}
        assert read_limits(written(text)).given() == expected

    def test_rules_are_the_fields(self):
        assert list(RULES) == [field.name for field in fields(Limits)]

    def test_types(self, written):
        limits = read_limits(written("# of the bridge\nmax_cracks: 4.0\nmax_width_mm: 1\n"))
        assert isinstance(limits.max_cracks, int)
        assert isinstance(limits.max_width_mm, float)

    def test_zero_and_byte_order_mark(self, written):
        assert read_limits(written("\ufeffmax_cracks: 0\n")) == Limits(max_cracks=0)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "is empty: it holds no rule. Write a rule per line"),
            ("# nothing but words\n", "is empty"),
            ("{}", "is empty"),
            ("- max_width_mm\n- 3\n", "is not a list of rules"),
            ("0.3", "is not a list of rules"),
            ("max_width_mm: [", "cannot be read as limits"),
            ("max_widht_mm: 0.3", "does not know: max_widht_mm. Did you mean max_width_mm?"),
            ("paint: 3", "does not know: paint. It knows max_width_mm, max_width_px"),
            ("max_width_mm: 0,3", "max_width_mm is '0,3'; it must be a number, with a decimal"),
            ("max_width_mm: 0.3 mm", "it must be a number"),
            ("max_width_mm: yes", "is True; it must be a number"),
            ("max_width_mm: .nan", "is nan; it must be a number"),
            ("max_width_mm: .inf", "is inf; it must be a number"),
            ("max_width_mm: {a: 1}", "it must be a number"),
            ("max_width_mm:", "max_width_mm has no value"),
            ("max_length_px: -1", "max_length_px is -1; it must be 0 or more"),
            ("max_cracks: 2.5", "max_cracks is 2.5; it must be a whole number"),
            ("max_area_percent: 101", "there are at most 100 % of a photo"),
            ("max_cracks: 1\nmax_cracks: 2", "holds max_cracks 2 times. Keep one"),
            ("min_length_mm: 10", "only says which cracks are judged (min_length_mm)"),
        ],
    )
    def test_refused_with_a_sentence(self, written, text, said):
        path = written(text)
        with pytest.raises(InputError) as error:
            read_limits(path)
        assert said in str(error.value)
        assert str(path) in str(error.value)

    def test_missing_file(self, tmp_path):
        with pytest.raises(InputError, match=r"none\.yaml cannot be read"):
            read_limits(tmp_path / "none.yaml")

    def test_not_text(self, tmp_path):
        path = tmp_path / "limits.yaml"
        path.write_bytes(b"\xff\xfe\x00max")
        with pytest.raises(InputError, match="cannot be read"):
            read_limits(path)


class TestJudge:
    def test_width_names_crack_width_and_point(self, straight):
        cracks = [straight(9, 2.0), straight(30, 4.2, number=2)]
        failures = judge(Limits(max_width_mm=0.3), cracks, **SIZE, mm_per_pixel=0.1)
        assert failures == [
            "Crack 2 is 0.420 mm wide, 0.4 mm from the left and 3.0 mm from the top; "
            "at most 0.3 mm is allowed."
        ]

    def test_a_value_at_its_limit_passes(self, straight):
        crack = straight(9, 4.0, length=40)
        limits = Limits(max_width_px=4, max_length_px=40, max_cracks=1, max_area_percent=0.8)
        assert judge(limits, [crack], **SIZE, mm_per_pixel=None) == []

    @pytest.mark.parametrize(
        ("limits", "said"),
        [
            (Limits(max_width_px=3.9), "Crack 1 is 4.00 px wide"),
            (Limits(max_width_px=3.9999), "is 4.00 px wide"),
            (Limits(max_length_px=39), "Crack 1 is 40.0 px long, its middle"),
            (Limits(max_length_mm=19), "from the top; at most 19 mm"),
            (Limits(max_cracks=0), "There is 1 crack; at most 0 are allowed."),
            (Limits(max_area_percent=0.5), "Cracks cover 0.800 % of the photo; at most 0.5 %"),
            # 20 mm on 50 mm × 100 mm
            (Limits(total_length_mm_per_m2=3999), "are 4000 mm long per square meter"),
        ],
    )
    def test_each_rule(self, straight, limits, said):
        (failure,) = judge(limits, [straight(9, 4.0, length=40)], **SIZE, mm_per_pixel=0.5)
        assert said in failure
        assert failure.endswith("allowed.")

    @given(value=st.floats(1e-3, 1e3), above=st.floats(1e-9, 2))
    def test_the_sentence_shows_a_value_above_the_limit(self, straight, value, above):
        crack = straight(9, value * (1 + above))
        (failure,) = judge(Limits(max_width_px=value), [crack], **SIZE, mm_per_pixel=None)
        assert float(failure.split()[3]) > value

    @pytest.mark.parametrize("name", [name for name in RULES if "_mm" in name])
    def test_without_resolution_a_rule_in_mm_never_passes(self, straight, name):
        rules = {"max_cracks": 9, name: 1e6}
        for cracks in ([], [straight(9, 1.0)]):
            (failure,) = judge(Limits(**rules), cracks, **SIZE, mm_per_pixel=None)
            assert failure.startswith(f"{name} cannot be judged: the resolution of the photo")
            assert "--mm-per-pixel" in failure

    def test_short_cracks_count_nowhere(self, straight):
        cracks = [straight(9, 8.0, length=5), straight(30, 1.0, length=60, number=2)]
        strict = {
            "max_width_px": 2,
            "max_cracks": 1,
            "max_area_percent": 0.31,
            "total_length_mm_per_m2": 3000,
        }
        for least in ({"min_length_px": 6}, {"min_length_mm": 6}):
            assert judge(Limits(**strict, **least), cracks, **SIZE, mm_per_pixel=1.0) == []
        assert len(judge(Limits(**strict), cracks, **SIZE, mm_per_pixel=1.0)) == 4

    def test_a_crack_of_the_least_length_is_judged(self, straight):
        limits = Limits(max_cracks=0, min_length_px=40)
        assert judge(limits, [straight(9, 1.0, length=40)], **SIZE, mm_per_pixel=None)

    def test_an_unmeasured_width_does_not_pass_silently(self, straight):
        crack = straight(9, math.nan)
        (failure,) = judge(Limits(max_width_px=3), [crack], **SIZE, mm_per_pixel=None)
        assert "The width of crack 1, 24 px from the left and 9 px from the top, could" in failure
        assert "min_length_px" in failure

    def test_an_unmeasured_speck_smaller_than_the_limit_passes(self, straight):
        crack = straight(9, math.nan, box=(8, 3, 10, 5))
        assert judge(Limits(max_width_px=3), [crack], **SIZE, mm_per_pixel=None) == []
        assert judge(Limits(max_width_px=2.8), [crack], **SIZE, mm_per_pixel=None)

    def test_no_crack_passes(self):
        limits = Limits(max_width_mm=0, max_cracks=0, max_area_percent=0, total_length_mm_per_m2=0)
        assert judge(limits, [], **SIZE, mm_per_pixel=0.1) == []


def test_the_worst_crack_is_told_first(straight):
    cracks = [straight(9, 4.0, length=60), straight(20, 9.0, number=2), straight(30, 6.0, number=3)]
    limits = Limits(max_width_px=3, max_length_px=15)
    told = judge(limits, cracks, **SIZE, mm_per_pixel=None)
    ratios = [4.0, 3.0, 40 / 15, 40 / 15, 2.0, 4 / 3]
    assert sorted(ratios, reverse=True) == ratios
    numbers = [(text.split()[1], "wide" in text) for text in told]
    assert numbers[0] == ("1", False)
    assert numbers[1] == ("2", True)
    assert numbers[-2:] == [("3", True), ("1", True)]
