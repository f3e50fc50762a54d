from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fissura.paper.data import DEEPCRACK
from fissura.paper.losses import ours
from fissura.study.experiment import NOT_IDENTITY, Experiment, Run, experiment
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
    options = TrainOptions(loss="bce", batch_size=16, optimizer="adam", validation=0.0)
    given = Experiment(DEEPCRACK, options)
    assert given.identity() == {"data": "deepcrack", "loss": "bce"}


def test_validation_images_make_another_experiment():
    plain = experiment(DEEPCRACK, loss="bce")
    assert plain.config.validation == 0
    assert Run(plain.at(validation=0.2), 0).key != Run(plain, 0).key


def test_the_seed_is_the_only_difference_between_the_runs_of_an_experiment():
    one, two = (Run(experiment(DEEPCRACK, loss="bce"), seed).config for seed in (1, 2))
    assert (one.seed, two.seed) == (1, 2)
    assert replace(one, seed=2) == two
    assert "seed" in NOT_IDENTITY
