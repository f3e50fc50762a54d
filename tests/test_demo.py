from dataclasses import replace

import pytest
from PIL import Image

from fissura import demo as module
from fissura.errors import InputError


def test_the_demo_goes_the_whole_way(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "IMAGES", 12)
    monkeypatch.setattr(module, "SIZE_HW", (48, 64))
    monkeypatch.setattr(module, "PANEL_HW", (150, 200))
    monkeypatch.setattr(module, "CONFIG", replace(module.CONFIG, width=2, epochs=1))
    result = module.demo(tmp_path / "demo")
    assert "<html" in result.report.read_text()
    with Image.open(result.overlay) as overlay:
        assert overlay.size == (200, 150)
    said = capsys.readouterr().out
    assert str(result.report) in said
    with pytest.raises(InputError, match="exists already"):
        module.demo(tmp_path / "demo")
