"""How fast are the models that come with Fissura, beside each other?

    python benchmarks/models.py [--threads 2]

One photo of 4 megapixels in memory, each model in float32 and bfloat16, in turn, the least of
several each; then `fissura predict photo.jpg` as a whole, in a process of its own, with the
interpreter's start and the files written. The figures are in results/models.json beside this
script.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fissura.checkpoint import versions
from fissura.data.synthetic import draw_panel
from fissura.device import choose_device, describe_machine
from fissura.files import replacing
from fissura.inference.predictor import Predictor
from fissura.shipped import MODELS

RESULTS = Path(__file__).parent / "results" / "models.json"
SIZE_HW = (1664, 2432)
REPEATS = 5


def main() -> None:
    """Measure, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-record", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    image = photo()
    rows: dict[str, Any] = {}
    predictors = {
        f"{name}, {precision}": Predictor.load(name, device="cpu", precision=precision)
        for name in MODELS
        for precision in ("float32", "bfloat16")
    }
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(REPEATS):
        for name, predictor in predictors.items():
            began = time.perf_counter()
            predictor.prob(image)
            seconds[name].append(time.perf_counter() - began)
    for name, each in seconds.items():
        rows[name] = {
            "megapixels_per_second": round(image[..., 0].size / 1e6 / min(each), 3),
            "seconds": [round(one, 3) for one in each],
        }
        print(name, rows[name], flush=True)
    for name in MODELS:
        rows[f"fissura predict photo.jpg, {name}"] = command(name, image, asked.threads)
        print(name, rows[f"fissura predict photo.jpg, {name}"], flush=True)
    record = {
        "photo_hw": SIZE_HW,
        "threads": asked.threads,
        "rows": rows,
        "machine": f"{describe_machine(choose_device('cpu'))}, {platform.system()}",
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    if not asked.no_record:
        with replacing(RESULTS) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def photo() -> NDArray[np.uint8]:
    """A photo of cracks, side by side synthetic panels."""
    height, width = SIZE_HW
    panels = [draw_panel(3, index, size_hw=(416, 608)).image for index in range(16)]
    rows = [np.concatenate(panels[start : start + 4], axis=1) for start in range(0, 16, 4)]
    return np.ascontiguousarray(np.concatenate(rows)[:height, :width])


def command(name: str, image: NDArray[np.uint8], threads: int) -> dict[str, Any]:
    """Seconds of the whole command on a photo of 4 megapixels, and of 1."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for megapixels, pixels in ((4, image), (1, image[::2, ::2])):
            file = Path(folder) / f"photo{megapixels}.jpg"
            cv2.imwrite(str(file), pixels[..., ::-1])
            each = []
            for run in range(3):
                out = Path(folder) / f"{megapixels}-{run}"
                words = ["predict", str(file), "--model", name, "--out", str(out)]
                began = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-m", "fissura.cli", *words],
                    check=True,
                    capture_output=True,
                    env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                )
                each.append(round(time.perf_counter() - began, 3))
            found[f"seconds_{megapixels}_megapixels"] = each
    return found


if __name__ == "__main__":
    main()
