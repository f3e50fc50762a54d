"""What the campaign found once gives a result or a sentence now; spoiling follows the seed."""

import random
from contextlib import suppress

import pytest

from fissura.errors import InputError

from .mended import INPUTS
from .mutations import mutate
from .targets.all_of_them import TARGETS
from .targets.annotations import TARGETS as ANNOTATIONS
from .worker import MEGABYTES, peak

SLOW = ("exported",)  # targets whose right files take long to be made
CASES = [
    pytest.param(
        one,
        marks=[pytest.mark.slow] if one.target in SLOW else [],
        id=f"{one.target}: {one.was}"[:70],
    )
    for one in INPUTS
]


@pytest.mark.parametrize("one", CASES)
@pytest.mark.filterwarnings("default")  # as for users
def test_what_was_mended_stays_so(one, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FISSURA_CACHE", str(tmp_path / "prepared"))
    target = next(target for target in TARGETS if target.name == one.target)
    target.make()
    (file,) = (file for file in target.spoilable() if file.match(one.file))
    file.write_bytes(one.change(file.read_bytes()))
    peak(reset=True)
    before = peak()
    with suppress(InputError, OSError):  # a sentence
        assert target.call(file) in (None, 0, 1, 2, 3)
    assert peak() - before < MEGABYTES


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.xml", "a.csv", "a.png", "a.npz", "a.tif"])
def test_a_seed_spoils_a_file_in_one_way(name):
    content = b'{"a": [1, 2.5, "b"], "c": {"d": null}}\n' * 9
    spoiled = [[mutate(content, name, random.Random(seed)) for seed in range(60)] for _ in range(2)]
    assert spoiled[0] == spoiled[1]
    assert len(set(spoiled[0])) > 30


@pytest.mark.parametrize("target", ANNOTATIONS, ids=lambda target: target.name)
def test_each_layout_has_files_to_spoil(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target.make()
    assert target.spoilable()
