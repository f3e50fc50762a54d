import signal
from dataclasses import replace

import pytest

from fissura import demo as module
from fissura.errors import InputError
from fissura.shipped import PHOTOS


@pytest.fixture
def _small(monkeypatch):
    monkeypatch.setattr(module, "IMAGES", 12)
    monkeypatch.setattr(module, "SIZE_HW", (48, 64))
    monkeypatch.setattr(module, "OPTIONS", replace(module.OPTIONS, width=2, epochs=2))


@pytest.mark.usefixtures("_small")
def test_the_demo_goes_the_whole_way(tmp_path, capsys):
    done = module.demo(tmp_path / "demo")
    said = capsys.readouterr().out
    for page in (done.inspection.report, done.evaluation.folder / "report.html"):
        assert "<html" in page.read_text(encoding="utf-8")
        assert str(page) in said
    assert done.inspection.photos == len(list(PHOTOS.glob("*.jpg"))) == 6
    assert done.inspection.cracks >= 6
    assert "From epoch 1 to epoch 2 the loss went from" in said
    assert "crackseg-small (for non-commercial" in said
    with pytest.raises(InputError, match="exists already"):
        module.demo(tmp_path / "demo")


@pytest.mark.usefixtures("_small")
def test_ctrl_c_ends_the_demo(tmp_path, capsys, monkeypatch):
    real = module.train

    def stopped(*arguments, **options):
        stop = lambda session, epochs: signal.raise_signal(signal.SIGINT)  # noqa: E731
        return real(*arguments, on_epoch=stop, **options)

    monkeypatch.setattr(module, "train", stopped)
    done = module.demo(tmp_path / "demo")
    assert (done.stopped_by, done.evaluation) == (signal.SIGINT, None)
    assert "Done" not in capsys.readouterr().out
    assert not (tmp_path / "demo" / "evaluation").exists()


def test_the_photos_are_small_and_their_terms_beside_them():
    assert sum(file.stat().st_size for file in PHOTOS.iterdir()) < 1e6
    assert "CC0" in (PHOTOS / "NOTICE.md").read_text(encoding="utf-8")
