"""How quickly the desk measures again after an edit, and gives tiles of huge photos.

    python benchmarks/desk.py [--out benchmarks/results/desk.json]

Times are those of the processor: what an idle core takes, also where other programs run beside.
A wall of 24 megapixels and one of 100 with drawn cracks, made from a seed; nothing is predicted.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch

from fissura.data.formats.shapes.runs import crack_runs
from fissura.device import describe_machine
from fissura.measurement import crack_labels, measure
from fissura.measurement.options import MeasureOptions
from fissura.serve.desk.edits.remeasure import first_entries, remeasure
from fissura.serve.desk.photos.found import ModelFound
from fissura.serve.desk.photos.pixels import stroke, trimmed
from fissura.serve.desk.photos.tiles import TILE, MaskLevels, Tiles, write_tiles

HERE = Path(__file__).parent
SMALL, LARGE = (4000, 6000), (10_000, 10_000)  # 24 and 100 megapixels


def wall(size_hw: tuple[int, int], cracks: int, seed: int) -> np.ndarray:
    """Probabilities of a wall: winding cracks of 2 to 12 pixels, one from side to side."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    mask = np.zeros(size_hw, np.uint8)
    for number in range(cracks):
        long = number == 0
        count = 200 if long else 40
        step = width / count if long else rng.uniform(8, 25)
        turn = np.cumsum(rng.normal(0, 0.15, count)) + (0 if long else rng.uniform(0, 6.28))
        way = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], 1) * step, 0)
        first = (0, height / 2) if long else rng.uniform(0, 1, 2) * (width, height)
        points = (way + first).round().astype(np.int32)
        cv2.polylines(mask, [points], False, 255, int(rng.integers(2, 13)), cv2.LINE_AA)
    return cv2.GaussianBlur(mask, (5, 5), 0).astype(np.float32) / 255


def found_in(prob: np.ndarray) -> tuple[ModelFound, np.ndarray, float]:
    """What a model would have found, the mask, and the seconds of measuring all of it."""
    mask = prob >= 0.5
    began = time.process_time()
    cracks = measure(prob, mask=mask, threshold=0.5)
    seconds = time.process_time() - began
    labels = crack_labels(mask, cracks)
    specks = crack_runs((mask & (labels == 0)).astype(np.int32), 1)[0]
    size_hw = (mask.shape[0], mask.shape[1])
    runs = crack_runs(labels, len(cracks))
    return ModelFound(cracks, runs, specks, size_hw, MeasureOptions()), mask, seconds


def edits(seed: int) -> dict[str, object]:
    """Seconds of measuring again after strokes at random places, and after cutting each crack."""
    prob = wall(SMALL, 40, seed)
    model, mask, whole = found_in(prob)
    entries = {entry.id: entry for entry in first_entries(model.cracks)}
    label, rng = len(entries) + 1, np.random.default_rng(seed)
    spent: dict[str, list[float]] = {"drawn": [], "cut": [], "longest cut": []}
    plans = [("longest cut", model.cracks[0])] * 3
    plans += [("cut", crack) for crack in model.cracks[1:16]]
    plans += [("drawn", None)] * 15
    for kind, crack in plans:
        if crack is None:
            start = rng.uniform(0, 1, 2) * (SMALL[1] - 300, SMALL[0] - 300)
            pixels = stroke([tuple(start), tuple(start + 250)], 3, SMALL)
        else:
            line = max(crack.lines, key=len)
            row, column = line[int(rng.integers(len(line) // 4, 3 * len(line) // 4))]
            pixels = stroke([(column, row), (column + 1, row)], 12, SMALL)
        assert pixels is not None
        there = mask[pixels.window]
        turned = trimmed(type(pixels)(pixels.box, pixels.inside & (there ^ (crack is None))))
        if turned is None:
            continue
        began = time.process_time()
        turned.turn(mask)
        change = remeasure(mask, turned, entries, model, label)
        spent[kind].append(time.process_time() - began)
        label = change.next_label
        for entry in change.before:
            del entries[entry.id]
        entries |= {entry.id: entry for entry in change.after}
    return {
        "megapixels": SMALL[0] * SMALL[1] / 1e6,
        "cracks": len(model.cracks),
        "crack_percent": round(100 * float((prob >= 0.5).mean()), 2),
        "measuring_all_seconds": round(whole, 3),
        "longest_crack_pixels": round(model.cracks[0].length),
        **{f"again_{kind.replace(' ', '_')}_seconds": summed(each) for kind, each in spent.items()},
    }


def tiles(seed: int) -> dict[str, object]:
    """Seconds of writing the tiles of 100 megapixels, and of reading one of photo and mask."""
    rng = np.random.default_rng(seed)
    prob = wall(LARGE, 60, seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mask = prob >= 0.5
    gray = (190 - 150 * prob).astype(np.uint8)
    del prob
    noise = rng.integers(0, 12, (512, LARGE[1]), np.uint8)

    def bands():
        for top in range(0, LARGE[0], 512):
            rows = gray[top : top + 512]
            yield np.repeat((rows + noise[: len(rows)])[..., None], 3, 2)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wall.tiles"
        began = time.process_time()
        write_tiles(path, LARGE, bands())
        written = time.process_time() - began
        photo = Tiles(path)
        size = path.stat().st_size
        places = [
            (int(level), *(int(rng.integers(0, -(-side // TILE))) for side in sizes[::-1]))
            for level in rng.integers(0, len(photo.sizes), 400)
            for sizes in [photo.sizes[level]]
        ]
        of_photo = [timed(photo.tile, *place) for place in places]
        photo.close()
    began = time.process_time()
    levels = MaskLevels(mask)
    built = time.process_time() - began
    of_mask = [timed(levels.tile, *place) for place in places]
    updated = [
        timed(levels.update, (row, column, row + 300, column + 300))
        for row, column in rng.integers(0, LARGE[0] - 300, (20, 2)).tolist()
    ]
    return {
        "megapixels": LARGE[0] * LARGE[1] / 1e6,
        "written_seconds": round(written, 2),
        "file_megabytes": round(size / 1e6, 1),
        "photo_tile_seconds": summed(of_photo),
        "mask_levels_seconds": round(built, 3),
        "mask_tile_seconds": summed(of_mask),
        "mask_update_seconds": summed(updated),
        "peak_megabytes_with_input": round(
            max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, before) / 1024
        ),
    }


def timed(function, *arguments) -> float:
    """Seconds of a call."""
    began = time.process_time()
    function(*arguments)
    return time.process_time() - began


def summed(seconds: list[float]) -> dict[str, float]:
    """Median, the slowest, and the number of times."""
    return {
        "median": round(statistics.median(seconds), 5),
        "slowest": round(max(seconds), 5),
        "times": len(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "desk.json")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "times": "processor seconds, one thread",
        "machine": describe_machine(torch.device("cpu")),
        "seed": given.seed,
        "edits": edits(given.seed),
        "tiles": tiles(given.seed),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
