"""How far are measured widths and lengths from the truth? Writes the numbers of the docs.

    python benchmarks/measurement.py [--model crackseg-small]

Measured are shapes of exactly known length and width at random points and angles, the same as
masks, the generator's branching cracks, and the shipped model's probabilities of synthetic panels.
Nothing here was used to set a constant of `fissura.measurement`.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from scipy.spatial import KDTree
from side_by_side import RESULTS

from fissura.checkpoint import versions
from fissura.data.synthetic import draw_panel
from fissura.data.synthetic.shapes import arc, bar, length_within, lines, true_widths
from fissura.device import choose_device, describe_machine
from fissura.files import replacing
from fissura.inference.predictor import Predictor
from fissura.measurement import Crack, measure
from fissura.measurement.options import MeasureOptions

DOCS = Path(__file__).parents[1] / "docs"
SEED = 11
EVERYTHING = MeasureOptions(min_length=0)  # specks too
SIZE = (192, 192)
WIDTHS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0)
EACH = 25  # shapes per width
BINS = (0.7, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.5, 9.0, 13.0, 25.0)
NEAR = 3.0  # pixels within which a sample belongs to a true centerline
IMAGES, IMAGE_HW = 24, (400, 600)
PANELS, PANEL_HW = 48, (384, 384)


def shapes(kind: str, *, as_mask: bool) -> dict[str, Any]:
    """Errors of straight or bent shapes, one crack each."""
    rng = np.random.default_rng([SEED, kind == "arcs"])
    rows = []
    for width in WIDTHS:
        errors, lengths, broken = [], [], 0
        for _ in range(EACH):
            center = tuple((np.array(SIZE) - 1) / 2 + rng.uniform(-0.5, 0.5, 2))
            angle = rng.uniform(0, 2 * np.pi)
            if kind == "bars":
                length = rng.uniform(55, 160)
                prob = bar(SIZE, center, angle, length, width)
            else:
                radius = rng.uniform(max(20, 4 * width), 85)
                turn = rng.uniform(max(1.0, 55 / radius), 4.5)
                length = radius * turn
                prob = arc(SIZE, center, radius, angle, turn, width)
            cracks = measure(prob >= 0.5 if as_mask else prob, options=EVERYTHING)
            broken += len(cracks) != 1
            if len(cracks) == 1:
                lengths.append(cracks[0].length / length - 1)
                errors.append(cracks[0].widths - width)
        every = np.concatenate(errors) if errors else np.empty(0)
        rows.append(
            {"width": width, **spread(every), **spread(np.array(lengths), "length_"),
             "broken": broken, "shapes": EACH}
        )  # fmt: skip
    return {"rows": rows}


def spread(errors: np.ndarray, prefix: str = "") -> dict[str, float | None]:
    """Mean absolute error, bias, and the largest one."""
    if not len(errors):
        return {f"{prefix}{name}": None for name in ("mae", "bias", "largest")}
    return {
        f"{prefix}mae": float(np.abs(errors).mean()),
        f"{prefix}bias": float(errors.mean()),
        f"{prefix}largest": float(np.abs(errors).max()),
    }


def binned(errors: np.ndarray, truth: np.ndarray) -> list[dict[str, Any]]:
    """Errors by the true width."""
    rows = []
    for low, high in pairwise(BINS):
        inside = (truth >= low) & (truth < high)
        if inside.sum() >= 30:
            rows.append(
                {"width": float(truth[inside].mean()), "samples": int(inside.sum()),
                 **spread(errors[inside])}
            )  # fmt: skip
    return rows


def gather(cracks: list[Crack]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples, widths and uncertainties of all cracks."""
    if not cracks:
        return np.empty((0, 2)), np.empty(0), np.empty(0)
    return (
        np.concatenate([crack.samples for crack in cracks]),
        np.concatenate([crack.widths for crack in cracks]),
        np.concatenate([crack.width_errors for crack in cracks]),
    )


def branching() -> dict[str, Any]:
    """The generator's cracks, at least 1.5 px wide so that all of them can be seen."""
    errors, truths, lengths = [], [], []
    for index in range(IMAGES):
        panel = draw_panel(SEED, index, size_hw=IMAGE_HW, crack_fraction=0.015)
        branches = [
            np.column_stack([line[:, :2], np.maximum(line[:, 2], 1.5)]) for line in panel.centerline
        ]
        cracks = measure(lines(branches, IMAGE_HW), options=EVERYTHING)
        if not cracks:
            continue
        samples, widths, _ = gather(cracks)
        truth = true_widths(branches, samples)
        errors.append(widths - truth)
        truths.append(truth)
        true_length = length_within(branches, IMAGE_HW)
        lengths.append(sum(crack.length for crack in cracks) / true_length - 1)
    every, truth = np.concatenate(errors), np.concatenate(truths)
    return {
        "rows": binned(every, truth),
        **spread(every),
        **spread(np.array(lengths), "length_"),
        "length_median": float(np.median(lengths)),
        "images": len(lengths),
    }


def predicted(model: str) -> dict[str, Any]:
    """What a model's probabilities of synthetic panels lead to."""
    predictor = Predictor.load(model)
    errors, truths, sigmas = [], [], []
    found = total = false = measured = 0.0
    for index in range(PANELS):
        panel = draw_panel(SEED, 1000 + index, size_hw=PANEL_HW)
        cracks = measure(predictor(panel.image))
        if not panel.centerline:
            continue
        points = np.concatenate(panel.centerline)
        inside = ((points[:, :2] >= 0) & (points[:, :2] <= np.array(PANEL_HW) - 1)).all(1)
        points = points[inside]  # about one per pixel of length
        total += len(points)
        measured += sum(crack.length for crack in cracks)
        if not cracks:
            continue
        center = np.concatenate([line for crack in cracks for line in crack.lines])
        found += int((KDTree(center).query(points[:, :2])[0] <= NEAR).sum())
        false += int((KDTree(points[:, :2]).query(center)[0] > NEAR).sum())
        samples, widths, sigma = gather(cracks)
        distance, nearest = KDTree(points[:, :2]).query(samples)
        near = distance <= NEAR
        errors.append((widths - points[nearest, 2])[near])
        truths.append(points[nearest, 2][near])
        sigmas.append(sigma[near])
    every, truth, sigma = (np.concatenate(each) for each in (errors, truths, sigmas))
    return {
        "model": model,
        "threshold": predictor.threshold,
        "rows": binned(every, truth),
        **spread(every),
        "within_one_sigma": float((np.abs(every) <= sigma).mean()),
        "within_two_sigma": float((np.abs(every) <= 2 * sigma).mean()),
        "median_sigma": float(np.median(sigma)),
        "length_found": found / total,
        "length_over_truth": measured / total,
        "points_off": false,
        "panels": PANELS,
    }


def draw(results: dict[str, Any], file: Path) -> None:
    """Plot mean absolute error and bias against the true width."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    colors = {"bars": "#0072B2", "arcs": "#56B4E9", "masks": "#999999",
              "branching": "#009E73", "predicted": "#D55E00"}  # fmt: skip
    names = {
        "bars": "straight, exact probabilities",
        "arcs": "bent, exact probabilities",
        "branching": "branching, exact probabilities",
        "masks": "straight, as a mask",
        "predicted": "shipped model on synthetic panels",
    }
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for kind, name in names.items():
        rows = [row for row in results[kind]["rows"] if row["mae"] is not None]
        x = [row["width"] for row in rows]
        for axis, key in zip(axes, ("mae", "bias"), strict=True):
            axis.plot(x, [row[key] for row in rows], "o-", ms=4, color=colors[kind], label=name)
    axes[0].axhline(0.25, color="#333", ls=":", lw=1)
    axes[0].text(20, 0.26, "target 0.25 px", ha="right", va="bottom", fontsize=8)
    axes[1].axhline(0, color="#333", lw=0.8)
    titles = ("mean absolute error of a width (px)", "bias: measured − true width (px)")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(xscale="log", xlabel="true width (px)", title=title)
        axis.set_xticks([1, 2, 3, 5, 10, 20], ["1", "2", "3", "5", "10", "20"])
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylim(0)
    axes[1].legend(fontsize=8, frameon=False)
    with replacing(file) as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)


def main() -> None:
    """Measure all of it, write the JSON and the plot, then the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="crackseg-small")
    model = parser.parse_args().model
    began = time.perf_counter()
    results = {
        "bars": shapes("bars", as_mask=False),
        "arcs": shapes("arcs", as_mask=False),
        "masks": shapes("bars", as_mask=True),
        "branching": branching(),
        "predicted": predicted(model),
        "seed": SEED,
        "versions": versions(),
        "machine": describe_machine(choose_device("cpu")),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    results["seconds"] = round(time.perf_counter() - began, 1)
    with replacing(RESULTS / "measurement.json") as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results, DOCS / "images" / "width_error.png")
    from measurement_page import write

    write()


if __name__ == "__main__":
    main()
