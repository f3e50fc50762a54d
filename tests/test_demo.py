import contextlib
import io
import signal
from dataclasses import replace

import pytest

from fissura import demo as module
from fissura.errors import InputError
from fissura.shipped import DEFAULT, PHOTOS


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "IMAGES", 12)
        patch.setattr(module, "SIZE_HW", (48, 48))
        patch.setattr(module, "OPTIONS", replace(module.OPTIONS, width=2, epochs=2))
        yield


@pytest.fixture(scope="module")
def whole(_small, tmp_path_factory):
    """A demo that went the whole way, its folder, and what it said."""
    folder = tmp_path_factory.mktemp("whole") / "demo"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        done = module.demo(folder)
    return done, folder, said.getvalue()


def test_the_demo_goes_the_whole_way(whole):
    done, folder, said = whole
    for page in (done.inspection.report, done.evaluation.folder / "report.html"):
        assert "<html" in page.read_text(encoding="utf-8")
        assert str(page) in said
    assert done.inspection.photos == len(list(PHOTOS.glob("*.jpg"))) == 6
    assert done.inspection.cracks >= 6
    assert "From epoch 1 to epoch 2 the loss went from" in said
    assert f"6 photos of concrete, found with {DEFAULT}\n" in said
    assert "Done" in said
    with pytest.raises(InputError, match="exists already"):
        module.demo(folder)


def test_ctrl_c_ends_the_demo(whole, tmp_path, capsys, monkeypatch):
    train, inspection = module.train, whole[0].inspection

    def stopped(*arguments, **options):
        stop = lambda session, epochs: signal.raise_signal(signal.SIGINT)  # noqa: E731
        return train(*arguments, on_epoch=stop, **options)

    # The photos of the whole demo are not inspected again.
    monkeypatch.setattr(module, "inspect", lambda *arguments, **options: inspection)
    monkeypatch.setattr(module, "train", stopped)
    done = module.demo(tmp_path / "demo")
    assert (done.stopped_by, done.evaluation) == (signal.SIGINT, None)
    assert done.inspection is inspection
    assert "Done" not in capsys.readouterr().out
    assert not (tmp_path / "demo" / "evaluation").exists()


def test_the_photos_are_small_and_their_terms_beside_them():
    assert sum(file.stat().st_size for file in PHOTOS.iterdir()) < 1e6
    assert "CC0" in (PHOTOS / "NOTICE.md").read_text(encoding="utf-8")
