from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fissura.experiments.datasets import DEEPCRACK
from fissura.experiments.experiment import NOT_IDENTITY, Experiment, Run
from fissura.experiments.rows import Scale, experiment, ours
from fissura.experiments.study import RECIPES
from fissura.training.options import TrainOptions


def test_the_key_ignores_where_a_run_is_computed():
    here = experiment(DEEPCRACK, **ours(0.5))
    there = here.at(accelerator="cuda", skip_bad=True)
    assert Run(here, 1).key == Run(there, 1).key
    assert Run(here, 1).key != Run(here, 2).key


@given(
    st.sampled_from(
        [("epochs", 7), ("width", 8), ("margin", 0.7), ("batch_size", 4), ("area_threshold", 0.5)]
    )
)
def test_the_key_changes_with_every_option_that_matters(change):
    base = experiment(DEEPCRACK, **ours(0.5))
    assert Run(base, 0).key != Run(base.at(**dict([change])), 0).key


def test_an_option_at_its_default_is_no_other_experiment():
    given = Experiment(DEEPCRACK, TrainOptions(loss="bce", batch_size=16, optimizer="adam"))
    assert given.identity() == {"data": "deepcrack", "loss": "bce"}


def test_the_seed_is_the_only_difference_between_the_runs_of_an_experiment():
    one, two = (Run(experiment(DEEPCRACK, loss="bce"), seed).config for seed in (1, 2))
    assert (one.seed, two.seed) == (1, 2)
    assert replace(one, seed=2) == two
    assert "seed" in NOT_IDENTITY


def test_every_experiment_of_a_recipe_is_named_once():
    for recipe in RECIPES.values():
        assert len({row.name for row in recipe.rows}) == len(recipe.rows)
        assert len({Run(row.experiment, 0).key for row in recipe.rows}) == len(recipe.rows)


def test_figures_and_table_4_share_their_runs_with_the_tables():
    def keys(name: str, scale: Scale) -> set[str]:
        return {Run(row.experiment, 0).key for row in RECIPES[name].at(scale).rows}

    for scale in (Scale(), Scale(epochs=3, width=8)):
        assert keys("fig4", scale) < keys("table1", scale)
        # BceDice, HF, aUF and ours of CrackSeg.
        assert len(keys("table4", scale) & keys("table1", scale)) == 4
        # HF (m = 0) and three margins of DeepCrack-DB, three margins of CRACK500.
        assert len(keys("fig3", scale) & (keys("table1", scale) | keys("table2", scale))) == 7


def test_a_scale_changes_what_it_names_alone():
    panels = Scale(epochs=2, width=4, panels=10, pretrained=True)
    for row in RECIPES["table4"].at(panels).rows:
        config = row.experiment.config
        assert config.epochs == 2
        assert (config.width, config.pretrained) == (
            (4, False) if config.model == "crackseg" else (None, True)
        )
    names = {row.experiment.data.name for row in RECIPES["table3"].at(panels).rows}
    assert names == {"panels-3.15pc-10", "magnetic_tile"}
