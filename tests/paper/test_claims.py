from __future__ import annotations

import pytest

from fissura.paper.claims import CLAIMS
from fissura.paper.figures.fig3 import FRACTIONS

# As the abstract, Section IV and Tables I to IV print them.
PAPER = {
    "table1: ours-0.5, hf": 0.43,
    "table3: ours-1.5, hf": 0.44,
    "table3: tile/ours-1.5, tile/hf": 0.44,
    "table1: ours-0.5, bce-dice": 1.42,
    "table1: hf, auf": 0.41,
    "fig3: margin and rarity": None,
    "table2: ours-0.5, bce-dice": 0.01,
    "EfficientUNet hf": 0.30,
    "EfficientUNet bce-dice": 0.45,
    "TransUNet hf": 0.82,
    "TransUNet bce-dice": 4.63,
}
BY_NAME = {claim.name: claim for claim in CLAIMS}


def test_differences_are_those_that_the_paper_prints():
    assert [claim.paper for claim in CLAIMS] == pytest.approx(list(PAPER.values()))


def test_only_crack500_claims_equality():
    assert [claim.name for claim in CLAIMS if claim.within] == ["table2: ours-0.5, bce-dice"]


@pytest.mark.parametrize(
    ("name", "data", "a", "b"),
    [
        ("table1: ours-0.5, hf", "deepcrack", ("hybrid-focal-margin", 0.5), ("hybrid-focal", None)),
        ("table1: ours-0.5, bce-dice", "deepcrack", ("hybrid-focal-margin", 0.5),
         ("bce-dice", None)),
        ("table1: hf, auf", "deepcrack", ("hybrid-focal", None), ("unified-focal", None)),
        ("table2: ours-0.5, bce-dice", "crack500", ("hybrid-focal-margin", 0.5),
         ("bce-dice", None)),
        ("table3: ours-1.5, hf", "panels-3.15pc-2051", ("hybrid-focal-margin", 1.5),
         ("hybrid-focal", None)),
        ("table3: tile/ours-1.5, tile/hf", "magnetic_tile", ("hybrid-focal-margin", 1.5),
         ("hybrid-focal", None)),
    ],
)  # fmt: skip
def test_claims_compare_the_rows_that_they_name(name, data, a, b):
    (contrast,) = BY_NAME[name].contrasts
    ((first, second),) = contrast.pairs
    assert {first.data.name, second.data.name} == {data}
    assert (first.config.loss, first.config.margin) == a
    assert (second.config.loss, second.config.margin) == b


def test_networks_differ_by_the_loss_alone():
    networks = [claim for claim in CLAIMS if claim.name.startswith("table4")]
    pairs = [claim.contrasts[0].pairs[0] for claim in networks]
    assert [first.config.model for first, _ in pairs] == [
        second.config.model for _, second in pairs
    ]
    assert len({first.config.model for first, _ in pairs}) == 2
    assert "crackseg" not in {first.config.model for first, _ in pairs}
    assert [second.config.loss for _, second in pairs] == 2 * ["hybrid-focal", "bce-dice"]


def test_rarity_takes_the_widest_range_of_fractions_first():
    contrasts = BY_NAME["fig3: margin and rarity"].contrasts
    ranges = [
        tuple(pair[0].data.panels.crack_fraction for pair in contrast.pairs)
        for contrast in contrasts
    ]
    assert ranges[0] == (min(FRACTIONS), max(FRACTIONS))
    assert all(rare < common for rare, common in ranges)
    assert len(set(ranges)) == len(FRACTIONS) * (len(FRACTIONS) - 1) / 2
    # The rarest that has runs counts first, then the commonest.
    assert ranges == sorted(ranges, key=lambda ends: (ends[0], -ends[1]))
    for contrast in contrasts:
        for with_margin, without in contrast.pairs:
            assert with_margin.config.margin == 1.5
            assert without.config.loss == "hybrid-focal"


def test_every_text_says_which_way():
    for claim in CLAIMS:
        for contrast in claim.contrasts:
            assert contrast.text.count("{by}") == 1
        assert claim.says.endswith(").")
