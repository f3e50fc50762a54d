"""Does `fissura inspect` take 30,000×30,000 pixels in 2 GiB of memory, and survive being killed?

    python benchmarks/large.py [--size 30000] [--model RUN] [--no-record] [-- options of inspect]

A synthetic orthophoto (seeded, kept in runs/large/): panels of `fissura.data.synthetic`, flipped
and turned, long cracks across all of them, two empty corners; a tiled GeoTIFF of 1 mm pixels,
compressed with JPEG as orthophotos are. It is inspected without a break first. Then again, killed
in the middle of prediction and in the middle of measuring, and resumed. Both must give the same
masks and the same cracks.csv. Memory is that of the process and its children together, sampled.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from side_by_side import RESULTS, versions

from fissura.data.synthetic import draw_panel
from fissura.device import choose_device, describe_machine
from fissura.files import replacing

QUESTION = "Does fissura inspect take a huge orthophoto in 2 GiB of memory, and survive kills?"
ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "runs" / "large"  # git ignores it
SEED, PANEL, PANELS, LONG_CRACKS = 7, 1500, 10, 8
LIMIT_GIB = 2
CHUNK_ROWS = 2048  # of fissura.inference.rasters.raster, by default
PACKAGES = ("fissura", "torch", "numpy", "rasterio", "pyogrio", "shapely")


@dataclass
class Run:
    """What was seen of one process, or of several that went on with each other.

    seconds:   predicting (until both GeoTIFFs are there), the rest (measuring, report), and whole.
    peak_gib:  of the resident memory of process and children.
    killed:    in which phase and after how many seconds, for each kill.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    peak_gib: float = 0.0
    killed: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--size", type=int, default=30_000, help="height and width in pixels")
    parser.add_argument("--model", help="a run or model folder; inspect's own by default")
    parser.add_argument("--program", default=f"{Path(sys.executable).with_name('fissura')} inspect")
    parser.add_argument("--killed-only", action="store_true", help="no run without a break")
    parser.add_argument("--no-record", action="store_true", help="print only")
    parser.add_argument("options", nargs="*", help="further options of inspect, after --")
    asked = parser.parse_args()
    image = orthophoto(asked.size)
    command = [*shlex.split(asked.program), str(image), *asked.options]
    command += ["--model", asked.model] if asked.model else []
    outs = FOLDER / f"whole-{asked.size}", FOLDER / f"killed-{asked.size}"
    for out in outs:
        shutil.rmtree(out, ignore_errors=True)

    whole = None if asked.killed_only else watched([*command, "--out", str(outs[0])], outs[0])
    measuring = whole.seconds["measuring"] / 2 if whole else 30.0
    killed = killed_and_resumed(command, outs[1], asked.size, measuring)
    same = compare(*outs) if whole else {}
    entry = {
        "question": QUESTION,
        "size": asked.size,
        "bytes": image.stat().st_size,
        "command": [Path(part).name if ROOT in Path(part).parents else part for part in command],
        "without a break": asdict(whole) if whole else "not run: --killed-only",
        "killed and resumed": asdict(killed),
        "same": same,
        "peak_of_one_process_gib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20,
        "limit_gib": LIMIT_GIB,
        "load_after": round(os.getloadavg()[0], 2),
        "machine": describe_machine(choose_device()),
        "versions": versions(PACKAGES),
        "date": datetime.now(UTC).date().isoformat(),
    }
    print(json.dumps(entry, indent=1))
    if not asked.no_record:
        path = RESULTS / "large.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        with replacing(path) as temporary:
            temporary.write_text(
                json.dumps(known | {str(asked.size): entry}, indent=1) + "\n", encoding="utf-8"
            )
    assert all(same.values()), f"killed and resumed, other results: {same}"
    # Samples may miss what the system has seen.
    peak = max(entry["peak_of_one_process_gib"], *(run.peak_gib for run in (whole, killed) if run))
    assert peak < LIMIT_GIB, f"too much memory: {peak:.2f} GiB"


def orthophoto(size: int) -> Path:
    """Draw the image, or find it drawn."""
    path = FOLDER / f"orthophoto-{size}-{SEED}.tif"
    if path.exists():
        return path
    import rasterio
    from affine import Affine

    rng = np.random.default_rng(SEED)
    side = min(PANEL, size)
    panels = [draw_panel(SEED, index, size_hw=(side, side)).image for index in range(PANELS)]
    cracks = [long_crack(rng, size) for _ in range(LONG_CRACKS)]
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 3, "height": size, "width": size,
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "jpeg",
        "jpeg_quality": 95, "photometric": "YCBCR", "BIGTIFF": "IF_SAFER",
        "crs": "EPSG:32633", "transform": Affine(0.001, 0, 500_000, 0, -0.001, 5_500_000),
    }  # fmt: skip
    columns = np.arange(size)
    with (
        replacing(path) as temporary,
        rasterio.Env(GDAL_CACHEMAX=512, GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(temporary, "w", **profile) as dataset,
    ):
        for top in range(0, size, side):
            band = np.concatenate(
                [turned(rng, panels) for _ in range(0, size, side)], axis=1
            )[: size - top, :size].copy()  # fmt: skip
            for line, width in cracks:
                draw_crack(band, line - [0, top], width)
            away = np.arange(top, top + len(band))[:, None] + columns
            shown = (away > size // 6) & (away < 2 * size - size // 6)
            band[~shown] = 0
            window = ((top, top + len(band)), (0, size))
            dataset.write(np.moveaxis(band, -1, 0), window=window)
            dataset.write_mask(shown.astype(np.uint8) * np.uint8(255), window=window)
            print(f"drawn: {top + len(band)} of {size} rows", file=sys.stderr)
    return path


def turned(rng: np.random.Generator, panels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One of the panels, flipped and turned."""
    panel = np.rot90(panels[rng.integers(len(panels))], rng.integers(4))
    return panel[:, ::-1] if rng.random() < 0.5 else panel


def long_crack(rng: np.random.Generator, size: int) -> tuple[NDArray[np.float64], int]:
    """A walk across the whole image, (n, 2) x and y, and its width in pixels."""
    step = 20
    count = int(1.3 * size / step)
    heading = rng.uniform(-0.5, 0.5) + 0.15 * np.cumsum(rng.normal(size=count)) / 4
    heading = 1.2 * np.tanh(heading) + rng.normal(0, 0.25, count)
    along = np.cumsum(step * np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    along += [0, rng.uniform(0.2, 0.8) * size]
    line = along if rng.random() < 0.5 else along[:, ::-1]
    return line, int(rng.integers(3, 10))


def draw_crack(band: NDArray[np.uint8], line: NDArray[np.float64], width: int) -> None:
    """Darken the band where the line goes through it."""
    near = (line[:, 1] > -500) & (line[:, 1] < len(band) + 500)
    if not near.any():
        return
    covered = np.zeros(band.shape[:2], np.uint8)
    for part in np.split(line, np.flatnonzero(np.diff(near.astype(int))) + 1):
        points = np.rint(part * 16).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(covered, [points], False, 255, width, cv2.LINE_AA, shift=4)
    rows, columns = np.nonzero(covered)
    dark = 1 - 0.65 * covered[rows, columns, None] / 255
    band[rows, columns] = (band[rows, columns] * dark).astype(np.uint8)


def killed_and_resumed(command: list[str], out: Path, size: int, measuring: float) -> Run:
    """Kill once in each phase, and go on to the end.

    measuring:  seconds into the second phase after which it is killed.
    """
    half = max(size // CHUNK_ROWS // 2, 1)
    done = Run(seconds={"predicting": 0.0, "measuring": 0.0, "whole": 0.0})
    command = [*command, "--out", str(out)]
    kills: list[Callable[[float | None], str | None]] = [
        lambda since: "predicting" if since is None and parts(out) >= half else None,
        lambda since: "measuring" if since is not None and since > measuring else None,
        lambda since: None,
    ]
    for index, kill in enumerate(kills):
        run = watched(command if index == 0 else [*command, "--resume"], out, kill)
        done.seconds = {name: done.seconds[name] + run.seconds[name] for name in done.seconds}
        done.peak_gib = max(done.peak_gib, run.peak_gib)
        done.killed += run.killed
        if not run.killed:
            break
    return done


def watched(
    command: list[str], out: Path, kill: Callable[[float | None], str | None] = lambda since: None
) -> Run:
    """Run a command, sample its memory, and kill it (SIGKILL) in the phase that `kill` names.

    `kill` is given the seconds since prediction ended, None before.
    """
    run, began, predicted = Run(), time.monotonic(), None
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            run.peak_gib = max(run.peak_gib, memory(process.pid) / 2**30)
            now = time.monotonic()
            if predicted is None and len(rasters(out)) >= 2 and not parts(out):
                predicted = now
            if phase := kill(None if predicted is None else now - predicted):
                process.kill()
                run.killed.append(f"{phase}, after {now - began:.0f} s")
                break
            time.sleep(0.1)
    ended = time.monotonic()
    assert run.killed or process.returncode == 0, f"{command} failed"
    predicted = predicted or ended
    run.seconds = {
        "predicting": predicted - began, "measuring": ended - predicted, "whole": ended - began
    }  # fmt: skip
    return run


def memory(pid: int) -> int:
    """Resident bytes of a process and all below it; 0 when it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        children = [
            int(child) for task in tasks for child in task.read_text(encoding="utf-8").split()
        ]
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(memory(child) for child in children)


def parts(out: Path) -> int:
    """How many chunks wait to be put together."""
    return len(list(out.rglob("part-*.npz")))


def rasters(out: Path) -> list[Path]:
    return sorted(path for path in out.rglob("*.tif") if not path.name.startswith("."))


def compare(whole: Path, killed: Path) -> dict[str, bool]:
    """Whether each raster and table of the two runs is the same, byte for byte."""
    files = [*rasters(whole), *sorted(whole.rglob("*.csv"))]
    names = [file.relative_to(whole) for file in files]
    return {str(name): digest(whole / name) == digest(killed / name) for name in names}


def digest(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
