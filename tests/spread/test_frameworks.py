"""The example of docs/machines.md for Dask, where Dask is installed: its text, on two workers."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from fissura.data.synthetic import draw_panel
from fissura.inspection.pipeline import inspect

PAGE = Path(__file__).parents[2] / "docs" / "machines.md"


@pytest.mark.slow
def test_dask(tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "photos").mkdir()
    for number in range(6):
        image = draw_panel(2, number, size_hw=(120, 160)).image
        cv2.imwrite(str(tmp_path / "photos" / f"{number}.png"), image[..., ::-1])
    code = re.search(r"## Dask.*?```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert code is not None
    here = {
        "/data/": f"{tmp_path.as_posix()}/",
        'Client("scheduler:8786")': "Client(n_workers=2, threads_per_worker=1)",
        "count = 16": "count = 3",
    }
    text = code[1]
    for there, own in here.items():
        assert there in text
        text = text.replace(there, own)
    program = tmp_path / "program.py"
    program.write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, program], check=True, cwd=tmp_path)
    inspect(tmp_path / "photos", tmp_path / "one")
    for name in ("cracks.csv", "photos.csv", "widths.csv"):
        whole = (tmp_path / "one" / name).read_bytes()
        assert (tmp_path / "report" / name).read_bytes() == whole
