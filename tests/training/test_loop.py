import json
import shutil
import signal
from dataclasses import replace

import cv2
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fissura.checkpoint import ModelConfig, config_of, load_model, save_model
from fissura.errors import InputError
from fissura.losses import DeepSupervisionLoss
from fissura.models import build_model
from fissura.training import build, step
from fissura.training.config_file import read_config
from fissura.training.options import TrainOptions
from fissura.training.progress.display import conclude
from fissura.training.train import resume, train

SMALL = TrainOptions(
    width=2, epochs=3, batch_size=4, precision="float32", accelerator="cpu", validation=0.0
)


def losses_of(run):
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights_of(run):
    return load_file(run / "model" / "model.safetensors")


def assert_same_weights(run, other):
    ours, theirs = weights_of(run), weights_of(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def finished(lines, tmp_path_factory):
    """A finished training with the options SMALL, to be read and copied, not changed."""
    run = tmp_path_factory.mktemp("finished") / "run"
    outcome = train(lines, out=run, options=SMALL, quiet=True)
    assert (outcome.run, outcome.epochs, outcome.stopped_by) == (run, 3, None)
    return run


def test_a_run_folder_holds_what_was_promised(lines, finished):
    run = finished
    assert read_config(run / "config.yaml") == (lines, SMALL)
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in entries] == [1, 2, 3]
    assert [entry["step"] for entry in entries] == [3, 6, 9]
    data = json.loads((run / "data.json").read_text())
    assert (data["images"], data["layout"] != "") == (12, True)
    assert list(run.glob("events.out.tfevents.*"))
    model, card = load_model(run)
    assert model(torch.zeros(1, 3, 20, 30)).shape == (1, 1, 20, 30)
    assert (card.model, card.options, card.threshold) == ("crackseg", {"width": 2}, 0.5)
    assert card.crack_fraction == pytest.approx(data["crack_fraction"])
    assert not list(run.rglob("*.tmp*"))


def test_it_learns(lines, tmp_path):
    config = replace(SMALL, width=4, epochs=12, batch_size=2, learning_rate=2e-2, augment=False)
    train(lines, out=tmp_path / "run", options=config, quiet=True)
    losses = losses_of(tmp_path / "run")
    assert losses[-1] < 0.4 * losses[0]


def test_same_seed_same_bits_other_seed_other_bits(lines, finished, tmp_path):
    train(lines, out=tmp_path / "same", options=SMALL, quiet=True)
    assert_same_weights(tmp_path / "same", finished)
    train(lines, out=tmp_path / "other", options=replace(SMALL, epochs=1, seed=1), quiet=True)
    assert losses_of(tmp_path / "other")[0] != losses_of(finished)[0]


def test_losses_are_paired_by_seed(lines, tmp_path, monkeypatch):
    seen, original = {}, DeepSupervisionLoss.forward
    for loss in ("bce", "dice"):
        batches = []

        def forward(self, logits, target, batches=batches):
            batches.append(target.clone())
            return original(self, logits, target)

        monkeypatch.setattr(DeepSupervisionLoss, "forward", forward)
        train(lines, out=tmp_path / loss, options=replace(SMALL, loss=loss, epochs=2), quiet=True)
        seen[loss] = batches[1:]  # the first is a probe of the options
    assert len(seen["bce"]) == 6
    assert all(torch.equal(a, b) for a, b in zip(seen["bce"], seen["dice"], strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw", "weight_decay": 0.01, "clip_norm": 1.0, "warmup_epochs": 1.0},
        {"optimizer": "sgd", "ema": 0.9, "deep_supervision": True},
        {"crop": 32, "loss": "unified-focal", "symmetric": True, "precision": "bfloat16"},
        {"model": "smp:Unet", "encoder": "mobilenet_v2", "width": None, "margin": "auto"},
    ],
    ids=["adamw", "sgd-ema-deep", "crops", "smp"],
)
def test_options_work_together(lines, tmp_path, options):
    config = replace(SMALL, epochs=1, **options)
    train(lines, out=tmp_path / "run", options=config, quiet=True)
    assert all(loss == loss for loss in losses_of(tmp_path / "run"))
    load_model(tmp_path / "run")


def test_validation_chooses_epoch_and_threshold(lines, tmp_path):
    config = replace(SMALL, epochs=5, validation=0.34, learning_rate=2e-2)
    train(lines, out=tmp_path / "run", options=config, quiet=True)
    entries = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    best = max(entries, key=lambda entry: entry["validation"]["iou"])
    card = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert card["threshold_source"] == "validation"
    assert card["threshold"] == best["validation"]["threshold"]
    assert card["training"]["best_epoch"] == best["epoch"]
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert len(data["train"]) == 8
    assert len(data["validation"]) == 4
    assert not set(data["train"]) & set(data["validation"])


@pytest.mark.parametrize("threshold", [1.0, 1 - 2**-23, 1e-7, 0.0])
def test_a_threshold_at_the_end_of_its_grid_is_said(tmp_path, capsys, threshold):
    config = ModelConfig("crackseg", {"width": 2}, threshold_source="validation")
    model = build_model("crackseg", width=2)
    for name, at in (("end", threshold), ("middle", 0.5)):
        save_model(tmp_path / name / "model", model, replace(config, threshold=at))
        conclude(Console(width=1000), tmp_path / name)
        assert ("at the end of its grid" in capsys.readouterr().out) == (name == "end")


def test_patience_stops_early(lines, tmp_path):
    # With a learning rate of almost nothing no epoch is better than the first few.
    config = replace(SMALL, epochs=50, validation=0.34, patience=2, learning_rate=1e-12)
    outcome = train(lines, out=tmp_path / "run", options=config, quiet=True)
    assert outcome.epochs < 50


def test_a_watcher_sees_every_epoch_and_changes_nothing(lines, finished, tmp_path):
    seen = []

    def watch(session, epochs):
        saved = (tmp_path / "watched" / "metrics.jsonl").read_text().splitlines()
        seen.append((session.run, epochs, len(saved)))
        torch.manual_seed(epochs)
        torch.rand(5)
        session.network.eval()

    train(lines, out=tmp_path / "watched", options=SMALL, quiet=True, on_epoch=watch)
    run = tmp_path / "watched"
    assert seen == [(run, 1, 1), (run, 2, 2), (run, 3, 3)]
    assert_same_weights(run, finished)


def test_a_resumed_run_is_watched_from_where_it_goes_on(lines, finished, tmp_path):
    def stop(session, epochs):
        if epochs == 2:
            signal.raise_signal(signal.SIGTERM)

    outcome = train(lines, out=tmp_path / "run", options=SMALL, quiet=True, on_epoch=stop)
    assert (outcome.stopped_by, outcome.epochs) == (signal.SIGTERM, 2)
    seen = []
    resume(tmp_path / "run", quiet=True, on_epoch=lambda _, epochs: seen.append(epochs))
    assert seen == [3]
    assert_same_weights(tmp_path / "run", finished)


def test_resuming_a_finished_run_changes_nothing(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    before = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    assert resume(tmp_path / "run", quiet=True).epochs == 3
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == before
    assert len(losses_of(tmp_path / "run")) == 3


def test_a_nan_loss_stops_with_advice(lines, tmp_path):
    config = replace(SMALL, learning_rate=1e30, optimizer="sgd")
    with pytest.raises(InputError, match=r"became NaN or infinite in epoch .*learning-rate"):
        train(lines, out=tmp_path / "run", options=config, quiet=True)


def test_an_existing_run_is_never_overwritten(lines, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"exists already .*--resume"):
        train(lines, out=tmp_path / "run", options=SMALL, quiet=True)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_changed_data_cannot_be_resumed(lines, finished, tmp_path):
    shutil.copytree(lines, tmp_path / "data")
    shutil.copytree(finished, tmp_path / "run")
    for part in ("images", "masks"):
        (tmp_path / "data" / "train" / part / "3.png").unlink()
    with pytest.raises(InputError, match="no longer those"):
        resume(tmp_path / "run", data=tmp_path / "data", quiet=True)


def test_moved_data_are_told_of_and_found_in_their_new_place(lines, finished, tmp_path):
    shutil.copytree(lines, tmp_path / "old")

    def stop(session, epochs):
        signal.raise_signal(signal.SIGTERM)

    train(tmp_path / "old", out=tmp_path / "run", options=SMALL, quiet=True, on_epoch=stop)
    (tmp_path / "old").rename(tmp_path / "new")
    with pytest.raises(InputError, match=r"old, on which .* --data NEW_PLACE"):
        resume(tmp_path / "run", quiet=True)
    assert resume(tmp_path / "run", data=tmp_path / "new", quiet=True).epochs == 3
    assert read_config(tmp_path / "run" / "config.yaml") == (tmp_path / "new", SMALL)
    assert_same_weights(tmp_path / "run", finished)


def test_a_damaged_state_says_how_to_start_again(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "state" / "state.pt").write_bytes(b"not a state")
    with pytest.raises(InputError, match=r"damaged .*--config"):
        resume(tmp_path / "run", quiet=True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state["network"].popitem(),
        lambda state: state["network"].update(other=torch.zeros(1)),
        lambda state: state["optimizer"].pop("param_groups"),
        lambda state: state["position"].update(other=1),
        lambda state: state["position"].update(loss_sum=3),
        lambda state: state.update(position=[1]),
        lambda state: state.update(network=None),
        lambda state: state.pop("fingerprint"),
    ],
)
def test_a_state_that_lacks_something_says_so_too(finished, tmp_path, spoil):
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / "state" / "state.pt"
    state = torch.load(file, weights_only=True)
    spoil(state)
    torch.save(state, file)
    with pytest.raises(InputError, match=r"damaged .*--config"):
        resume(tmp_path / "run", quiet=True)


def test_a_training_starts_from_a_model(lines, finished, tmp_path):
    model, _ = load_model(finished)
    # Steps so small that what is learnt can't be seen.
    second = replace(SMALL, start=str(finished), learning_rate=1e-12, epochs=1)
    train(lines, out=tmp_path / "b", options=second, quiet=True)
    again, card = load_model(tmp_path / "b")
    assert card.training["start"] == str(finished)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(again.get_parameter(name), weight)
    other = replace(second, width=3)
    with pytest.raises(InputError, match=r"--model crackseg --width"):
        train(lines, out=tmp_path / "c", options=other, quiet=True)
    with pytest.raises(InputError, match="There is no model nowhere: no such folder"):
        train(lines, out=tmp_path / "d", options=replace(SMALL, start="nowhere"), quiet=True)


@pytest.mark.parametrize("name", ["fissura-general", "crackseg-small"])
def test_the_network_of_the_model_to_start_from_is_taken(lines, tmp_path, name):
    """Nobody has to look up which network a model is, and options of another are not overruled."""
    left_open = replace(SMALL, model=None, width=None, start=name, epochs=1, batch_size=4)
    run = train(lines, out=tmp_path / "run", options=left_open, quiet=True).run
    shipped, trained = config_of(name), config_of(run)
    assert (trained.model, trained.options) == (shipped.model, shipped.options)
    _, written = read_config(run / "config.yaml")
    assert (written.model, written.width) == (shipped.model, shipped.options.get("width"))
    for asked in ({"model": "crackseg", "width": 2}, {"width": 3}, {"encoder": "resnet18"}):
        with pytest.raises(InputError, match="Give these options, or none of the network"):
            train(lines, out=tmp_path / "no", options=replace(left_open, **asked), quiet=True)


def test_weights_to_start_from_take_the_place_of_pretrained_ones(lines, tmp_path, monkeypatch):
    """So a recipe's `pretrained` needs no download where `--start` makes it idle."""

    def refused(name, **options):
        assert "pretrained" not in options
        return build_model(name, **options)

    monkeypatch.setattr(build, "build_model", refused)
    options = replace(
        SMALL, model=None, width=None, start="fissura-general", pretrained=True, epochs=1,
        batch_size=4,
    )  # fmt: skip
    run = train(lines, out=tmp_path / "run", options=options, quiet=True).run
    assert config_of(run).model == "lite_unet"


def test_a_threshold_is_sought_beyond_the_ends_of_the_grid(lines, tmp_path, monkeypatch):
    """Of a network whose probabilities all lie near 1, the threshold still tells cracks apart."""

    def confident(session, images):
        return 1 - 1e-5 * images[:, 0].float().numpy()  # cracks are dark

    monkeypatch.setattr(step, "predict", confident)
    config = replace(SMALL, epochs=1, validation=0.34)
    train(lines, out=tmp_path / "run", options=config, quiet=True)
    entry = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    chosen = entry["validation"]
    assert 255 / 256 < chosen["threshold"] < 1
    assert chosen["iou"] > chosen["iou_at_half"]


def test_figures_are_in_the_run_folder_while_it_goes_on(lines, tmp_path, capsys):
    seen = []

    def watch(session, epochs):
        names = ("curves.png", "validation.png")
        seen.append([cv2.imread(str(session.run / name)).shape for name in names])

    options = replace(SMALL, epochs=2, validation=0.34)
    train(lines, out=tmp_path / "run", options=options, on_epoch=watch)
    assert len(seen) == 2
    strip = seen[0][1]
    assert strip[0] >= 4 * 48  # four images, one below the other
    assert strip[1] >= 3 * 48  # each with its truth and its errors
    assert "images/s" in capsys.readouterr().out
