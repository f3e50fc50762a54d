"""Drawn videos whose motion, blur and places are known."""

import csv
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from fissura.cli import run
from fissura.data.frames.choose import choose_frames, sharpness
from fissura.data.frames.extract import extract_frames
from fissura.data.frames.options import FrameOptions
from fissura.data.frames.read import is_video, read_frames
from fissura.errors import InputError

av = pytest.importorskip("av", reason="the extra fissura[video] is not installed")

RATE, SIZE = 10, (96, 160)
SHARP = (3, 14, 21, 38)  # of the frames of a pan, those that are not blurred


def wall(seed=0):
    """A wall of 400×900 pixels with structure of all sizes."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(400 // k, 900 // k)), (900, 400), interpolation=cv2.INTER_CUBIC)
        for k in (2, 5, 12, 40)
    ]
    values = 128 + 22 * sum(layers)
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def pan(count=40, step=8):
    """A camera that moves over a wall by `step` pixels a frame, and mostly blurs."""
    picture = wall()
    for index in range(count):
        left = 20 + step * index
        frame = picture[50 : 50 + SIZE[0], left : left + SIZE[1]]
        yield frame if index in SHARP else cv2.GaussianBlur(frame, (0, 0), 1.5)


def write_video(path, frames, *, turned=None):
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.height, stream.width = SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 20_000_000
        if turned is not None:
            stream.set_display_rotation(turned)
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "deck.mp4", pan())


def rows(folder):
    with (folder / "frames.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_by_time_the_sharpest_of_each_second_is_taken(video, tmp_path):
    made = extract_frames(video, tmp_path / "frames")
    assert (made.frames, made.seen, made.problem) == (4, 40, None)
    table = rows(made.folder)
    assert [int(row["number"]) for row in table] == list(SHARP)
    assert [row["seconds"] for row in table] == ["0.300", "1.400", "2.100", "3.800"]
    assert [row["place"] for row in table] == ["1", "2", "3", "4"]
    assert {row["frames_in_place"] for row in table} == {"10"}
    assert [row["frame"] for row in table] == [f"deck_{number:06}.jpg" for number in SHARP]
    for row, expected in zip(table, (f for i, f in enumerate(pan()) if i in SHARP), strict=True):
        with Image.open(made.folder / row["frame"]) as image:
            assert np.abs(np.asarray(image).astype(int) - expected).mean() < 4


@pytest.mark.parametrize(("motion", "length"), [(0.5, 10), (0.25, 5), (1.0, 20)])
def test_by_motion_a_place_is_as_long_as_the_picture_moves(video, motion, length):
    # 8 of 160 pixels a frame: half the width in 10 frames.
    chosen = list(choose_frames(read_frames(video), FrameOptions(motion=motion)))
    assert sum(each.frames for each in chosen) == 40
    assert all(abs(each.frames - length) <= 1 for each in chosen[:-1])


def test_a_still_camera_has_one_place_and_another_scene_a_second(tmp_path):
    scenes = [wall(seed)[:96, :160] for seed in (1,) * 12 + (2,) * 12]
    video = write_video(tmp_path / "still.mkv", scenes)
    chosen = list(choose_frames(read_frames(video), FrameOptions(motion=0.3)))
    assert [each.frames for each in chosen] == [12, 12]
    both = list(choose_frames(read_frames(video), FrameOptions(motion=0.3, every=1)))
    assert [each.frames for each in both] == [10, 2, 10, 2]


def test_frames_of_phones_are_upright(tmp_path):
    picture = np.full((*SIZE, 3), 90, np.uint8)
    picture[:48, :80] = 230
    video = write_video(tmp_path / "turned.mp4", [picture] * 3, turned=90)
    frame = next(read_frames(video))
    assert frame.image().shape == (160, 96, 3)
    assert frame.gray(80).shape == (80, 48)
    expected = np.rot90(picture)
    assert np.abs(frame.image().astype(int) - expected).mean() < 5


def test_images_of_a_folder_are_frames(tmp_path):
    folder = tmp_path / "sequence"
    folder.mkdir()
    for index, pixels in enumerate(pan(30)):
        Image.fromarray(pixels).save(folder / f"img{index}.png")
    made = extract_frames(folder, tmp_path / "frames", FrameOptions(every=1, rate=10))
    assert [row["frame"] for row in rows(made.folder)] == ["img3.png", "img14.png", "img21.png"]
    assert (made.folder / "img3.png").read_bytes() == (folder / "img3.png").read_bytes()


def test_sharpness_falls_with_blur():
    gray = wall()[:, :, 0]
    blurred = [cv2.GaussianBlur(gray, (0, 0), sigma) for sigma in (0.7, 1.5, 3)]
    values = [sharpness(picture) for picture in (gray, *blurred)]
    assert values == sorted(values, reverse=True)
    assert sharpness(np.full((9, 9), 7, np.uint8)) == 0


def test_the_same_frames_are_not_taken_twice(video, tmp_path):
    first = extract_frames(video, tmp_path / "frames")
    times = {file: file.stat().st_mtime_ns for file in first.folder.iterdir()}
    assert extract_frames(video, tmp_path / "frames") == first
    assert times == {file: file.stat().st_mtime_ns for file in first.folder.iterdir()}
    with pytest.raises(InputError, match="is not empty"):
        extract_frames(video, tmp_path / "frames", FrameOptions(every=2))


def test_a_damaged_video_gives_what_it_has(tmp_path, capsys):
    whole = write_video(tmp_path / "whole.mkv", pan())
    cut = tmp_path / "cut.mkv"
    data = bytearray(whole.read_bytes())
    cut.write_bytes(data[: len(data) // 2])
    made = extract_frames(cut, tmp_path / "frames")
    assert 0 < made.frames < 4
    assert made.seen < 40
    assert "cut.mkv: ends after" in made.problem
    assert run(["frames", str(cut), "--out", str(tmp_path / "again")]) == 1
    assert "the rest is missing" in capsys.readouterr().err


def test_what_is_no_video_is_told_and_writes_nothing(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video", encoding="utf-8")
    (tmp_path / "photo.jpg").touch()
    for name, sentence in {
        "empty.mp4": "cannot be read as a video",
        "text.mp4": "cannot be read as a video",
        "photo.jpg": "is no video",
        "missing.mp4": "does not exist",
    }.items():
        with pytest.raises(InputError, match=sentence):
            extract_frames(tmp_path / name, tmp_path / "frames")
    assert not (tmp_path / "frames").exists()
    with pytest.raises(InputError, match="--every is 0, but must be above 0"):
        FrameOptions(every=0)


def test_the_package_that_is_missing_is_named(video, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"Reading a video needs .*'fissura\[video\]'"):
        next(read_frames(video))


def test_the_command_says_how_to_go_on(video, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["frames", str(video), "--every", "2"]) == 0
    assert "2 frames of 40 taken; `fissura predict deck-frames`" in capsys.readouterr().out
    assert len(list((tmp_path / "deck-frames").glob("*.jpg"))) == 2
    assert len(rows(tmp_path / "deck-frames")) == 2
    assert is_video(video)
