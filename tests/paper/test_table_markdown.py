from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fissura.paper import tables
from fissura.paper.figures import fig3
from fissura.paper.table_markdown import grid_markdown, table_markdown, write_grid, write_table
from fissura.study.outputs.markdown import markdown, mean_sd, number


def read(text):
    """Markdown tables as lists of dictionaries; every line must have as many cells as its head."""
    tables, lines = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            lines.append([cell.strip() for cell in line.strip("|").split("|")])
        elif lines:
            head, rule, *rows = lines
            assert all(set(cell) <= set(":-") for cell in rule)
            assert {len(row) for row in lines} == {len(head)}
            tables.append([dict(zip(head, row, strict=True)) for row in rows])
            lines = []
    return tables


def runs_of(recipe, name, ious, make_run, **changes):
    (row,) = [row for row in recipe.rows if row.name == name]
    return {name: [make_run(row.experiment, s, iou=iou, **changes) for s, iou in enumerate(ious)]}


def test_rows_are_the_papers_with_ours_beside(make_run):
    found = runs_of(tables.TABLE1, "ours-0.5", [0.74, 0.76, 0.75], make_run)
    main, further = read(table_markdown(tables.TABLE1, found))
    assert len(main) == 12
    ours = main[9]
    assert (ours["Loss"], ours["Parameters"]) == ("L_ours", "γ̂ = 2, δ = 0.7, γ = 0.75, m = 0.5")
    assert [ours[f"{name}, paper"] for name in ("IoU", "F1", "Recall", "Precision")] == [
        "69.75", "82.09", "83.57", "81.09",
    ]  # fmt: skip
    ious = 100 * np.array([run.iou for run in found["ours-0.5"]])
    assert ours["IoU, here"] == f"{ious.mean():.2f} ± {ious.std(ddof=1):.2f}"
    assert ours["Δ IoU"] == f"{ious.mean() - 69.75:+.2f}"
    assert ours["Runs"] == "3"
    recalls = 100 * np.array([run.metrics["recall"] for run in found["ours-0.5"]])
    assert ours["Recall, here"] == f"{recalls.mean():.2f} ± {recalls.std(ddof=1):.2f}"
    assert [line["Loss"] for line in further] == ["L_ours"]
    assert further[0]["F1 within 2 px"] == "90.50 ± 0.00"
    assert further[0]["clDice"] == "85.00 ± 0.00"
    assert further[0]["Average precision"] == "88.00 ± 0.00"


def test_rows_without_runs_say_so(make_run):
    main, *further = read(table_markdown(tables.TABLE1, {}))
    assert {line["IoU, here"] for line in main} == {"not run"}
    assert {line["Runs"] for line in main} == {"0"}
    assert {line["Δ IoU"] for line in main} == {"–"}
    assert main[0]["Parameters"] == "–"
    assert not further


def test_one_run_has_no_spread(make_run):
    found = runs_of(tables.TABLE1, "hf", [0.74], make_run)
    (line,) = [
        line for line in read(table_markdown(tables.TABLE1, found))[0] if line["Runs"] != "0"
    ]
    assert line["Runs"] == "one run"
    assert line["IoU, here"] == f"{100 * found['hf'][0].iou:.2f}"


def test_undefined_metrics_are_told(make_run):
    (row,) = [row for row in tables.TABLE3.rows if row.name == "bce"]
    runs = [make_run(row.experiment, seed) for seed in range(3)]
    nothing = [replace(run, metrics={**run.metrics, "precision": None}) for run in runs]
    recipe = replace(tables.TABLE3, rows=[row])
    ((line,), _) = read(table_markdown(recipe, {"bce": nothing}))
    assert line["Precision, here"] == "undefined"
    ((line,), _) = read(table_markdown(recipe, {"bce": [*nothing[:1], *runs[1:]]}))
    assert line["Precision, here"].endswith("(2 of 3)")


def test_data_sets_have_tables_of_their_own(make_run):
    found = runs_of(tables.TABLE3, "tile/hf", [0.5, 0.6], make_run)
    text = table_markdown(tables.TABLE3, found)
    panels, tiles, further = read(text)
    assert len(panels) == len(tiles) == 12
    assert not any(name.endswith("paper") or "Δ" in name for name in tiles[0])
    assert [line["Loss"] for line in further] == ["L_HF"]
    assert panels[0]["IoU, paper"] == "–"
    assert text.index("PanelCrack") < text.index("**Magnetic tile**")
    assert "PanelCrack" not in table_markdown(tables.TABLE2, {})


def test_grid_has_the_papers_metrics_above_ours(make_run):
    first = runs_of(tables.TABLE4, "transunet/hf", [0.70, 0.72], make_run)
    second = runs_of(tables.TABLE4, "crackseg/ours-0.5", [0.75], make_run)
    (grid,) = read(grid_markdown(tables.TABLE4, first | second))
    assert len(grid) == 7  # two for each network of the paper, and one that is not the paper's
    assert [line["L_ours"] for line in grid[:6:2]] == ["69.75", "67.73", "68.84"]
    ious = 100 * np.array([run.iou for run in first["transunet/hf"]])
    assert grid[5]["L_HF"] == f"{ious.mean():.2f} ± {ious.std(ddof=1):.2f} (2)"
    assert grid[1]["L_ours"].endswith(" (one run)")
    assert [line["L_aUF"] for line in [*grid[1::2], grid[6]]] == 4 * ["not run"]


def test_grid_without_the_papers_metrics(make_run):
    found = runs_of(fig3.FIG3, "panels-1pc/m0.5", [0.4, 0.5, 0.6], make_run)
    (grid,) = read(grid_markdown(fig3.FIG3, found))
    assert len(grid) == len(fig3.DATA)
    assert list(grid[0])[1:] == [f"m = {margin:g}" for margin in fig3.MARGINS]
    assert grid[0]["m = 0.5"].endswith("(3)")
    assert [line[""] for line in grid] == [data.title for data, _ in fig3.DATA.values()]


@pytest.mark.parametrize(
    ("write", "recipe"), [(write_table, tables.TABLE2), (write_grid, tables.TABLE4)]
)
def test_files(write, recipe, make_run, tmp_path):
    row = recipe.rows[0]
    file, *others = write(recipe, {row.name: [make_run(row.experiment)]}, tmp_path / "new")
    assert file == tmp_path / "new" / f"{recipe.name}.md"
    text = file.read_text()
    assert text.startswith(f"# {recipe.title}\n\n")
    assert read(text)
    assert {*file.parent.iterdir()} == {file, *others}, "nothing temporary is left"


def test_numbers():
    assert [number(-0.001), number(-0.004, signed=True), number(1.005)] == ["0.00", "0.00", "1.00"]
    assert mean_sd([0.5, None]) == "50.00 (1 of 2)"
    assert markdown(["a", "b"], [], words=2) == "| a | b |\n|:--|:--|\n"
