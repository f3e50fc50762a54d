"""The cost of claims without runs."""

from dataclasses import replace

import pytest

from fissura.paper.claims import CLAIMS
from fissura.paper.costs import cost_sentence
from fissura.study.options import Budget
from fissura.study.recipe import at_budget

BY_NAME = {claim.name: claim for claim in CLAIMS}


def timed(make_run, experiment, budget, *, seconds, images=200):
    """A run at a budget that took so long to train on so many images."""
    run = make_run(at_budget(experiment, budget))
    return replace(
        run, seconds={"train": seconds, "evaluate": 1.0}, train={**run.train, "images": images}
    )


def test_the_cost_is_that_of_six_seeds_of_both_losses_at_the_papers_epochs(make_run):
    claim = BY_NAME["table4: transunet/ours-0.5, transunet/hf"]
    (a, b), *_ = claim.contrasts[0].pairs
    runs = [
        timed(make_run, a, Budget(epochs=2), seconds=60),  # 30 s an epoch
        timed(make_run, b, Budget(epochs=4), seconds=120),
    ]
    # 6 seeds · 2 losses · 100 epochs · 30 s = 36 000 s
    assert "about 10 hours of one core, by 4 shorter runs" in cost_sentence(claim, runs)


def test_panels_count_by_the_image(make_run):
    claim = BY_NAME["table3: ours-1.5, hf"]
    (a, _), *_ = claim.contrasts[0].pairs
    run = timed(make_run, a, Budget(epochs=10, panels=400), seconds=300, images=300)
    # 0.1 s an image and epoch; 2051 panels have 1539 to train on: 153.9 s an epoch.
    hours = 6 * 2 * 100 * 153.9 / 3600
    assert f"about {hours:.0f} hours" in cost_sentence(claim, [run])


@pytest.mark.parametrize("name", ["table2: ours-0.5, bce-dice", "fig3: margin and rarity"])
def test_without_a_run_of_this_kind_nothing_is_said(make_run, name):
    (other, _), *_ = BY_NAME["table1: ours-0.5, hf"].contrasts[0].pairs
    run = timed(make_run, other, Budget(epochs=2), seconds=60)
    assert cost_sentence(BY_NAME[name], [run]) is None


def test_another_network_or_width_tells_nothing(make_run):
    (small, _), *_ = BY_NAME["table1: ours-0.5, hf"].contrasts[0].pairs
    run = timed(make_run, small, Budget(epochs=2, width=8), seconds=60)
    assert cost_sentence(BY_NAME["table1: ours-0.5, hf"], [run]) is None
