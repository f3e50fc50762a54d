"""Fig. 4: predictions of six losses on the same photos, beside the truth."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.folder import find_pairs
from fissura.data.preparation.load import PreparedSet, load_split
from fissura.data.preparation.protocols import choose_protocol
from fissura.errors import InputError
from fissura.evaluation.figures import shrink
from fissura.inference.predictor import Predictor
from fissura.metrics.counts import iou, pixel_counts
from fissura.overlay import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    REDDISH_PURPLE,
    TRUE_POSITIVE,
    error_overlay,
    overlay,
)
from fissura.paper.data import DEEPCRACK
from fissura.paper.losses import loss_rows
from fissura.study.outputs.figure_files import rgb, save_figure
from fissura.study.recipe import Found, Recipe
from fissura.study.results import RunResult
from fissura.training.config_file import read_config

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Photos are taken at these fractions of the way from the hardest to the easiest.
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
# Longest side of an image in the figure, in pixels.
LONGEST = 512
SMALL = 7.5  # points


@dataclass(frozen=True)
class Photo:
    """A test photo that is shown.

    Attributes:
        index: Its index in the set.
        quantile: Its quantile of the ranking, 0 to 1.
        mean_iou: Its IoU, averaged over the networks.
    """

    index: int
    quantile: float
    mean_iou: float


def choose_photos(
    counts: Sequence[NDArray[np.int64]], quantiles: Sequence[float] = QUANTILES
) -> list[Photo]:
    """Choose photos by rule: at quantiles of the ranking by IoU, averaged over networks.

    Photos without crack are left out. Of n photos, hardest first, the quantile q is number
    round(q·(n − 1)), counted from 0; of equally hard ones the first of the set comes first. No
    photo is taken twice.

    Args:
        counts: For each network, tp fp fn of each photo, (n, 3).
        quantiles: From 0, the hardest, to 1, the easiest, ascending.

    Raises:
        InputError: No photo has a crack.
    """
    stacked = np.stack(counts)
    cracked = np.flatnonzero(stacked[0, :, 0] + stacked[0, :, 2])
    if not cracked.size:
        raise InputError("None of the test photos shows a crack, so that there is none to compare.")
    values = (stacked[:, cracked, 0] / stacked[:, cracked].sum(axis=2)).mean(axis=0)
    order = np.argsort(values, kind="stable")
    ranks = {int(q * (len(order) - 1) + 0.5): q for q in reversed(quantiles)}
    return [
        Photo(int(cracked[order[rank]]), ranks[rank], float(values[order[rank]]))
        for rank in sorted(ranks)
    ]


def draw_grid(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Draw Fig. 4 as `folder`/NAME.png and .svg: photos, truth and the predictions of each row.

    The networks are those of the first seed that all rows with results have trained weights of, in
    `folder`/trained; photos are chosen by `choose_photos`. Predictions are at the threshold 0.5.

    Args:
        recipe: A row per column of the figure.
        found: The results, by the row's name.
        folder: Folder of the study.

    Returns:
        The files.

    Raises:
        InputError: There are no results, no such weights, or the data have changed.
    """
    rows = [row for row in recipe.rows if found.get(row.name)]
    missing = [row.label for row in recipe.rows if not found.get(row.name)]
    remedy = f"`fissura study {recipe.name} --out {folder}` trains what is missing."
    if not rows:
        raise InputError(f"There is nothing to draw for {recipe.name}: no results. {remedy}")
    trained = folder / "trained"
    chosen = _choose_runs([found[row.name] for row in rows], trained, remedy)
    images = _test_images(chosen, trained)
    photos = choose_photos([result.counts_array() for result in chosen])
    shown = [images.images[photo.index] for photo in photos]
    columns = []
    for row, result in zip(rows, chosen, strict=True):
        # The images are at the model's scale already.
        predictor = Predictor.load(trained / result.key, scale=1.0, threshold=0.5)
        columns.append((row.label, [found.mask for found in predictor.predictions(shown)]))
    words = _words(photos, chosen[0].seed, missing)
    return save_figure(draw_predictions(images, photos, columns, words), folder, recipe.name)


def _choose_runs(rows: list[list[RunResult]], trained: Path, remedy: str) -> list[RunResult]:
    """Choose for each row its run of the first seed of which all rows have trained weights."""
    by_seed = [{run.seed: run for run in runs} for runs in rows]
    common = sorted(set.intersection(*(set(runs) for runs in by_seed)))
    if not common:
        raise InputError(
            "The networks cannot be compared, as no seed has results in all rows. " + remedy
        )
    for seed in common:
        chosen = [runs[seed] for runs in by_seed]
        if not _lacking(chosen, trained):
            return chosen
    lacking = _lacking([runs[common[0]] for runs in by_seed], trained)
    raise InputError(
        f"The trained networks of {', '.join(lacking)} are not in {trained}, and the figure shows "
        f"their predictions. {remedy}"
    )


def _lacking(runs: list[RunResult], trained: Path) -> list[str]:
    """Return the keys of the runs whose folder has no configuration or no weights."""
    needed = ("config.yaml", "model/config.json", "model/model.safetensors")
    return [
        run.key for run in runs if not all((trained / run.key / name).is_file() for name in needed)
    ]


def _test_images(runs: list[RunResult], trained: Path) -> PreparedSet:
    """Return the test images that the runs were judged on, in the same order."""
    data, config = read_config(trained / runs[0].key / "config.yaml")
    protocol = choose_protocol(config.protocol, config.area_threshold)
    folder = find_pairs(data, skip_bad=config.skip_bad)
    images = load_split(folder, "test", protocol, skip_bad=config.skip_bad)
    for run in runs:
        if run.test["fingerprint"] != images.fingerprint:
            raise InputError(
                f"The run {run.key} was judged on other test images than those in {data} now, "
                "so that the photos to show cannot be told. Restore them, or train anew into "
                "another --out."
            )
    return images


def _words(photos: list[Photo], seed: int, missing: list[str]) -> str:
    """Return the text beneath the figure: which photos, which seed, which rows are missing."""
    quantiles = ", ".join(f"{100 * photo.quantile:g}" for photo in photos)
    words = (
        f"Rows: the test photos with cracks at the {quantiles} % quantiles of the mean IoU of the "
        "networks shown, hardest first. Beneath each prediction, at threshold 0.5: its IoU in "
        f"percent, the best of a row in bold. Networks of seed {seed}."
    )
    return words + (f" No results yet: {', '.join(missing)}." if missing else "")


def draw_predictions(
    images: PreparedSet,
    photos: list[Photo],
    columns: list[tuple[str, list[NDArray[np.bool_]]]],
    words: str,
) -> Figure:
    """Draw a row per photo: image, truth, and the errors of each prediction.

    Args:
        images: The test set.
        photos: Those shown.
        columns: The title of each column, and the predicted mask of each photo, bool (h, w).
        words: The text beneath.
    """
    from matplotlib.figure import Figure

    wide, tall = 2 + len(columns), len(photos)
    figure = Figure(figsize=(0.45 + 0.97 * wide, 1.0 + 1.13 * tall), layout="constrained")
    grid = figure.subplots(tall, wide, squeeze=False)
    for cells, photo, *preds in zip(grid, photos, *(masks for _, masks in columns), strict=True):
        _draw_photo(cells, images.images[photo.index], images.masks[photo.index], preds)
        name = f"{100 * photo.quantile:g} %\nmean {100 * photo.mean_iou:.1f}"
        cells[0].set_ylabel(name, fontsize=SMALL)
    titles = ("image", "truth", *(title for title, _ in columns))
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=SMALL + 0.5, pad=3)
    _draw_key(figure)
    width = int(15.2 * figure.get_size_inches()[0])
    figure.supxlabel(textwrap.fill(words, width), fontsize=SMALL, x=0.01, ha="left")
    return figure


def _draw_photo(
    cells: NDArray[Any],
    image: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    preds: list[NDArray[np.bool_]],
) -> None:
    """Draw a row of the grid, an axes per cell."""
    small_image, small_truth = shrink(image, truth, longest=LONGEST)
    _show(cells[0], small_image)
    # Without a line around them, which would double the width of hairlines in small images.
    _show(cells[1], overlay(small_image, small_truth, REDDISH_PURPLE, alpha=0.85, outline=0))
    values = [round(100 * float(iou(pixel_counts(pred, truth))), 1) for pred in preds]
    for axes, pred, value in zip(cells[2:], preds, values, strict=True):
        small_image, small_pred, small_truth = shrink(image, pred, truth, longest=LONGEST)
        _show(axes, error_overlay(small_image, small_pred, small_truth))
        weight = "bold" if value == max(values) else "normal"
        axes.set_xlabel(f"{value:.1f}", fontsize=SMALL, labelpad=1.5, fontweight=weight)


def _show(axes: Axes, image: NDArray[np.uint8]) -> None:
    """Show an image without a frame."""
    # "none": an SVG holds the pixels as they are, and the viewer enlarges them.
    axes.imshow(image, interpolation="none")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _draw_key(figure: Figure) -> None:
    """Draw the legend of the colors."""
    from matplotlib.patches import Patch

    words = {
        "crack, found": TRUE_POSITIVE,
        "called crack, is none": FALSE_POSITIVE,
        "crack, missed": FALSE_NEGATIVE,
    }
    patches = [
        Patch(facecolor=rgb(color), edgecolor="0.3", linewidth=0.6) for color in words.values()
    ]
    figure.legend(patches, list(words), loc="outside upper right", ncols=3, fontsize=SMALL,
                  frameon=False)  # fmt: skip


TITLES = {
    "afl": "AsyFocal",
    "ft": "FocalTversky",
    "bce-dice": "BceDice",
    "hf": "HybridFocal",
    "auf": "UnifiedFocal",
    "ours-0.5": "Ours, m = 0.5",
}
LOSS_ROWS = {row.name: row for row in loss_rows(DEEPCRACK, {})}

FIG4 = Recipe(
    name="fig4",
    title="Fig. 4: predictions on DeepCrack-DB",
    rows=[replace(LOSS_ROWS[name], label=title) for name, title in TITLES.items()],
    show=draw_grid,
    needs_weights=True,
)
