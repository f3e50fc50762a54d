from pathlib import Path

import pytest

from fissura.study.options import Budget, StudyOptions
from fissura.study.recipe_file import read_recipe
from fissura.study.runner import study

EXAMPLE = Path(__file__).parents[2] / "examples" / "compare_losses.py"
TOY = Budget(epochs=1, width=2)


@pytest.fixture(scope="session")
def recipe():
    return read_recipe(EXAMPLE)


@pytest.fixture(scope="session")
def done(tmp_path_factory, lines, recipe):
    """A study of a user's own recipe on a folder of photos: two rows, two seeds."""
    out = tmp_path_factory.mktemp("study")
    ended = study(recipe, out, budget=TOY, options=StudyOptions(data=lines, runs=2, workers=1))
    assert ended.failed == []
    assert ended.stopped_by is None
    ends = (".md", ".csv", "_runs.csv", ".tex", "_seeds.png", "_seeds.svg")
    assert ended.files == [out / f"compare_losses{end}" for end in ends]
    return out
