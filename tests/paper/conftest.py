import pytest


@pytest.fixture(autouse=True)
def _small_figures(monkeypatch):
    """Draw with few pixels, which is faster; tests/paper/figures/test_files.py has the real DPI."""
    monkeypatch.setattr("fissura.study.outputs.figure_files.DPI", 30)
