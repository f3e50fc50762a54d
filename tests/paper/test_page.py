from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from fissura.errors import InputError
from fissura.paper import tables
from fissura.paper.figures import fig3
from fissura.paper.page import results_page, write_page
from fissura.study.options import Budget

TABLE1 = {row.name: row.experiment for row in tables.TABLE1.rows}

SHORT = Budget(epochs=40, panels=300)


def runs(make_run, recipe, budget, names, seeds=2):
    return [
        make_run(row.experiment, seed, iou=0.7 + 0.002 * position + 0.001 * (seed % 3))
        for position, row in enumerate(recipe.at(budget).rows)
        if row.name in names
        for seed in range(seeds)
    ]


@pytest.fixture(scope="module")
def results(make_run, by_key):
    """A study as it may stand: some rows at full length, others shorter or not yet."""
    return by_key(
        runs(make_run, tables.TABLE1, Budget(), {"bce-dice", "hf", "ours-0.5"}, 7),
        runs(make_run, tables.TABLE1, Budget(epochs=40), {"hf", "ours-0.5"}, 2),
        runs(make_run, tables.TABLE2, Budget(epochs=40), {"bce-dice", "ours-0.5"}, 3),
        runs(
            make_run, tables.TABLE3, Budget(epochs=40, panels=300), {"hf", "ours-1.5", "tile/hf"}, 2
        ),
        runs(make_run, tables.TABLE4, Budget(epochs=5), {"transunet/hf", "transunet/ours-0.5"}, 1),
        runs(make_run, fig3.FIG3, SHORT, {"panels-1pc/m0"}, 1),
    )


@pytest.fixture(scope="module")
def page(results):
    return results_page(results)


def section(page, title, level="##"):
    """The text under a heading, up to the next of its level or above."""
    (_, rest) = page.split(f"\n{level} {title}", 1)
    return re.split(rf"\n#{{1,{len(level)}}} ", rest)[0]


def table_lines(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_every_table_line_has_as_many_cells_as_its_head(page):
    blocks = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    assert len(blocks) > 10
    for block in blocks:
        head, rule, *rows = block.splitlines()
        assert rows
        assert {line.count("|") for line in (head, rule, *rows)} == {head.count("|")}
        assert re.fullmatch(r"\|((:--|--:)\|)+", rule)


def test_the_same_results_give_the_same_bytes(results, page):
    shuffled = list(results.items())
    random.Random(0).shuffle(shuffled)
    assert results_page(dict(shuffled)) == page


def test_each_claim_stands_at_100_epochs_or_else_where_it_has_most_seeds(page):
    claims = section(page, "The paper's claims")
    main, rest = claims.split("### At other budgets")
    others, costs = rest.split("### What 100 epochs would cost")
    assert (
        "Of 11 claims: 2 supported, 3 undecided, 6 not run yet. 3 of the verdicts rest on fewer"
        in main
    )
    assert len(table_lines(main)) == 2 + 11
    (first,) = [line for line in table_lines(main) if "| L_ours (m = 0.5) is above L_HF on" in line]
    assert "| 7 seeds, 100 epochs, width 16 | +0.43 |" in first
    (short,) = [line for line in table_lines(main) if "on CRACK500" in line]
    assert "| 3 seeds, 40 epochs, width 16 | +0.01 |" in short
    sentences = [line for line in main.splitlines() if line.startswith("- ")]
    assert len(sentences) == 5
    assert any("(one seed, 5 epochs, no pretrained weights)" in line for line in sentences)
    # Table I at 40 epochs is told again in the table of other budgets, without a sentence.
    assert "| 2 seeds, 40 epochs, width 16 | +0.43 |" in others
    assert len(table_lines(others)) == 2 + 1
    assert "at this budget" not in others
    # 9 claims have no runs at 100 epochs; no run tells the time of EfficientUNet in 2.
    assert costs.count("hours of one core") == 7


def test_a_claim_says_what_so_many_seeds_could_have_shown(page):
    claims = section(page, "The paper's claims").split("### At other budgets")[0]
    head, _, *lines = (line.split(" | ") for line in table_lines(claims))
    column, seeds = head.index("Could show"), head.index("Rests on")
    told = [line[column] for line in lines if re.match("[2-9] seeds", line[seeds])]
    assert told
    assert all(float(cell) > 0 for cell in told)
    assert {line[column] for line in lines if line[seeds].startswith("one seed")} == {"–"}


def test_a_claim_is_not_told_twice_from_the_same_runs(make_run, by_key):
    page = results_page(
        by_key(
            runs(make_run, tables.TABLE1, Budget(), {"hf", "ours-0.5"}),
            runs(make_run, tables.TABLE3, Budget(panels=300), {"hf", "ours-1.5"}, 3),
            runs(make_run, tables.TABLE3, Budget(panels=500), {"hf", "ours-1.5"}),
        )
    )
    main, others = section(page, "The paper's claims").split("### At other budgets")
    assert "| 2 seeds, 100 epochs, width 16 |" in main
    assert "300 panels |" in main
    assert [line.split("|")[3].strip() for line in table_lines(others)[2:]] == [
        "2 seeds, 100 epochs, width 16, 500 panels"
    ]


def test_most_seeds_lead_where_no_budget_has_100_epochs(make_run, by_key):
    few = runs(make_run, tables.TABLE1, Budget(epochs=40), {"hf", "ours-0.5"}, 2)
    many = runs(make_run, tables.TABLE1, Budget(epochs=20), {"hf", "ours-0.5", "bce-dice"}, 3)
    claims = section(results_page(by_key(few, many)), "The paper's claims")
    main, others = claims.split("### At other budgets")
    assert "Of 11 claims: 2 undecided, 9 not run yet." in main
    assert main.count("3 seeds, 20 epochs, width 16 |") == 2
    assert others.count("2 seeds, 40 epochs, width 16 |") == 1


def test_the_papers_masks_lead(make_run, by_key):
    own = runs(make_run, tables.TABLE1, Budget(), {"hf", "ours-0.5"}, 2)
    stricter = Budget(area_threshold=0.5)
    other = runs(make_run, tables.TABLE1, stricter, {"hf", "ours-0.5", "bce-dice"}, 3)
    page = results_page(by_key(own, other))
    assert "1 undecided, 10 not run yet." in page
    assert "3 seeds, 100 epochs, width 16, masks at 1/2 of the area" in page


def test_tables_are_of_one_budget_each(page):
    headings = re.findall(r"### (.*)", section(page, "Tables"))
    panels, tiles = dict.fromkeys(row.experiment.data.title for row in tables.TABLE3.rows)
    assert headings == [
        "Table I: DeepCrack-DB (100 epochs, width 16, 7 seeds: a small sample)",
        "Table I: DeepCrack-DB (40 epochs, width 16, 2 seeds: a small sample)",
        "Table II: CRACK500 (40 epochs, width 16, 3 seeds: a small sample)",
        f"Table III: {panels} (40 epochs, width 16, 300 panels, 2 seeds: a small sample)",
        f"Table III: {tiles} (40 epochs, width 16, 2 seeds: a small sample)",
        f"{tables.TABLE4.title} (5 epochs, no pretrained weights, one seed: a small sample)",
        f"{fig3.FIG3.title} (40 epochs, width 16, 300 panels, 1 to 3 seeds: a small sample)",
    ]
    whole, short = (
        section(page, heading, "###").split("\n\n| Loss | Parameters | IoU, mean")[0]
        for heading in headings[:2]
    )
    assert len(table_lines(whole)) == 2 + 12
    assert [line.rsplit("|", 2)[1].strip() for line in table_lines(short)[2:]] == ["2", "2"]


def test_a_finished_study_shows_no_grid_of_table_1_alone(make_run, by_key):
    page = results_page(by_key(runs(make_run, tables.TABLE1, Budget(), {"hf", "ours-0.5"}, 2)))
    assert "### Table I:" in page
    assert "### Table IV" not in page
    assert "### Fig. 3" not in page


def test_figures_are_shown_where_there_are_any(results, page):
    assert "## Figures" not in page
    figures = section(results_page(results, [("Fig. 1: unity", "images/fig1.png")]), "Figures")
    assert "![Fig. 1: unity](images/fig1.png)" in figures


def test_without_results_the_page_says_so():
    page = results_page({})
    assert "Of 11 claims: 11 not run yet." in page
    assert "There are no runs yet." in page


def test_every_run_is_accounted_for(results, page):
    counted = re.findall(r"^- (\d+) runs: ", section(page, "Where"), re.MULTILINE)
    assert [int(number) for number in counted] == [len(results)]


def test_runs_on_other_images_are_refused(results, make_run):
    wrong = make_run(TABLE1["hf"], 0, test={**results_test(results), "fingerprint": "other"})
    with pytest.raises(InputError, match="not tested on the same images"):
        results_page(results | {wrong.key: wrong})


def results_test(results):
    return next(iter(results.values())).test


def test_the_page_in_the_repository_is_what_its_results_give(tmp_path):
    """`fissura results results --out docs/results.md` changes nothing."""
    root = Path(__file__).parents[2]
    if (figure := root / "docs" / "images" / "fig4.png").exists():
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "fig4.png").write_bytes(figure.read_bytes())
    write_page(root / "results", tmp_path / "results.md")
    same = (tmp_path / "results.md").read_bytes() == (root / "docs" / "results.md").read_bytes()
    assert same, "results/runs has changed: fissura results results --out docs/results.md"


def test_a_folder_without_results_is_told_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="holds no results"):
        write_page(tmp_path, tmp_path / "page.md")
