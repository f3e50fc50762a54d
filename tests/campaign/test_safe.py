"""Nothing unpickles; documents and archives are read safely; tables hold no formula."""

import ast
import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from fissura.cli import run

SOURCE = Path(__file__).parents[2] / "src/fissura"
# Calls that run what a file holds, and where they are allowed, because the file is made safe first.
FORBIDDEN = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "marshal.loads", "shelve.open", "joblib.load", "eval", "exec", "os.system",
    "shutil.unpack_archive", "tarfile.open", "pandas.read_pickle", "cloudpickle.loads",
}  # fmt: skip
# What one file alone may do.
ONLY_IN = {
    "ET.fromstring": {"data/formats/documents.py"},
    "ET.parse": set(),
    "yaml.safe_load": set(),
    "yaml.SafeLoader": {"files/documents.py"},
}


def calls():
    """Yield every call of the package: its file, its name, and the call."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path.relative_to(SOURCE).as_posix(), ast.unparse(node.func), node


def given(call, name):
    return next((ast.unparse(one.value) for one in call.keywords if one.arg == name), None)


def test_nothing_unpickles_or_runs_what_a_file_holds():
    for file, name, call in calls():
        assert name not in FORBIDDEN, f"{file}:{call.lineno} calls {name}"
        if name in ONLY_IN:
            assert file in ONLY_IN[name], f"{file}:{call.lineno} calls {name}"
        if name == "torch.load":
            assert given(call, "weights_only") == "True", f"{file}:{call.lineno}"
        if name == "np.load":
            assert given(call, "allow_pickle") in (None, "False"), f"{file}:{call.lineno}"
        assert not name.endswith((".extractall", ".extract")), f"{file}:{call.lineno}"
        assert given(call, "shell") != "True", f"{file}:{call.lineno}"


# That reports escape names is tested with them, in tests/inspection/report/test_page.py.
EVIL = "=1+1 <script>alert('x')<"


@pytest.mark.skipif(__import__("os").name == "nt", reason="Windows has no such names")
def test_names_of_photos_are_no_formulas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("masks").mkdir()
    mask = np.zeros((40, 60), np.uint8)
    cv2.line(mask, (2, 5), (55, 30), 255, 3)
    names = [EVIL, "@SUM(A1)", "+2+3", "-2+3"]
    for name in names:
        Path("masks", f"{name}.png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    assert run(["measure", "masks", "--out", "out"]) == 0
    tables = sorted(Path("out").glob("*.csv"))
    assert tables
    for table in tables:
        with table.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.reader(file):
                for cell in row:
                    number = cell.replace(".", "").lstrip("-").isdigit()
                    assert number or len(cell) < 2 or cell[0] not in "=+-@\t\r", cell
