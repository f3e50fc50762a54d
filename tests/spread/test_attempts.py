"""Rows that are tried anew, done once, or given up; without a cluster."""

import errno
import json

import pytest

from fissura.errors import InputError
from fissura.spread.attempts import MOST, Attempts, clear
from fissura.spread.options import SpreadOptions


def row(number, **given):
    return {"number": number, "row": json.dumps(given)}


def outcome(attempts, number=0, **given):
    found = attempts(row(number, **given))
    assert found["number"] == number
    return json.loads(found["outcome"])


@pytest.fixture(autouse=True)
def _stay(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_a_row_is_done_once_and_by_whoever_lives(tmp_path):
    seen = []

    def work(given):
        seen.append(given["x"])
        return {"twice": 2 * given["x"]}

    first = Attempts(lambda: work, tmp_path / "ledger", tmp_path)
    assert outcome(first, x=3) == {"twice": 6}
    another = Attempts(lambda: work, tmp_path / "ledger", tmp_path)
    assert outcome(another, x=3) == {"twice": 6}
    assert seen == [3]
    clear(tmp_path / "ledger")
    assert outcome(another, x=4) == {"twice": 8}


def test_a_row_that_kills_is_given_up(tmp_path):
    class DeathError(BaseException):
        pass

    def work(given):
        raise DeathError

    for _ in range(MOST):
        with pytest.raises(DeathError):
            outcome(Attempts(lambda: work, tmp_path / "ledger", tmp_path))
    assert outcome(Attempts(lambda: work, tmp_path / "ledger", tmp_path)) == {"died": MOST}
    calm = Attempts(lambda: lambda given: {}, tmp_path / "ledger", tmp_path)
    assert outcome(calm, number=1) == {}


def test_what_concerns_all_rows_stops(tmp_path):
    def no_model():
        raise InputError("There is no model.")

    ledger = tmp_path / "ledger"
    assert outcome(Attempts(no_model, ledger, tmp_path)) == {"stop": "There is no model."}

    def full(given):
        raise OSError(errno.ENOSPC, "No space left on device", "/out/a.png")

    stopped = outcome(Attempts(lambda: full, ledger, tmp_path), number=2)
    assert stopped == {"stop": "/out/a.png: No space left on device."}
    # It is no outcome of the row: the next run tries it again.
    assert outcome(Attempts(lambda: lambda given: {}, ledger, tmp_path), number=2) == {}
    gone = Attempts(lambda: full, ledger, tmp_path / "gone")
    assert "No such file" in outcome(gone, number=3)["stop"]


@pytest.mark.parametrize(
    "given",
    [
        {"shard": "1/2", "ray": "auto"},
        {"workers": 0},
        {"workers": 4, "max_workers": 3},
        {"cpus_per_worker": 0},
        {"gpus_per_worker": -1},
    ],
)
def test_options_out_of_range(given):
    with pytest.raises(InputError):
        SpreadOptions(**given)
