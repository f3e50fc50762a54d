"""Trainings side by side against the same trainings alone, bit by bit; what ends one, and all."""

import json
import signal
from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from fissura.data.batches import ImageStore
from fissura.errors import InputError
from fissura.training import run_folder, together
from fissura.training.inputs import read_inputs
from fissura.training.loop import resume, train
from fissura.training.options import TrainOptions
from fissura.training.together import Planned, train_together

SMALL = TrainOptions(width=2, epochs=3, batch_size=5, precision="float32", accelerator="cpu")
CONFIGS = {
    "ours": SMALL,
    "bce": replace(SMALL, loss="bce", batch_size=4),
    "dice": replace(SMALL, loss="dice", ema=0.9, epochs=4, seed=1, model="crackseg"),
}


@pytest.fixture(scope="module")
def alone(lines, tmp_path_factory):
    """The folder of the same trainings, each done by `train`."""
    folder = tmp_path_factory.mktemp("alone")
    for name, config in CONFIGS.items():
        train(lines, out=folder / name, options=config, quiet=True)
    return folder


def planned_in(folder, data):
    return [Planned(folder / name, data, config) for name, config in CONFIGS.items()]


def metrics(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    timed = ("seconds", "images_per_second")
    return [{name: x for name, x in line.items() if name not in timed} for line in lines]


def assert_same_run(run, other):
    ours, theirs = (load_file(path / "model" / "model.safetensors") for path in (run, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert metrics(run) == metrics(other)
    for name in ("config.yaml", "data.json", "model/config.json"):
        assert (run / name).read_text() == (other / name).read_text()


def test_in_company_as_alone(lines, tmp_path, alone):
    outcomes = train_together(planned_in(tmp_path, lines))
    assert [outcome.run for outcome in outcomes] == [tmp_path / name for name in CONFIGS]
    assert [(x.epochs, x.stopped_by, x.error) for x in outcomes] == [
        (config.epochs, None, None) for config in CONFIGS.values()
    ]
    for name in CONFIGS:
        assert_same_run(tmp_path / name, alone / name)
        assert not list((tmp_path / name).glob("events*"))


def test_they_take_turns(lines, tmp_path):
    seen = []
    train_together(
        planned_in(tmp_path, lines), on_epoch=lambda session, n: seen.append((session.run.name, n))
    )
    # Three steps make an epoch of each, so that the epochs end in one round.
    one_by_one = [(name, epoch) for epoch in (1, 2, 3) for name in CONFIGS]
    assert seen == [*one_by_one, ("dice", 4)]


@pytest.mark.parametrize("moment", [("ours", 1), ("dice", 2), ("dice", 4)])
def test_a_stop_ends_all_and_the_same_call_goes_on_to_the_same_bits(lines, tmp_path, alone, moment):
    def stop(session, epochs):
        if (session.run.name, epochs) == moment:
            signal.raise_signal(signal.SIGTERM)

    outcomes = train_together(planned_in(tmp_path, lines), on_epoch=stop)
    stopped = [outcome.stopped_by for outcome in outcomes]
    assert signal.SIGTERM in stopped or moment == ("dice", 4)
    for outcome in outcomes:
        assert (outcome.stopped_by is None) == (outcome.epochs == CONFIGS[outcome.run.name].epochs)
        assert (outcome.run / "state" / "state.pt").exists()
    # One of them goes on alone, the others in company.
    assert resume(tmp_path / "bce", quiet=True).epochs == 3
    outcomes = train_together(planned_in(tmp_path, lines))
    assert [(x.epochs, x.stopped_by, x.error) for x in outcomes] == [
        (config.epochs, None, None) for config in CONFIGS.values()
    ]
    for name in CONFIGS:
        assert_same_run(tmp_path / name, alone / name)


def test_a_stop_before_the_first_step_begins_nothing(lines, tmp_path, monkeypatch):
    begin = together.begin

    def stop_then_begin(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return begin(*arguments, **options)

    monkeypatch.setattr(together, "begin", stop_then_begin)
    outcomes = train_together(planned_in(tmp_path, lines))
    assert [outcome.stopped_by for outcome in outcomes] == [signal.SIGINT] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_a_nan_ends_one_training_alone(lines, tmp_path, alone):
    wild = replace(SMALL, learning_rate=1e30, optimizer="sgd")
    runs = planned_in(tmp_path, lines)
    runs.insert(1, Planned(tmp_path / "wild", lines, wild))
    outcomes = train_together(runs)
    assert [outcome.error is None for outcome in outcomes] == [True, False, True, True]
    assert "became NaN" in outcomes[1].error
    for name in CONFIGS:
        assert_same_run(tmp_path / name, alone / name)


def test_what_cannot_begin_is_told_and_the_others_train(lines, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    one = replace(SMALL, epochs=1)
    train(lines, out=tmp_path / "begun", options=one, quiet=True)
    runs = [
        Planned(tmp_path / "taken", lines, one),
        Planned(tmp_path / "begun", lines, replace(one, loss="bce")),
        Planned(tmp_path / "elsewhere", tmp_path / "nothing", one),
        Planned(tmp_path / "many", lines, replace(one, devices=2)),
        Planned(tmp_path / "good", lines, one),
    ]
    outcomes = train_together(runs, quiet=False)
    reasons = ("exists already", "other options", "nothing", "2 processes")
    for outcome, reason in zip(outcomes[:-1], reasons, strict=True):
        assert reason in outcome.error
        assert outcome.epochs == 0
    assert outcomes[-1].error is None
    assert (tmp_path / "taken" / "notes.txt").read_text() == "mine"
    said = " ".join(capsys.readouterr().out.split())
    assert "good: done" in said
    assert "2 processes" in said


def test_two_trainings_need_two_folders(lines, tmp_path):
    with pytest.raises(InputError, match="same run folder"):
        train_together([Planned(tmp_path / "run", lines, SMALL)] * 2)


def test_fractiond_images_are_read_and_held_once(lines, tmp_path, monkeypatch):
    read, held = [], []
    of = ImageStore.of
    monkeypatch.setattr(
        together, "read_inputs", lambda *given: (read.append(given), read_inputs(*given))[1]
    )
    monkeypatch.setattr(ImageStore, "of", lambda *given: (held.append(given), of(*given))[1])
    one = replace(SMALL, epochs=1)
    sessions = {}
    configs = {
        "a": one,
        "b": replace(one, loss="bce", seed=1),
        "c": replace(one, validation=0.34),
        "d": replace(one, validation=0.34, seed=1),  # its seed draws other validation images
    }
    train_together(
        [Planned(tmp_path / name, lines, config) for name, config in configs.items()],
        on_epoch=lambda session, _: sessions.setdefault(session.run.name, session),
    )
    assert sessions["a"].train is sessions["b"].train
    assert sessions["c"].train is not sessions["d"].train
    assert len(read) == 3
    assert len(held) == 1 + 2 + 2


def test_images_are_shared_only_where_all_that_reading_them_looks_at_is_the_same(
    lines, tmp_path, monkeypatch
):
    looked_at = set()

    class Watched(TrainOptions):
        def __getattribute__(self, name):
            looked_at.add(name)
            return super().__getattribute__(name)

    config = Watched(validation=0.34)
    looked_at.clear()
    inputs = read_inputs(lines, config)
    others = {"protocol": "crack500", "area_threshold": 0.5, "skip_bad": True, "validation": 0.5}
    others |= {"seed": 1}
    assert looked_at & {entry.name for entry in fields(TrainOptions)} == others.keys()

    read = []
    monkeypatch.setattr(together, "read_inputs", lambda *given: (read.append(given), inputs)[1])
    shared = together._Shared(None, company=1)
    plain = Planned(tmp_path, lines, TrainOptions(validation=0.34))
    shared.read(plain)
    for count, (name, value) in enumerate(others.items(), start=2):
        for _ in range(2):
            shared.read(replace(plain, config=replace(plain.config, **{name: value})))
        assert len(read) == count
    shared.read(replace(plain, data=tmp_path))
    assert len(read) == 7


def test_all_together_spend_a_twentieth_of_the_time_on_saving(lines, tmp_path, monkeypatch):
    # By a clock on which an epoch takes ten seconds and a save one.
    now, saves = [0.0], []

    def save(state, path):
        saves.append(path)
        now[0] += 1
        path.write_bytes(b"")

    def epoch(session, epochs):
        now[0] += 10

    monkeypatch.setattr(run_folder, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(run_folder.torch, "save", save)
    config = replace(SMALL, epochs=20, batch_size=12)
    runs = [Planned(tmp_path / str(n), lines, replace(config, seed=n)) for n in range(3)]
    train_together(runs, on_epoch=epoch)
    between = len(saves) - 6  # each saves after its first epoch, and when it ends
    assert 0.03 * now[0] < between <= 0.05 * now[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_in_company_as_alone_on_a_gpu(lines, tmp_path, caplog):
    runs = [
        Planned(tmp_path / "together" / name, lines, replace(config, accelerator="cuda"))
        for name, config in CONFIGS.items()
    ]
    assert [outcome.error for outcome in train_together(runs)] == [None] * 3
    assert "without a CUDA graph" not in caplog.text
    for planned in runs:
        other = tmp_path / planned.run.name
        train(lines, out=other, options=planned.config, quiet=True)
        ours, theirs = ([line["loss"] for line in metrics(run)] for run in (planned.run, other))
        assert ours == pytest.approx(theirs, rel=5e-3)
