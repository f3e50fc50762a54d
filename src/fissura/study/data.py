"""The data sets that a recipe names: their folders, or synthetic panels drawn on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fissura.data.synthetic.dataset import synth
from fissura.errors import InputError
from fissura.training.options import ProtocolName


@dataclass(frozen=True)
class Panels:
    """How synthetic panels of 128×128 are drawn: `synthetic.dataset.synth` with seed 0.

    Attributes:
        crack_fraction: Mean fraction of crack pixels, 0 to 0.2.
        count: Number of images, a quarter of them to test.
    """

    crack_fraction: float
    count: int = 2051


@dataclass(frozen=True)
class DataSet:
    """A set of images that the rows of a recipe name.

    Attributes:
        name: Short name; the name of each result file begins with it.
        title: Name in tables; `name` unless given.
        protocol: How photos become training images: a key of `fissura.data.protocols.PROTOCOLS`.
        crop: Side of the random crops in training, in pixels. Without it, small images of one
            size are taken whole and others are cropped to 256.
        panels: How to draw it, where it is synthetic.
        folder: Its folder below --data; `name` unless given, and "." for --data itself.
    """

    name: str
    title: str = ""
    protocol: ProtocolName = "native"
    crop: int | None = None
    panels: Panels | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.name)


# The folder behind --data, in any layout that `fissura train` takes.
OWN_DATA = DataSet("data", "Your data", folder=".")


def panels(crack_fraction: float = 0.0315, count: int = 2051) -> DataSet:
    """Name synthetic panels; the defaults stand in for the paper's private PanelCrack.

    Args:
        crack_fraction: Mean fraction of crack pixels, 0 to 0.2.
        count: Number of images, a quarter of them to test.

    >>> panels(0.01, 200).name
    'panels-1pc-200'
    """
    return DataSet(
        f"panels-{100 * crack_fraction:g}pc-{count}",
        f"Synthetic panels, {100 * crack_fraction:g} %",
        "panel128",
        panels=Panels(crack_fraction, count),
    )


def locate(data: DataSet, root: Path | None, study: Path) -> Path:
    """Return the folder of a data set; draw synthetic panels into the study's folder once.

    Args:
        data: The data set.
        root: Folder that holds the real data sets: what --data names.
        study: Folder of the study.

    Returns:
        A folder in a layout that `fissura train` takes.

    Raises:
        InputError: A real data set is not there.
    """
    if data.panels is not None:
        folder = study / "data" / data.name
        if not folder.exists():
            shape = {"count": data.panels.count, "crack_fraction": data.panels.crack_fraction}
            synth(folder, size_hw=(128, 128), seed=0, **shape)
        return folder
    name = data.folder or data.name
    if name == ".":
        if root is None or not root.is_dir():
            missing = "" if root is None else f" {root} is no folder."
            raise InputError(
                f"This study trains on your own images.{missing} Give their folder: --data FOLDER, "
                "in any layout that `fissura train` takes."
            )
        return root
    if root is None or not (root / name).is_dir():
        where = "Give the folder that holds it" if root is None else f"{root} has no such folder"
        raise InputError(
            f"This study needs the images of {data.title} in a folder named {name}. {where}: "
            f"--data FOLDER, with FOLDER/{name} in any layout that `fissura train` takes."
        )
    return root / name
