"""What the recipes fit to a model's own errors, on data whose truth is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from fissura.data.synthetic.dataset import synth
from fissura.training.options import TrainOptions
from fissura.training.run_folder import load_state
from fissura.training.train import train

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES)


def surface(seed, spread, shift=0.0, count=6000):
    """Widths measured with errors that grow with the width, half of it told by σ."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(1, 12, count)
    sigma = rng.uniform(0.1, 0.6, count)
    error = spread * rng.standard_normal(count) * (0.2 + 0.05 * truth + sigma)
    return np.column_stack([np.maximum(truth + error + shift, 0.2), sigma, truth])


def test_the_fitted_error_covers_what_it_says_on_a_surface_that_was_left_out():
    import fit_widths

    known = fit_widths.fit([surface(1, 0.9), surface(2, 1.0), surface(3, 1.1)])
    found = fit_widths.check(known, surface(4, 1.0))
    assert found["within"] == pytest.approx(0.68, abs=0.05)
    assert found["within_95"] == pytest.approx(0.954, abs=0.03)


def test_a_shift_is_taken_where_all_surfaces_agree_and_nowhere_else():
    import fit_widths

    wide = [surface(seed, 0.3, shift) for seed, shift in ((1, 0.5), (2, 0.8))]
    known = fit_widths.fit(wide, surface(3, 0.3, 0.6))
    assert known.shifts
    assert all(-0.9 < shift < -0.2 for shift in known.shifts)
    assert abs(fit_widths.check(known, wide[0])["bias"]) < 0.15
    both = fit_widths.fit([surface(1, 0.3, 0.5), surface(2, 0.3, -0.5)])
    assert both.shifts == ()


def test_the_least_certainty_is_the_least():
    import fit_alarms

    rng = np.random.default_rng(0)
    photo = rng.integers(0, 40, 60)
    clean = fit_alarms.Found(
        40, photo, rng.uniform(0.5, 1, 60), np.full(60, 20.0), np.zeros(60), cracked=False
    )
    cracked = fit_alarms.Found(
        5, np.arange(5), np.full(5, 0.99), np.full(5, 99.0), np.ones(5), cracked=True
    )
    least = fit_alarms.least_certainty({"clean": clean, "cracked": cracked})
    assert clean.alarms(least).mean() <= 0.05
    assert clean.alarms(least - 0.002).mean() > 0.05 or least <= 0.502
    by_hand = sum(
        any(c >= least for c, p in zip(clean.certainty, photo, strict=True) if p == number)
        for number in range(40)
    )
    assert clean.alarms(least).sum() == by_hand


def test_the_worst_set_decides_which_certainty_is_enough():
    import fit_alarms

    def clean(sure):
        """A hundred photos, ten of which show a crack."""
        certainty = np.full(10, sure)
        return fit_alarms.Found(
            100, np.arange(10), certainty, np.full(10, 20.0), np.zeros(10), cracked=False
        )

    assert fit_alarms.least_certainty({"a": clean(0.6), "b": clean(0.9)}) == 0.901
    assert fit_alarms.least_certainty({"a": clean(0.6), "b": clean(0.6)}) == 0.601


def faint_and_sure():
    """A crack that is faint in one half, and twenty photos of a speck as sure as that half."""
    import held_back

    prob, mask = np.full((40, 60), 0.05, np.float32), np.zeros((40, 60), bool)
    mask[20:24, 5:55] = True
    prob[20:24, 5:30], prob[20:24, 30:55] = 0.45, 0.97
    speck = np.full((40, 60), 0.05, np.float32)
    speck[10:13, 10:22] = 0.6
    image = np.zeros((40, 60, 3), np.uint8)
    return {
        "cracked": held_back.Predicted([image], [mask], [prob], [1.0]),
        "clean": held_back.Predicted(
            [image] * 20,
            [np.zeros_like(mask)] * 20,
            [speck.copy() for _ in range(20)],
            [1.0] * 20,
        ),
    }


def test_parts_are_found_with_their_surest_pixels():
    import fit_alarms

    surfaces = faint_and_sure()
    found = fit_alarms.find(surfaces["cracked"], 0.4)
    assert found.pixels.tolist() == [200]
    assert found.certainty == pytest.approx([0.97], abs=1 / 255)
    assert found.true.tolist() == [1]
    assert found.cracked
    assert fit_alarms.find(surfaces["cracked"], 0.98).pixels.tolist() == []
    clean = fit_alarms.find(surfaces["clean"], 0.4)
    assert clean.alarms(0.0).mean() == 1
    assert clean.alarms(0.65).mean() == 0
    assert found.lost(0.9) == {"true_pixels_lost": 0.0, "false_pixels_removed": 0.0}
    assert found.lost(0.99)["true_pixels_lost"] == 1


def test_the_threshold_is_chosen_with_the_parts_that_are_left_out_for_it():
    """Alone it would have to be above the specks, and lose the faint half of the crack."""
    import fit_threshold

    threshold, min_prob, table = fit_threshold.choose(faint_and_sure())
    assert 0.05 < threshold <= 0.45
    assert 0.6 < min_prob <= 0.61
    assert table[f"{threshold:.4f}"]["f1"] == 1
    assert table["0.5000"]["f1"] == pytest.approx(2 / 3, abs=1e-3)
    assert table["0.6250"]["min_prob"] == 0.001  # no speck is left then


def test_weights_between_two_models():
    import average

    before = {"weight": torch.tensor([0.0, 2.0]), "count": torch.tensor(3)}
    after = {"weight": torch.tensor([1.0, -2.0]), "count": torch.tensor(8)}
    assert average.between(before, after, 0.0)["weight"].tolist() == [0.0, 2.0]
    assert average.between(before, after, 1.0)["weight"].tolist() == [1.0, -2.0]
    assert average.between(before, after, 0.25)["weight"].tolist() == [0.25, 1.0]
    assert average.between(before, after, 0.25)["count"] == 8


@pytest.fixture
def averaging(monkeypatch):
    """`average.average` on one weight, 1 before and 3 after, of which 2.2 has the greatest F1."""
    import average

    model = torch.nn.Conv2d(1, 1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 3.0)
    before = {"weight": torch.full((1, 1, 1, 1), 1.0)}
    monkeypatch.setattr(average, "Predictor", lambda model, config: model)
    monkeypatch.setattr(
        average,
        "predicted",
        lambda model, held: dict.fromkeys(held, model.weight.item()) or model.weight.item(),
    )
    monkeypatch.setattr(
        average, "choose", lambda weight: (0.25, 0.9, {"0.2500": {"f1": 1 - (weight - 2.2) ** 2}})
    )
    monkeypatch.setattr(average, "score", lambda weight, *_: (weight / 4, 0.0))
    return model, lambda **more: average.average(before, model, None, {}, **more)


def test_the_average_with_the_greatest_mean_f1_is_taken(averaging):
    model, average = averaging
    found = average()
    assert found["fraction"] == 0.6
    assert max(found["f1"], key=found["f1"].get) == "0.6"
    assert model.weight.item() == pytest.approx(2.2)


def test_another_average_is_taken_where_it_is_asked_for_and_the_look_is_told(averaging, capsys):
    model, average = averaging
    found = average(asked=1.0, look=object())
    assert found["fraction"] == 1.0
    assert max(found["f1"], key=found["f1"].get) == "0.6"
    assert model.weight.item() == pytest.approx(3.0)
    # F1 is 3/4 there, so that IoU is 3/5.
    assert capsys.readouterr().out.splitlines()[-1].endswith("IoU of the look 0.600")


def test_the_card_tells_by_what_the_average_was_chosen():
    import card

    scores = {"0.2": 0.8048, "0.6": 0.8021}
    assert card.chosen({"fraction": 0.2, "f1": scores}).endswith("chose so on the groups below")
    other = card.chosen({"fraction": 0.6, "f1": scores})
    assert "would have chosen 0.2 of the latter (mean F1 0.8048, beside 0.8021)" in other


def test_the_last_weights_of_a_run_are_those_of_its_state(tmp_path):
    import ship_general

    synth(tmp_path / "data", count=8, size_hw=(32, 40), crack_fraction=0.1, seed=0)
    options = TrainOptions(width=4, epochs=2, ema=0.5, batch_size=4, accelerator="cpu")
    run = train(tmp_path / "data", out=tmp_path / "run", options=options, quiet=True).run
    model, config = ship_general.last_of(run)
    average = load_state(run)["average"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, average[f"module.{name}"])
    assert (config.training["best_epoch"], config.training["steps"]) == (2, 4)


def test_auroc_is_that_of_scikit_learn():
    import fit_familiar

    rng = np.random.default_rng(2)
    known, others = rng.normal(0, 1, 50), rng.normal(1, 1, 70)
    labels = np.concatenate([np.zeros(50), np.ones(70)])
    wanted = roc_auc_score(labels, np.concatenate([known, others]))
    assert fit_familiar.auroc(known, others) == pytest.approx(wanted, abs=1e-4)


def test_a_training_lacks_what_is_left_out(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES.parent / "benchmarks")
    import leave_one_out

    for name in (*leave_one_out.LEFT_OUT, *leave_one_out.ABLATIONS):
        mixture = leave_one_out.mixture_of(name, RECIPES, 24)
        assert sum(one["fraction"] for one in mixture["sets"].values()) == pytest.approx(1)
        assert name not in mixture["sets"]
    bare = leave_one_out.mixture_of("without photos free of cracks", RECIPES, 24)["sets"]
    assert bare["textures"]["fraction"] == bare["concrete"]["fraction"] == 0
    assert bare["drawn"]["fraction"] > 0.24
    assert leave_one_out.mixture_of("without scales", RECIPES, 24)["scale_spread"] == 0
