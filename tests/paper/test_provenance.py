from __future__ import annotations

from fissura.paper import tables
from fissura.paper.provenance import provenance
from fissura.study.options import Budget
from fissura.study.recipe import choose_rows

TABLE1 = {row.name: row.experiment for row in tables.TABLE1.rows}


def lines(text, start):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(start)
    ]


def test_runs_are_counted_by_budget_and_machine(make_run):
    seconds = [{"train": value, "evaluate": 1.0} for value in (100.0, 500.0, 400.0)]
    dates = ["2031-05-07", "2031-05-05", "2031-05-06"]
    runs = [
        *(
            make_run(TABLE1["hf"], seed, seconds=seconds[seed], date=dates[seed])
            for seed in range(3)
        ),
        make_run(TABLE1["bce"], 0, machine="another", precision="float32"),
        make_run(TABLE1["bce"].at(epochs=40), 0, seconds={"train": 60.0, "evaluate": 1.0}),
        *(
            make_run(row.experiment)
            for row in choose_rows(
                tables.TABLE4.at(Budget(pretrained=True)), ["transunet/ours-0.5"]
            ).rows
        ),
    ]
    text = provenance(runs)
    found = {tuple(row[:4]): row[4:] for row in lines(text, "| deepcrack | c")}
    here = "Linux x86_64, 2 CPUs, computed on cpu"
    assert found == {
        ("deepcrack", "crackseg, width 16", "100", here): [
            "bfloat16", "2031-05-05 to 2031-05-07", "3", "6.7 min",
        ],
        ("deepcrack", "crackseg, width 16", "100", "another"): [
            "float32", "2031-05-06", "1", "8.0 min",
        ],
        ("deepcrack", "crackseg, width 16", "40", here): ["bfloat16", "2031-05-06", "1", "60 s"],
    }  # fmt: skip
    assert "transunet, ImageNet weights" in text
    assert "- 6 runs: fissura 0.1.0, torch 2.15.0" in text


def test_other_images_of_one_name_stand_apart(make_run):
    described = {
        "images": 5,
        "groups": 4,
        "crack_fraction": 0.03,
        "fingerprint": "0123456789abcdef",
    }
    runs = [
        make_run(TABLE1["hf"], 0),
        make_run(TABLE1["hf"], 1, test=described),
        make_run(TABLE1["hf"].at(area_threshold=0.5), 0),
    ]
    found = lines(provenance(runs).split("Times are")[1], "| deepcrack")
    assert [row[0] for row in found] == [
        "deepcrack", "deepcrack", "deepcrack, masks at 1/2 of the area",
    ]  # fmt: skip
    assert ["24 / 5", "12 / 4", "5.16 % / 3.00 %", "0123456789ab"] in [row[1:] for row in found]


def test_nothing_yet():
    assert provenance([]) == "There are no runs yet."
