"""What is disturbed: commands on small inputs, how each goes on, and what must be the same then."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .launch import Forked, run_command
from .targets.models import write_model
from .targets.photos import drawn

ROOT = Path(__file__).parents[2]
CPU = ("--device", "cpu", "--precision", "float32")
MOMENT = "1795600000"
OUT = "out"
# Told of times and machines; the rest must be the same.
TIMES = re.compile(r'"?(seconds|date|machine|images_per_second|time|finished)"?: .*')


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A command to disturb.

    Attributes:
        name: Of the row in the table.
        words: The command, whose results lie in `out`.
        resume: The command by which it goes on.
        prepare: Writes its inputs into the current folder.
        ray: Whether it needs Ray.
    """

    name: str
    words: tuple[str, ...]
    resume: tuple[str, ...]
    prepare: Callable[[], Any]
    ray: bool = False


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit status, what it printed, and the changes that it made."""

    status: int
    printed: str
    changes: int = 0
    seconds: float = 0.0


def start(folder: Path, scenario: Scenario, words: tuple[str, ...], fault: str = "none",
          number: int = 0) -> Forked:  # fmt: skip
    """Start a command of a scenario with a fault, in a session of its own."""
    environment = {
        "OMP_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": MOMENT, "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "FISSURA_CACHE": str(folder / "cache"),
    }  # fmt: skip

    def call() -> int:
        if scenario.ray:
            given = [fault, str(number), str(folder / OUT), *words]
            module = [sys.executable, "-m", "tests.campaign.launch", *given]
            os.execv(sys.executable, module)
        return run_command(fault, number, folder / OUT, words)

    for name in ("printed.txt", "changes.txt"):
        (folder / name).unlink(missing_ok=True)
    return Forked(folder, call, environment)


def end(process: Forked, folder: Path, seconds: float = 300) -> Ended:
    """Wait for the end of a command; one that takes too long is killed, with status -9."""
    began = time.monotonic()
    status = process.wait(seconds)
    texts = [
        path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        for path in (folder / "printed.txt", folder / "changes.txt")
    ]
    return Ended(status, texts[0], int(texts[1] or 0), time.monotonic() - began)


def run(folder: Path, scenario: Scenario, words: tuple[str, ...], fault: str = "none",
        number: int = 0) -> Ended:  # fmt: skip
    """Run a command of a scenario with a fault to its end."""
    return end(start(folder, scenario, words, fault, number), folder)


def go_on(scenario: Scenario, folder: Path) -> Ended:
    """Go on after a disturbance, as its user would: resume, or start again where nothing began."""
    ended = run(folder, scenario, scenario.resume)
    if ended.status == 2 and scenario.resume != scenario.words and "no run folder" in ended.printed:
        return run(folder, scenario, scenario.words)
    return ended


def contents(folder: Path) -> dict[str, str]:
    """Return a digest of each file of results, without times and the place of the folder."""
    found = {}
    for path in sorted((folder / OUT).rglob("*")):
        if path.is_file() and not path.name.startswith("events") and path.suffix != ".log":
            content = _lasting(path).replace(str(folder).encode(), b".")
            name = path.relative_to(folder / OUT).as_posix()
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def _lasting(path: Path) -> bytes:
    """Return what a file holds beside times."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return b"".join(name.encode() + arrays[name].tobytes() for name in arrays)
    if path.suffix in (".png", ".jpg") and "curves" in path.name:
        return b""  # drawn with times
    if path.suffix == ".pt":
        return b""  # the position and weights of a state, which the model has, too
    content = path.read_bytes()
    if path.suffix == ".jsonl":
        kept = [json.loads(line) for line in content.splitlines()]
        if path.name == "test_curve.jsonl":  # an epoch may be noted again; the later note counts
            kept = list({line["epoch"]: line for line in kept}.values())
        words = ("epoch", "loss", "iou")
        return json.dumps([{k: line.get(k) for k in words} for line in kept]).encode()
    if path.name == "predictions.csv":
        return b"\n".join(line.rpartition(b",")[0] for line in content.splitlines())
    if path.suffix in (".json", ".md", ".csv", ".tex", ".html", ".yaml"):
        return TIMES.sub("", content.decode("utf-8", "replace")).encode()
    return content


def photos(count: int = 4, size: int = 1) -> None:
    """Write photos with cracks, and the model that comes along is to find them."""
    write_model()
    Path("photos").mkdir()
    for seed in range(count):
        image = cv2.resize(drawn(seed)[0], None, fx=size, fy=size)
        cv2.imwrite(f"photos/{seed}.png", np.roll(image, 3 * seed, 1))


def masks() -> None:
    """Write masks."""
    Path("masks").mkdir()
    for seed in range(5):
        cv2.imwrite(f"masks/{seed}.png", np.roll(drawn()[1], 2 * seed, 0))


def training_set() -> None:
    """Write eight small photos with masks."""
    for part in ("images", "masks"):
        Path("data", part).mkdir(parents=True)
    for seed in range(8):
        image, mask = drawn(seed)
        cv2.imwrite(f"data/images/{seed}.png", np.roll(image, seed, 1)[:32, :48])
        cv2.imwrite(f"data/masks/{seed}.png", np.roll(mask, seed, 1)[:32, :48])


def raster() -> None:
    """Write a georeferenced image of several chunks."""
    import rasterio
    from rasterio.transform import from_origin

    write_model()
    image = cv2.resize(drawn()[0], (128, 3000))
    profile = {"driver": "GTiff", "height": 3000, "width": 128, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32632", "transform": from_origin(690_000, 5_330_000, 0.002, 0.002)}
    with rasterio.open("tall.tif", "w", tiled=True, **profile, **place) as file:
        file.write(np.moveaxis(image, 2, 0))


def recipe() -> None:
    """Write a recipe of two losses on drawn panels."""
    Path("recipe.yaml").write_text(
        "losses: [bce-dice, focal]\ndata: {panels: {panels: 0.05, count: 12}}\nseeds: 2\n"
        "options: {epochs: 2, width: 2, batch_size: 4, protocol: native}\n",
        encoding="utf-8",
    )


TRAIN = (
    "train", "data", "--out", OUT, "--epochs", "3", "--width", "2", "--batch-size", "4",
    "--validation", "0.25", "--accelerator", "cpu",
)  # fmt: skip
PREDICT = ("predict", "photos", "--model", "model", "--out", OUT, *CPU)
MEASURE = ("measure", "masks", "--out", OUT)
INSPECT = ("inspect", "photos", "--out", OUT, *CPU)
RASTER = ("predict", "tall.tif", "--model", "model", "--out", OUT, *CPU)
STUDY = ("study", "recipe.yaml", "--out", OUT, "--workers", "1")
RAY = (*INSPECT, "--ray", "local", "--workers", "2")

SCENARIOS = (
    Scenario(
        name="train", words=TRAIN, resume=("train", "--resume", OUT), prepare=training_set
    ),
    Scenario(name="predict", words=PREDICT, resume=(*PREDICT, "--resume"), prepare=photos),
    Scenario(name="measure", words=MEASURE, resume=(*MEASURE, "--resume"), prepare=masks),
    Scenario(name="inspect", words=INSPECT, resume=(*INSPECT, "--resume"), prepare=photos),
    Scenario(
        name="a large raster", words=RASTER, resume=(*RASTER, "--resume"), prepare=raster
    ),
    Scenario(name="study", words=STUDY, resume=STUDY, prepare=recipe),
    Scenario(
        name="inspect on Ray", words=RAY, resume=(*RAY, "--resume"), prepare=photos, ray=True
    ),
)  # fmt: skip


class Undisturbed:
    """Results of a scenario that nothing disturbed, and copies of its inputs.

    Args:
        scenario: The scenario.
        folder: Folder for its files.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.inputs = scenario, folder / "inputs"
        self.inputs.mkdir(parents=True)

        def prepare() -> int:
            scenario.prepare()
            return 0

        assert not Forked(self.inputs, prepare, {}).wait()
        whole = folder / "whole"
        shutil.copytree(self.inputs, whole)
        self.ended = run(whole, scenario, scenario.words)
        assert self.ended.status in (0, 3), f"{scenario.name}: {self.ended.printed[-1500:]}"
        self.expected = contents(whole)
        self.bytes = sum(path.stat().st_size for path in (whole / OUT).rglob("*.*"))

    def fresh(self, folder: Path) -> Path:
        """Return a new folder with the inputs."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.inputs, folder)
        return folder

    def differing(self, folder: Path) -> list[str]:
        """Return the files of results that are not those of the undisturbed run."""
        found = contents(folder)
        names = sorted({*found, *self.expected})
        return [name for name in names if found.get(name) != self.expected.get(name)]
