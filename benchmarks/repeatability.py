"""How much do lengths and widths differ between two photos of the same cracks?

    python benchmarks/repeatability.py DATA MODEL [--set uav_concrete] [--count 60]

Each photo is photographed anew by the computer: seen from elsewhere (a homography whose frame lies
within the photo, so that nothing is invented), in another light, with other noise and blur, saved
as JPEG. Both go through `fissura inspect` and `fissura compare`. No crack has changed: every growth
is an error, and every crack that is grown, reduced, new or closed is a false call.

Photos are parted by blocks of their numbers into a validation part, of which `CompareOptions` has
its defaults, and a test part, of which the documentation tells the figures. The figures are in
results/repeatability.json beside this script.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.checkpoint import versions
from fissura.comparison.changes import Change
from fissura.comparison.options import CompareOptions
from fissura.comparison.pipeline import compare
from fissura.device import choose_device, describe_machine
from fissura.errors import InputError
from fissura.files import replacing
from fissura.inspection.pipeline import inspect

RESULTS = Path(__file__).parent / "results" / "repeatability.json"
BLOCK = 20  # neighbors in the order of their names lie in one part
INSIDE, JITTER = 0.86, 0.04  # side of the new frame in that of the photo; how far corners move
SIZE = 900  # pixels of the longer side that photos are enlarged to at least, as those of a phone


def photographed(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a photo as another one of the same surface, from elsewhere and in another light."""
    height, width = image.shape[:2]
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    middle = frame.mean(0)
    inner = middle + INSIDE * (frame - middle)
    inner += rng.uniform(-JITTER, JITTER, (4, 2)) * [width, height]
    scale = rng.uniform(0.8, 1.0)
    size = round(INSIDE * width * scale), round(INSIDE * height * scale)
    target = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float32)
    matrix = cv2.getPerspectiveTransform(inner.astype(np.float32), target)
    seen = cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_AREA).astype(np.float64)
    seen = 255 * (seen / 255) ** rng.uniform(0.85, 1.2)
    left, right = rng.uniform(0.8, 1.1, 2).tolist()
    seen *= np.linspace(left, right, size[0])[None, :, None]
    seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 0.8))
    seen += rng.normal(0, rng.uniform(1, 4), seen.shape)
    return np.clip(seen, 0, 255).astype(np.uint8)


def parts(data: Path, name: str, count: int) -> dict[str, list[Path]]:
    """Return the photos of either part: every second block of neighbors, with a crack."""
    files = sorted((data / name / "images").iterdir())
    found: dict[str, list[Path]] = {"validation": [], "test": []}
    for index, file in enumerate(files):
        mask = cv2.imread(str(data / name / "masks" / f"{file.stem}.png"), cv2.IMREAD_GRAYSCALE)
        if mask is not None and (mask > 127).mean() > 0.004:
            found["test" if index // BLOCK % 2 else "validation"].append(file)
    rng = np.random.default_rng(0)
    for part, all_of in found.items():
        chosen = rng.permutation(len(all_of))[:count]
        found[part] = [all_of[at] for at in sorted(chosen.tolist())]
    return found


def changes(
    photos: list[Path], model: str, options: CompareOptions, seed: int
) -> tuple[list[tuple[str, Change, float]], int]:
    """Return the changes of all pairs with their registrations' errors, and the pairs refused."""
    found, rng = [], np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        for name in ("old", "new"):
            (folder / name).mkdir()
        for file in photos:
            image = np.asarray(cv2.imread(str(file)), np.uint8)
            times = max(1.0, SIZE / max(image.shape[:2]))
            way = cv2.INTER_CUBIC
            large = np.asarray(cv2.resize(image, None, fx=times, fy=times, interpolation=way))
            large = large.astype(np.uint8)
            for name, shown in (("old", large), ("new", photographed(large, rng))):
                quality = [cv2.IMWRITE_JPEG_QUALITY, 92]
                cv2.imwrite(str(folder / name / f"{file.stem}.jpg"), shown, quality)
        for name in ("old", "new"):
            inspect(folder / name, folder / f"{name}-out", model=model)
        try:
            compared = compare(
                folder / "old-out", folder / "new-out", folder / "out", options=options
            )
        except InputError as error:
            print(error)
            return [], len(photos)
        for pair in compared.pairs:
            for change in pair.changes:
                found.append((pair.old, change, pair.registration.error))
        return found, len(compared.refused)


def figures(found: list[tuple[str, Change, float]], refused: int, sigmas: float) -> dict[str, Any]:
    """Return how large the errors are, in pixels and in their stated standard deviations."""
    both = [one for _, one, _ in found if one.old and one.new and one.verdict != "not compared"]
    length = np.array([one.length / one.length_error for one in both])
    width = np.array([one.width / one.width_error for one in both])
    width = width[np.isfinite(width)]
    return {
        "pairs": len({name for name, _, _ in found}),
        "refused": refused,
        "verdicts": dict(Counter(one.verdict for _, one, _ in found)),
        "length_error_px": _quantiles([abs(one.length) for one in both]),
        "length_within_one_percent": _within(length, 1),
        f"length_within_{sigmas:g}_percent": _within(length, sigmas),
        "width_error_px": _quantiles([abs(one.width) for one in both if math.isfinite(one.width)]),
        "width_within_one_percent": _within(width, 1),
        f"width_within_{sigmas:g}_percent": _within(width, sigmas),
    }


def _quantiles(values: list[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (50, 68, 90, 95)}


def _within(values: NDArray[np.float64], sigmas: float) -> float:
    return round(100 * float((np.abs(values) <= sigmas).mean()), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", nargs="?", default="crackseg-small")
    parser.add_argument("--set", default="uav_concrete")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--part", choices=("validation", "test"))
    parser.add_argument("--dump", type=Path, help="write every change as JSON, to fit options by")
    asked = parser.parse_args()
    options = CompareOptions()
    stored = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    dumped = {}
    for part, photos in parts(asked.data, asked.set, asked.count).items():
        if asked.part not in (None, part):
            continue
        found, refused = changes(
            photos, asked.model, options, seed=("validation", "test").index(part)
        )
        told = figures(found, refused, options.sigmas)
        print(part, json.dumps(told, indent=1), flush=True)
        dumped[part] = [
            {
                "photo": name,
                "registration": error,
                **{key: value for key, value in vars(one).items() if key != "lines"},
                "pieces": {
                    kind: [len(line) for line in all_of] for kind, all_of in one.lines.items()
                },
            }
            for name, one, error in found
        ]
        stored[f"{asked.set}, {part}"] = {
            **told,
            "model": Path(asked.model).name,
            "options": {name: getattr(options, name) for name in OPTIONS},
            "machine": describe_machine(choose_device("cpu")),
            "versions": versions(),
            "date": datetime.now(UTC).date().isoformat(),
        }
    if asked.dump:
        asked.dump.write_text(json.dumps(dumped), encoding="utf-8")
        return
    with replacing(RESULTS) as temporary:
        temporary.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


OPTIONS = ("sigmas", "tip_error", "length_error", "width_error", "width_fraction")

if __name__ == "__main__":
    main()
