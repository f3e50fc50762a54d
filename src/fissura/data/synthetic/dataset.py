"""Write a synthetic data set of cracked panels: the function behind `fissura synth`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fissura.data.labels import Labels
from fissura.data.synthetic import Panel, check_request, draw_classes, draw_panel
from fissura.errors import InputError
from fissura.files import new_folder
from fissura.version import __version__

CRACK = "crack"  # the name of the class of cracks
FORMAT = 2  # 1 called the measured fractions share, share_train and share_test


@dataclass(frozen=True)
class SynthSummary:
    """The outcome of `synth`; saved as `synth.json` too.

    Attributes:
        folder: Where the data set lies.
        train: Number of images to train on.
        test: Number of images to test on.
        crack_fraction_train: Measured fraction of crack pixels; 0 for a split without images.
        crack_fraction_test: The same of the test split.
        crack_fraction: The same of all images.
    """

    folder: Path
    train: int
    test: int
    crack_fraction_train: float
    crack_fraction_test: float
    crack_fraction: float


def synth(
    out: Path,
    *,
    count: int = 200,
    size_hw: tuple[int, int] = (128, 128),
    crack_fraction: float = 0.0315,
    test_fraction: float = 0.25,
    seed: int = 0,
    classes: str | None = None,
    progress: bool = False,
) -> SynthSummary:
    """Write a data set of synthetic panels with exact ground truth.

    The folder holds `train/images/NAME.png` (8-bit RGB), `train/masks/NAME.png` (0 and 255), the
    same under `test/`, `centerlines/NAME.json` (a list of branches, each a list of
    [row, column, width_px]) and `synth.json` (seed, options, versions, measured crack fractions).
    Image NAME = panel_000012 is `draw_panel(seed, 12, …)`; the seed decides which images are for
    testing. The folder is written beside `out` and renamed in the end, so that `out` is never
    there half written.

    Args:
        out: Folder to write, which must not exist or be empty.
        count: Number of images, 1 or more.
        size_hw: Height and width of each in pixels, 32 or more.
        crack_fraction: Mean fraction of crack pixels, 0 to 0.2.
        test_fraction: Fraction of the images that goes to `test/`, 0 to 1.
        seed: The same seed and options give the same images.
        classes: Names with commas between them, `crack` and kinds of marks (see `draw_classes`).
            The masks are then index masks: 0 background, 1 the first class, and so on.
        progress: Show a progress bar.

    Returns:
        How many images were written, and how much of them is crack.

    Raises:
        InputError: `out` is not empty or an option is out of its range.
    """
    _check_options(out, count, test_fraction)
    check_request(seed, 0, size_hw, crack_fraction)
    labels = Labels.parse(classes)
    order = np.random.default_rng([seed, 0x7E57]).permutation(count)
    for_test = {int(index) for index in order[: round(count * test_fraction)]}
    cracks = {"train": 0, "test": 0}
    with new_folder(out) as folder:
        for index in _counted(count, progress):
            split = "test" if index in for_test else "train"
            panel, mask = _panel(seed, index, size_hw, crack_fraction, labels)
            _write(panel, mask, folder, split, f"panel_{index:06d}")
            cracks[split] += int(panel.mask.sum())
        summary = _summary(out, cracks, count, len(for_test), size_hw[0] * size_hw[1])
        options = {
            "count": count,
            "size_hw": list(size_hw),
            "crack_fraction": crack_fraction,
            "test_fraction": test_fraction,
            "seed": seed,
            **({} if classes is None else {"classes": classes}),
        }
        _record(folder / "synth.json", options, summary)
    return summary


def _summary(out: Path, cracks: dict[str, int], count: int, tests: int, area: int) -> SynthSummary:
    """Count images and crack pixels; `area` is that of one image."""
    return SynthSummary(
        folder=out,
        train=count - tests,
        test=tests,
        crack_fraction_train=cracks["train"] / max(1, (count - tests) * area),
        crack_fraction_test=cracks["test"] / max(1, tests * area),
        crack_fraction=sum(cracks.values()) / (count * area),
    )


def _check_options(out: Path, count: int, test_fraction: float) -> None:
    """Raise `InputError` for options out of range and folders that hold something."""
    if count < 1:
        raise InputError(f"A data set needs at least 1 image; count is {count}.")
    if not 0 <= test_fraction <= 1:
        raise InputError(f"test_fraction must lie between 0 and 1; it is {test_fraction}.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Give the name of a new folder.")
    if out.exists() and any(out.iterdir()):
        raise InputError(
            f"{out} is not empty, and nothing in it shall be overwritten. Give the name of a new "
            "folder, or delete this one first."
        )


def _counted(count: int, progress: bool) -> Iterator[int]:
    """Numbers from 0 on, with a bar where that is asked for."""
    if not progress:
        yield from range(count)
        return
    from rich.progress import track

    yield from track(range(count), description="Drawing panels")


def _panel(
    seed: int, index: int, size_hw: tuple[int, int], crack_fraction: float, labels: Labels
) -> tuple[Panel, NDArray[np.uint8]]:
    """Draw a panel with its mask: 255 where there is crack, or the values of classes."""
    if not labels.classes:
        panel = draw_panel(seed, index, size_hw=size_hw, crack_fraction=crack_fraction)
        return panel, panel.mask.astype(np.uint8) * 255
    marks = tuple(name for name in labels.classes if name != CRACK)
    panel, masks = draw_classes(
        seed, index, marks=marks, size_hw=size_hw, crack_fraction=crack_fraction
    )
    mask = np.zeros(size_hw, np.uint8)
    for name, value in zip(labels.classes, labels.values, strict=True):
        mask[panel.mask if name == CRACK else masks[name]] = value
    return panel, mask


def _write(panel: Panel, mask: NDArray[np.uint8], folder: Path, split: str, name: str) -> None:
    """Write the files of one panel."""
    images, masks = folder / split / "images", folder / split / "masks"
    centerlines = folder / "centerlines"
    for below in (images, masks, centerlines):
        below.mkdir(parents=True, exist_ok=True)
    Image.fromarray(panel.image).save(images / f"{name}.png")
    Image.fromarray(mask).save(masks / f"{name}.png")
    branches = [np.round(branch, 3).tolist() for branch in panel.centerline]
    (centerlines / f"{name}.json").write_text(
        json.dumps(branches, separators=(",", ":")) + "\n", encoding="utf-8"
    )


def _record(file: Path, options: dict[str, object], summary: SynthSummary) -> None:
    """Write `synth.json`."""
    measured = asdict(summary)
    del measured["folder"]
    versions = {"fissura": __version__, "numpy": np.__version__, "opencv": cv2.__version__}
    record = {"format": FORMAT, "options": options, "measured": measured, "versions": versions}
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
