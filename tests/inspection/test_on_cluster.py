"""A local Ray cluster of two workers gives the bytes of the serial run, whoever is killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from fissura.cli import with_ray_address
from fissura.data.synthetic import draw_panel

ENVIRONMENT = os.environ | {"SOURCE_DATE_EPOCH": "1795600000", "OMP_NUM_THREADS": "1"}
RAY = ["--ray", "local", "--workers", "2"]


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["inspect", "--ray"], ["inspect", "--ray=auto"]),
        (["--ray", "photos", "--out", "x"], ["--ray=auto", "photos", "--out", "x"]),
        (["--ray", "--resume"], ["--ray=auto", "--resume"]),
        (["--ray", "auto", "photos"], ["--ray=auto", "photos"]),
        (["--ray", "ray://head:10001"], ["--ray=ray://head:10001"]),
        (["--ray", "10.0.0.1:6379", "a"], ["--ray=10.0.0.1:6379", "a"]),
        (["--ray=local", "a"], ["--ray=local", "a"]),
    ],
)
def test_an_address_may_follow(words, given):
    assert with_ray_address(words) == given


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixteen photos, one that is none, and a georeferenced image of three chunks."""
    pytest.importorskip("ray")
    rasterio = pytest.importorskip("rasterio")
    root = tmp_path_factory.mktemp("photos") / "photos"
    (root / "deck").mkdir(parents=True)
    for number in range(16):
        image = draw_panel(2, number, size_hw=(400, 500)).image
        cv2.imwrite(str(root / "deck" / f"{number}.png"), image[..., ::-1])
    (root / "bad.jpg").write_bytes(b"this is no picture")
    image = np.vstack([draw_panel(3, one, size_hw=(900, 200)).image for one in range(5)])
    with rasterio.open(
        root / "road.tif", "w", driver="GTiff", height=4500, width=200, count=3, dtype="uint8",
        crs="EPSG:32633", transform=rasterio.Affine(0.01, 0, 4e5, 0, -0.01, 5e6),
        tiled=True, blockxsize=64, blockysize=64,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(image, -1, 0))
    return root


def start(root, *words):
    command = [sys.executable, "-m", "fissura.cli", *map(str, words)]
    return subprocess.Popen(
        command, cwd=root, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def run(root, *words):
    """Run a command to its end; a bad photo makes the exit status 1."""
    process = start(root, *words)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 1, said
    return said


@pytest.fixture(scope="module")
def serial(photos):
    """What one process makes of the photos, in the folder `one` beside them."""
    run(photos.parent, "inspect", "photos", "--out", "one", "--mm-per-pixel", "0.2")
    return contents(photos.parent / "one")


def contents(out, left_out=()):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in Path(out).rglob("*")
        if path.is_file() and path.name not in left_out
    }


def same(out, serial, left_out=()):
    found = contents(out, left_out)
    expected = {name: data for name, data in serial.items() if Path(name).name not in left_out}
    assert found.keys() == expected.keys()
    assert {name for name in found if found[name] != expected[name]} == set()


def workers_of(process):
    """Process ids of the workers below a process."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                after = (folder / "stat").read_text().rpartition(")")[2].split()
                names[int(folder.name)] = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            parents[int(folder.name)] = int(after[1])
    found = []
    for pid, name in names.items():
        above = pid
        while above in parents and above != process.pid:
            above = parents[above]
        if above == process.pid and name.startswith(b"ray::") and b"Attempts" in name:
            found.append(pid)
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_workers_that_die_cost_their_photo_s_time_alone(photos, serial):
    process = start(
        photos.parent, "inspect", "photos", "--out", "killed", "--mm-per-pixel", "0.2", *RAY
    )
    chance, killed, until = random.Random(1), 0, time.monotonic() + 300
    measured = photos.parent / "killed" / "measured"
    while process.poll() is None and killed < 4 and time.monotonic() < until:
        time.sleep(chance.uniform(0.5, 2))
        found = workers_of(process)
        if found and len(list(measured.rglob("*.npz"))) > 2 * killed:
            os.kill(chance.choice(found), signal.SIGKILL)
            killed += 1
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    assert killed == 4
    assert "Left out: photos/bad.jpg" in said
    same(photos.parent / "killed", serial)


@pytest.mark.slow
def test_a_driver_that_died_goes_on(photos, serial):
    out = photos.parent / "driver"
    process = start(
        photos.parent, "inspect", "photos", "--out", "driver", "--mm-per-pixel", "0.2", *RAY
    )
    while process.poll() is None and len(list((out / "measured").rglob("*.npz"))) < 5:
        time.sleep(0.1)
    assert process.poll() is None
    process.kill()
    process.communicate()
    done = {file: file.stat().st_mtime_ns for file in (out / "measured").rglob("*.npz")}
    run(
        photos.parent,
        "inspect",
        "photos",
        "--out",
        "driver",
        "--mm-per-pixel",
        "0.2",
        "--resume",
        *RAY,
    )
    again = {file for file, moment in done.items() if file.stat().st_mtime_ns != moment}
    assert len(again) <= 2  # of which the driver had not heard, or that were just being written
    same(out, serial)


@pytest.mark.slow
def test_photos_in_a_store(photos, serial):
    out = photos.parent / "store"
    address = f"file://{photos}"
    run(photos.parent, "inspect", address, "--out", "store", "--mm-per-pixel", "0.2", *RAY)
    # Its address stands in the table, in the report, and in the records.
    of_place = ("photos.csv", "inspection.json", "report.html", "settings.json")
    found = contents(out, of_place)
    expected = {name: data for name, data in serial.items() if Path(name).name not in of_place}
    assert found.keys() == expected.keys()
    vectors = [name for name in expected if name.startswith("cracks") and "json" in name]
    assert len(vectors) == 2  # of pixels, and of the georeferenced image
    for name in ("cracks.csv", "widths.csv", "coco.json", "masks/road.tif", *vectors):
        assert found[name] == expected[name]
    assert f"{address}/deck/3.png" in (out / "photos.csv").read_text(encoding="utf-8-sig")


@pytest.mark.slow
def test_predictions(photos):
    run(photos.parent, "predict", "photos", "--out", "alone", "--probabilities")
    run(photos.parent, "predict", "photos", "--out", "many", "--probabilities", *RAY)
    alone, many = (contents(photos.parent / name) for name in ("alone", "many"))
    tables = [
        [line.rpartition(",")[0] for line in found.pop("predictions.csv").decode().splitlines()]
        for found in (alone, many)
    ]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 18
    assert alone == many
