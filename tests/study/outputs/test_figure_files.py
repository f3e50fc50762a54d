from __future__ import annotations

from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from fissura.study.outputs.figure_files import DPI, save_figure


def figure():
    drawn = Figure(figsize=(2, 1))
    axes = drawn.add_subplot()
    axes.plot([0, 1], [1, 0], "o", clip_on=True)
    axes.set_title("γ̂ = 0, δ = ½")
    return drawn


def test_two_formats_whole_and_the_same_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr("fissura.study.outputs.figure_files.DPI", DPI)
    before = {name: matplotlib.rcParams[name] for name in ("svg.hashsalt", "svg.fonttype")}
    first = save_figure(figure(), tmp_path / "new" / "a", "drawn")
    second = save_figure(figure(), tmp_path / "b", "drawn")
    assert {name: matplotlib.rcParams[name] for name in before} == before
    assert [file.name for file in first] == ["drawn.png", "drawn.svg"]
    assert sorted(first[0].parent.iterdir()) == first, "nothing temporary is left"
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    with Image.open(first[0]) as image:
        assert image.size == (2 * DPI, DPI)
        assert set(image.info) <= {"dpi"}
    assert "dc:date" not in first[1].read_text()
    texts = ElementTree.parse(first[1]).iter("{http://www.w3.org/2000/svg}text")
    assert "γ̂ = 0, δ = ½" in ["".join(text.itertext()) for text in texts]
