"""Do shards and a Ray cluster give the bytes of one run, and what do two workers gain?

    python benchmarks/machines.py [--photos 200] [--only bytes|speed] [--no-record]

Photos of 700×1000 pixels (seeded panels, one file that is no picture) are inspected by one process;
in four shards, which are merged; and by Ray with two workers, one of which is killed twice with
SIGKILL. All three must leave the same bytes in every file; `SOURCE_DATE_EPOCH` fixes the moment
that they tell. Then Ray inspects them with one worker and with two, of one processor each. The
speed is that of inspecting: photos between the first record and the last one by the seconds between
them, without the start of Ray and the writing of tables and report, which are told beside it.
It is for a machine without other work.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
from side_by_side import RESULTS, versions

from fissura.data.images import read_image
from fissura.data.synthetic import draw_panel
from fissura.device import choose_device, describe_machine
from fissura.files import replacing
from fissura.inference.predictor import Predictor

QUESTION = "Do shards and a Ray cluster give the bytes of one run, and what do two workers gain?"
ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "runs" / "machines"  # git ignores it
SEED, SIZE_HW, SHARDS, KILLS, MOMENT = 23, (700, 1000), 4, 2, "1795600000"
PACKAGES = ("fissura", "torch", "numpy", "ray", "opencv-python-headless")
OPTIONS = ["--mm-per-pixel", "0.2", "--device", "cpu", "--precision", "float32"]
ENVIRONMENT = os.environ | {"SOURCE_DATE_EPOCH": MOMENT, "OMP_NUM_THREADS": "1"}


def draw_photos(count: int) -> None:
    """Draw the photos that are not there yet, and one that cannot be read."""
    folder = FOLDER / f"photos-{count}"
    for number in range(count - 1):
        file = folder / f"deck-{number % 7}" / f"{number:04}.jpg"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            image = draw_panel(SEED, number, size_hw=SIZE_HW).image[..., ::-1]
            cv2.imwrite(str(file), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    (folder / "bad.jpg").write_bytes(b"this is no picture")


def start(*words: str) -> subprocess.Popen[bytes]:
    """Start a command in the folder of the benchmark."""
    command = [sys.executable, "-m", "fissura.cli", *words]
    with (FOLDER / "log.txt").open("ab") as log:
        return subprocess.Popen(command, cwd=FOLDER, env=ENVIRONMENT, stdout=log, stderr=log)


def run(out: str, *words: str, command: str = "inspect", statuses: tuple[int, ...] = (1,)) -> float:
    """Run a command on the photos; return its seconds."""
    shutil.rmtree(FOLDER / out, ignore_errors=True)
    began = time.perf_counter()
    status = start(command, *words).wait()
    assert status in statuses, f"{command} {' '.join(words)}: exit status {status}"
    return round(time.perf_counter() - began, 1)


def workers_below(parent: int) -> list[int]:
    """Return the process ids of Ray's workers below a process."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
                names[int(folder.name)] = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = []
    for pid, name in names.items():
        above = pid
        while above in parents and above != parent:
            above = parents[above]
        if above == parent and name.startswith(b"ray::") and b"Attempts" in name:
            found.append(pid)
    return found


def run_and_kill(out: str, *words: str) -> tuple[float, list[float]]:
    """Run a command on two workers, killing one at times; its seconds, and those of kills."""
    shutil.rmtree(FOLDER / out, ignore_errors=True)
    chance, kills, began = random.Random(SEED), [], time.perf_counter()
    process = start("inspect", *words)
    records = FOLDER / out / "measured"
    while process.poll() is None:
        time.sleep(0.2)
        done = len(list(records.rglob("*.npz"))) if records.is_dir() else 0
        found = workers_below(process.pid)
        if len(kills) < KILLS and found and done >= 30 * (1 + 2 * len(kills)):
            os.kill(chance.choice(found), signal.SIGKILL)
            kills.append(round(time.perf_counter() - began, 1))
    assert process.returncode == 1
    assert len(kills) == KILLS
    return round(time.perf_counter() - began, 1), kills


def differing(one: str, other: str) -> list[str]:
    """Return the files that two folders have not in common, byte by byte."""
    first, second = (
        {
            path.relative_to(FOLDER / out).as_posix(): path
            for path in (FOLDER / out).rglob("*")
            if path.is_file()
        }
        for out in (one, other)
    )
    names = sorted({*first, *second})
    return [
        name
        for name in names
        if name not in first
        or name not in second
        or first[name].read_bytes() != second[name].read_bytes()
    ]


def same_bytes(photos: str) -> dict[str, Any]:
    """Inspect in three ways, and compare all files."""
    seconds: dict[str, Any] = {"serial": run("serial", photos, "--out", "serial", *OPTIONS)}
    parts = [f"part-{index}" for index in range(1, SHARDS + 1)]
    for index, part in enumerate(parts, start=1):
        words = (photos, "--out", part, "--shard", f"{index}/{SHARDS}", *OPTIONS)
        seconds[part] = run(part, *words, statuses=(0, 1))
    seconds["merge"] = run("merged", "merged", *parts, command="merge")
    words = (photos, "--out", "killed", "--ray", "local", "--workers", "2", *OPTIONS)
    seconds["Ray, two workers, one killed twice"], kills = run_and_kill("killed", *words)
    files = sum(path.is_file() for path in (FOLDER / "serial").rglob("*"))
    megabytes = {
        folder: round(
            sum(one.stat().st_size for one in (FOLDER / "serial" / folder).rglob("*.*")) / 1e6, 2
        )
        for folder in ("measured", "masks", "overlays")
    }
    found = {
        "files": files,
        "megabytes": megabytes,
        "differing": {
            "4 shards, merged": differing("serial", "merged"),
            "Ray, two workers, one killed twice": differing("serial", "killed"),
        },
        "killed_after_seconds": kills,
        "seconds": seconds,
    }
    assert not any(found["differing"].values()), found
    return found


def inspecting(out: str, workers: int, photos: str) -> dict[str, float]:
    """Inspect on Ray; the seconds of all and the speed of inspecting."""
    words = (photos, "--out", out, "--ray", "local", "--workers", str(workers), *OPTIONS)
    began = time.time()
    whole = run(out, *words)
    moments = sorted(one.stat().st_mtime for one in (FOLDER / out / "measured").rglob("*.npz"))
    return {
        "workers": workers,
        "seconds": whole,
        "until_first_record": round(moments[0] - began, 1),
        "photos_per_second": round((len(moments) - 1) / (moments[-1] - moments[0]), 4),
    }


def speed(photos: str) -> dict[str, Any]:
    """One worker against two; and what the network takes of a photo's time."""
    one, two = (inspecting(f"speed-{workers}", workers, photos) for workers in (1, 2))
    import torch

    torch.set_num_threads(1)
    predictor = Predictor.load("crackseg-small", device="cpu", precision="float32")
    files = sorted((FOLDER / photos).rglob("0*.jpg"))[:20]
    images = [read_image(file) for file in files]
    predictor(images[0])
    began = time.perf_counter()
    for image in images:
        predictor(image)
    network = (time.perf_counter() - began) / len(images)
    return {
        "one": one,
        "two": two,
        "gain": round(two["photos_per_second"] / one["photos_per_second"], 3),
        "megapixels_of_a_photo": SIZE_HW[0] * SIZE_HW[1] / 1e6,
        "network_seconds_of_a_photo": round(network, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--only", choices=["bytes", "speed"])
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw_photos(options.photos)
    path, photos = RESULTS / "machines.json", f"photos-{options.photos}"
    result: dict[str, Any] = {"question": QUESTION}
    if path.is_file():
        result = json.loads(path.read_text(encoding="utf-8"))
    result |= {"command": "python benchmarks/machines.py", "seed": SEED}
    for name, measure in (("bytes", same_bytes), ("speed", speed)):
        if options.only in (None, name):
            result[name] = measure(photos) | {
                "photos": options.photos,
                "date": f"{datetime.now(UTC):%Y-%m-%d}",
                "machine": describe_machine(choose_device("cpu")),
                "versions": versions(PACKAGES),
            }
            print(json.dumps({name: result[name]}, indent=2), flush=True)
    if not options.no_record:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
