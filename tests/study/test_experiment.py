from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.errors import InputError
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


@pytest.mark.parametrize(
    ("start", "network"),
    [
        ("fissura-general", {"model": "lite_unet", "width": None, "encoder": "efficientnet-lite1"}),
        ("crackseg-small", {"model": "crackseg", "width": 16, "encoder": None}),
    ],
)
def test_an_experiment_that_starts_from_a_model_has_its_network(start, network):
    config = experiment(DEEPCRACK, start=start, epochs=2).config
    assert {name: getattr(config, name) for name in network} == network
    assert (config.start, config.epochs, config.validation) == (start, 2, 0)


def test_a_start_that_is_no_model_is_said_before_any_run():
    with pytest.raises(InputError, match="nowhere"):
        experiment(DEEPCRACK, start="nowhere")
