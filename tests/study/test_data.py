import json

import pytest

from fissura.errors import InputError
from fissura.paper.data import CRACK500, DEEPCRACK
from fissura.study.data import locate, panels


def test_real_data_lie_in_a_folder_of_their_name(tmp_path):
    (tmp_path / "deepcrack").mkdir()
    assert locate(DEEPCRACK, tmp_path, tmp_path / "study") == tmp_path / "deepcrack"
    with pytest.raises(InputError, match=r"CRACK500 in a folder named crack500.*no such folder"):
        locate(CRACK500, tmp_path, tmp_path / "study")
    with pytest.raises(InputError, match="--data FOLDER"):
        locate(DEEPCRACK, None, tmp_path / "study")


def test_panels_are_drawn_once_with_the_fraction_of_their_name(tmp_path):
    data = panels(0.05, 6)
    folder = locate(data, None, tmp_path)
    drawn = json.loads((folder / "synth.json").read_text())["options"]
    assert (drawn["crack_fraction"], drawn["count"], drawn["seed"]) == (0.05, 6, 0)
    written = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    assert locate(data, None, tmp_path) == folder
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == written
