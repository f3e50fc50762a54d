"""How often are the findings of `fissura check` right, and how often wrong?

    OMP_NUM_THREADS=1 python benchmarks/check.py DATA

DATA holds the public data sets, each in a folder of its name. Their masks are taken for right, so
that each mask called off or turned as it is counts as a false alarm. Then masks are moved, turned
and redrawn on purpose, and it is counted how many are found; masks that are turned by a quarter or
transposed keep their size on the largest centered square of a photo alone. Photos of different data
sets cannot be alike, nor can two panels of the generator, so that each such pair counts as a false
alarm; how many pairs of each set are called alike is told beside it. Cracks of panels are lighter
than what is beside them on some, which the public sets lack.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.checks.alike import View, find_alike
from fissura.checks.judge_labels import MANY_UNMARKED, label_findings
from fissura.checks.options import CheckOptions
from fissura.checks.photo import PhotoLook, look_at
from fissura.checks.survey import Reader
from fissura.data.folder import find_pairs, natural_order
from fissura.data.synthetic import draw_panel
from fissura.device import choose_device, describe_machine

RESULT = Path(__file__).parent / "results" / "check.json"
SETS = {
    "deepcrack": "DeepCrack-DB", "crack500": "CRACK500", "magnetic_tile/mt_crack": "Magnetic Tile",
    "uav_concrete": "UAV concrete", "walls": "Walls", "composites": "Composites",
    "roads_from_car": "Roads from a car", "research/shadowcrack": "ShadowCrack",
}  # fmt: skip
SQUARE = np.ones((3, 3), np.uint8)
Mask = NDArray[np.bool_]
SPOILED: dict[str, Callable[[Mask], Mask]] = {
    "moved by 4 px": lambda mask: np.roll(mask, 4, 1),
    "moved by 9 px": lambda mask: np.roll(mask, (5, 8), (0, 1)),
    "turned by 180°": lambda mask: np.ascontiguousarray(mask[::-1, ::-1]),
    "grown by 3 px": lambda mask: cv2.dilate(mask.view(np.uint8), SQUARE, iterations=3) > 0,
    "turned by 90°": lambda mask: np.ascontiguousarray(np.rot90(mask)),
    "transposed": lambda mask: np.ascontiguousarray(mask.T),
}
ON_SQUARES = ("turned by 90°", "transposed")
PANELS = "Drawn panels"
SEED, PANEL_SEEDS = 0, 5
Read = Callable[[str], tuple[NDArray[np.uint8], Mask, Mask | None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=200, help="of each set at most")
    parser.add_argument("--spoiled", type=int, default=40, help="of these, whose masks are spoiled")
    chosen = parser.parse_args()
    views: dict[str, list[View]] = {}
    sets = {}
    for name, (names, read) in sources(chosen.data, chosen.photos).items():
        order = np.random.default_rng(SEED).permutation(len(names))[: chosen.photos]
        looks = [look_at(names[i], "all", *read(names[i])) for i in order]
        by_name = sorted(looks, key=lambda look: natural_order(look.name))
        views[name] = [look.view for look in looks]
        judged = [look for look in looks if look.fit is not None]
        sets[name] = {
            "photos": len(judged),
            "called off": sum(bool(look.fit and look.fit.far) for look in judged),
            "called turned": sum(bool(look.fit and look.fit.turn) for look in judged),
            "too wide, median px": round(float(np.median(wide_of(looks))), 2),
            "unmarked lines, median": float(np.median([look.unmarked for look in judged])),
            "set findings": set_findings(looks),
            "alike": dict(
                Counter(
                    pair.kind
                    for pair in find_alike([look.view for look in by_name], range(len(looks)))
                )
            ),
            "spoiled": spoil(read, [names[i] for i in order[: chosen.spoiled]]),
        }
        print(name, json.dumps(sets[name]), flush=True)
    pairs, wrong = across(views)
    result = {
        "question": (__doc__ or "").partition("\n")[0],
        "seed": SEED,
        "sets": sets,
        "pairs of different sets": pairs,
        "of these called alike": wrong,
        "many unmarked lines from": MANY_UNMARKED,
        "machine": describe_machine(choose_device("cpu")),
        "date": datetime.now(UTC).date().isoformat(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(pairs, wrong)


def sources(data: Path, photos: int) -> dict[str, tuple[list[str], Read]]:
    """The sets: names of photos, and what reads one: RGB, mask and pixels with a label."""

    def of_folder(folder: str) -> tuple[list[str], Read]:
        reader = Reader.of(find_pairs(data / folder, skip_bad=True), CheckOptions().meaning())
        return sorted(reader.pairs), reader.read

    def panel(name: str) -> tuple[NDArray[np.uint8], Mask, None]:
        seed, index = map(int, name.split("_"))
        drawn = draw_panel(seed, index)
        return drawn.image, drawn.mask > 0, None

    found = {name: of_folder(folder) for folder, name in SETS.items()}
    each = -(-photos // PANEL_SEEDS)
    names = [f"{seed}_{index}" for seed in range(PANEL_SEEDS) for index in range(each)]
    return found | {PANELS: (names, panel)}


def spoil(read: Read, names: list[str]) -> dict[str, Any]:
    """Spoil masks in each way; the fraction that is called off or turned, and what is said."""
    found = {}
    for way, change in SPOILED.items():
        looks = []
        for name in names:
            image, mask, _ = read(name)
            if way in ON_SQUARES:
                image, mask = squared(image), squared(mask)
            looks.append(look_at(name, "all", image, change(mask)))
        judged = [look for look in looks if look.fit is not None]
        told = sum(bool(look.fit and (look.fit.far or look.fit.turn)) for look in judged)
        found[way] = {"found": round(told / max(len(judged), 1), 3), "set": set_findings(looks)}
    return found


def squared(pixels: NDArray[Any]) -> NDArray[Any]:
    """The largest centered square."""
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def set_findings(looks: list[PhotoLook]) -> list[str]:
    """The findings on a set as a whole."""
    kinds = ("all masks off", "too wide", "too narrow", "weak labels", "unclear")
    return [one.kind for one in label_findings(looks) if one.kind in kinds]


def wide_of(looks: list[PhotoLook]) -> list[float]:
    """By how much masks are too wide, where that is clear."""
    return [look.wide for look in looks if look.wide is not None] or [float("nan")]


def across(views: dict[str, list[View]]) -> tuple[int, int]:
    """Pairs of photos of different sets, and how many of them are called alike."""
    pairs = wrong = 0
    for one, other in combinations(views, 2):
        both = views[one] + views[other]
        first = len(views[one])
        pairs += first * len(views[other])
        mixed = [index for pair in zip(range(first), range(first, len(both))) for index in pair]  # noqa: B905
        alike = find_alike(both, mixed)
        wrong += sum((pair.first < first) != (pair.second < first) for pair in alike)
    return pairs, wrong


if __name__ == "__main__":
    main()
