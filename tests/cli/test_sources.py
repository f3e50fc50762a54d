"""Standard input, videos and addresses on the command line, as users meet them."""

import io
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fissura.cli import run
from fissura.inference.predictor import Predictor
from fissura.shipped import DEFAULT, PHOTOS

PHOTO = PHOTOS / "concrete_1.jpg"


def stream(data=b"", *, terminal=False):
    """What sys.stdin or sys.stdout is where a program is at the other end."""
    buffer = io.BytesIO(data)
    return SimpleNamespace(buffer=buffer, isatty=lambda: terminal, write=buffer.write)


@pytest.fixture
def streams(monkeypatch):
    def given(data, **terminals):
        ends = (
            stream(data, terminal=terminals.get("typed", False)),
            stream(terminal=terminals.get("shown", False)),
        )
        monkeypatch.setattr(sys, "stdin", ends[0])
        monkeypatch.setattr(sys, "stdout", ends[1])
        return ends[1].buffer

    return given


def test_a_photo_comes_in_and_its_mask_goes_out(tmp_path):
    """In a shell, with real pipes."""
    with PHOTO.open("rb") as photo:
        done = subprocess.run(
            [sys.executable, "-m", "fissura.cli", "predict", "-", "--device", "cpu"],
            stdin=photo,
            capture_output=True,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    mask = np.asarray(Image.open(io.BytesIO(done.stdout)))
    expected = Predictor.load(DEFAULT, device="cpu")(PHOTO).mask
    assert np.array_equal(mask, np.where(expected, 255, 0))
    assert f"{expected.mean():.2%} of the photo is crack".encode() in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_mask_goes_to_a_file_and_replaces_none(streams, tmp_path, capsys):
    out = tmp_path / "mask.png"
    arguments = ["predict", "-", "--out", str(out), "--probabilities"]
    shown = streams(PHOTO.read_bytes())
    assert run(arguments) == 0
    assert shown.getvalue() == b""
    assert np.asarray(Image.open(out)).dtype == np.uint16
    written = out.read_bytes()
    streams(PHOTO.read_bytes())
    assert run(arguments) == 2
    assert "exists. Give another name, or add --overwrite" in capsys.readouterr().err
    assert out.read_bytes() == written


@pytest.mark.parametrize(
    ("data", "arguments", "terminals", "sentence"),
    [
        (b"", [], {}, "Standard input is empty"),
        (b"no photo", [], {}, "Standard input: cannot be read, the file is damaged or of a form"),
        (b"x", [], {"typed": True}, "but that is a terminal: `fissura predict - < photo.jpg"),
        (b"x", [], {"shown": True}, "which a terminal cannot show: add `> mask.png`"),
        (b"x", ["--out", "folder"], {}, "give the file of its mask, ending in .png"),
        (b"x", ["other.jpg"], {}, "is for one photo alone"),
    ],
)
def test_what_cannot_be_is_told(streams, capsys, data, arguments, terminals, sentence):
    shown = streams(data, **terminals)
    assert run(["predict", "-", *arguments]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert shown.getvalue() == b""


def test_a_photo_that_comes_in_is_inspected_and_kept(tmp_path, capsys, monkeypatch):
    def comes_in(data):
        monkeypatch.setattr(sys, "stdin", stream(data))

    arguments = ["inspect", "-", "--out", str(tmp_path / "out")]
    comes_in(PHOTO.read_bytes())
    assert run(arguments) == 0
    assert (tmp_path / "out-input" / "photo.jpg").read_bytes() == PHOTO.read_bytes()
    rows = (tmp_path / "out" / "photos.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 1
    comes_in((PHOTOS / "concrete_2.jpg").read_bytes())
    assert run(arguments) == 2
    assert "is another photo, of an earlier call" in " ".join(capsys.readouterr().err.split())
    comes_in(b"no photo")
    assert run(["inspect", "-", "--out", str(tmp_path / "other")]) == 2
    assert not list(tmp_path.glob("other*"))


@pytest.mark.parametrize("arguments", [["measure", "-"], ["inspect", "-", "other.jpg"]])
def test_nothing_else_takes_standard_input(arguments, capsys):
    assert run(arguments) == 2
    assert "is for one photo alone, and for `fissura predict -`" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "inspect", "measure", "frames"])
@pytest.mark.parametrize("address", ["https://example.org/a.jpg", "s3://bucket/deck.mp4"])
def test_addresses_are_not_fetched(command, address, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run([command, address]) == 2
    told = capsys.readouterr().err
    assert f"{address} is an address, and Fissura fetches nothing from the network" in told
    assert not list(tmp_path.iterdir())


@pytest.fixture
def video(tmp_path):
    av = pytest.importorskip("av", reason="the extra fissura[video] is not installed")
    with Image.open(PHOTO) as opened:
        picture = np.asarray(opened.convert("RGB"))[:240, :320]
    file = tmp_path / "deck.mp4"
    with av.open(file, "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.bit_rate = 320, 240, 10_000_000
        for _ in range(9):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def test_a_video_is_predicted_by_its_frames(video, tmp_path, capsys):
    arguments = ["predict", str(video), "--out", str(tmp_path / "out"), "--every", "1"]
    assert run(arguments) == 0
    captured = capsys.readouterr()
    assert "deck.mp4: 3 frames of 9 taken, in " in captured.err
    assert "3 photos predicted" in captured.out
    table = (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + 3
    frames = tmp_path / "out-frames" / "deck"
    assert len(list(frames.glob("*.jpg"))) == 3
    assert run([*arguments, "--resume"]) == 0
    assert "0 photos predicted" in capsys.readouterr().out


def test_a_video_is_inspected_by_its_frames(video, tmp_path):
    assert run(["inspect", str(video), "--out", str(tmp_path / "out")]) == 0
    rows = (tmp_path / "out" / "photos.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 3
