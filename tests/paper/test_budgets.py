from __future__ import annotations

from fissura.paper import tables
from fissura.paper.budgets import budgets, describe, describe_reached, reached
from fissura.paper.figures import fig3
from fissura.study.options import Budget
from fissura.study.recipe import collect
from fissura.study.results import index

T1 = [row.experiment for row in tables.TABLE1.rows]


def runs(make_run, recipe, budget, names, seeds=2):
    return [
        make_run(row.experiment, seed)
        for row in recipe.at(budget).rows
        if row.name in names
        for seed in range(seeds)
    ]


def test_runs_are_found_by_what_they_are_not_by_their_seed(make_run):
    results = runs(make_run, tables.TABLE1, Budget(), {"hf"}, seeds=3)
    strangers = runs(make_run, tables.TABLE1, Budget(width=8), {"hf"})
    found = collect(tables.TABLE1, index([*strangers, *results[::-1]]))
    assert {name: [run.key for run in runs] for name, runs in found.items()} == {
        "hf": [run.key for run in results]
    }


def test_budgets_are_those_of_the_results(make_run):
    results = [
        *runs(make_run, tables.TABLE1, Budget(epochs=40), {"hf"}),
        *runs(make_run, tables.TABLE1, Budget(), {"bce"}),
        *runs(make_run, tables.TABLE1, Budget(epochs=40, width=8), {"bce"}),
        *runs(make_run, tables.TABLE1, Budget(area_threshold=0.5), {"bce"}),
    ]
    found = budgets(T1, index(results))
    assert {(one.epochs, one.width, one.area_threshold) for one in found} == {
        (100, 16, None), (40, 16, None), (40, 8, None), (100, 16, 0.5),
    }  # fmt: skip
    assert len(found) == 4
    assert budgets(T1, {}) == []


def test_what_does_not_matter_to_a_table_does_not_repeat_it(make_run):
    results = [
        *runs(make_run, tables.TABLE1, Budget(), {"hf"}),
        *runs(make_run, tables.TABLE3, Budget(panels=300), {"hf", "tile/hf"}),
        *runs(make_run, tables.TABLE3, Budget(panels=500), {"hf"}),
        *runs(make_run, tables.TABLE4, Budget(pretrained=True), {"transunet/hf"}),
        *runs(make_run, tables.TABLE4, Budget(pretrained=False), {"transunet/hf"}),
    ]
    indexed = index(results)
    assert len(reached(tables.TABLE1, indexed)) == 1
    third = reached(tables.TABLE3, indexed)
    named = [(table.recipe.rows[0].experiment.data.name, len(table.runs)) for table in third]
    assert named == [("panels-3.15pc-500", 2), ("panels-3.15pc-300", 2), ("magnetic_tile", 2)]
    fourth = reached(tables.TABLE4, indexed, by_data=False)
    assert sorted(table.budget.pretrained for table in fourth) == [False, True]
    for table in fourth:
        assert set(table.found) == {"crackseg/hf", "transunet/hf"}
        assert len({run.config["pretrained"] for run in table.found["transunet/hf"]}) == 1


def test_a_budget_within_another_is_not_shown_beside_it(make_run):
    results = [
        *runs(make_run, fig3.FIG3, Budget(panels=300), {"deepcrack/m0", "panels-1pc/m0"}),
        *runs(make_run, tables.TABLE3, Budget(panels=500), {"hf"}),
    ]
    (table,) = reached(fig3.FIG3, index(results), by_data=False)
    assert table.budget.panels == 300
    assert set(table.found) == {"deepcrack/m0", "panels-1pc/m0"}


def test_tables_hold_runs_of_one_budget(make_run):
    results = [
        run
        for epochs in (10, 40, 100)
        for run in runs(
            make_run, tables.TABLE1, Budget(epochs=epochs), {"hf", "bce"}, seeds=epochs // 10
        )
    ]
    found = reached(tables.TABLE1, index(results))
    assert [{run.config["epochs"] for run in table.runs} for table in found] == [{100}, {40}, {10}]
    assert [len(table.runs) for table in found] == [20, 8, 2]


def test_a_table_says_how_large_it_is(make_run):
    def said(budget, **seeds):
        results = [
            run
            for name, count in seeds.items()
            for run in runs(make_run, tables.TABLE1, budget, {name}, seeds=count)
        ]
        (table,) = reached(tables.TABLE1, index(results))
        return describe_reached(table)

    assert said(Budget(), hf=10, bce=12) == "100 epochs, width 16, 10 to 12 seeds"
    assert said(Budget(), hf=10, bce=3) == "100 epochs, width 16, 3 to 10 seeds: a small sample"
    assert said(Budget(epochs=40, width=8), hf=10) == "40 epochs, width 8, 10 seeds: a small sample"
    assert said(Budget(), hf=1) == "100 epochs, width 16, one seed: a small sample"
    assert said(Budget(area_threshold=0.5), hf=1).startswith(
        "100 epochs, width 16, masks at 1/2 of the area, one seed"
    )


def test_only_what_matters_is_said():
    by_name = {row.name: row for row in tables.TABLE4.at(Budget(epochs=5, pretrained=True)).rows}
    assert describe([by_name["transunet/hf"].experiment]) == "5 epochs, ImageNet weights"
    rows = tables.TABLE3.at(Budget(panels=300)).rows
    assert describe([rows[0].experiment]) == "100 epochs, width 16, 300 panels"
    assert describe([rows[-1].experiment]) == "100 epochs, width 16"
