"""The data sets that a recipe names: their folders, or synthetic panels drawn on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fissura.data.synthetic.dataset import synth
from fissura.errors import InputError
from fissura.study.subsets import write_subset
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
        protocol: How photos become training images: a key of
            `fissura.data.preparation.protocols.PROTOCOLS`.
        crop: Side of the random crops in training, in pixels. Without it, small images of one
            size are taken whole and others are cropped to 256.
        panels: How to draw it, where it is synthetic.
        folder: Its folder below --data; `name` unless given, and "." for --data itself.
        training_images: Number of its training images that are trained on; all unless given.
        validation_images: Number of its training images that are set aside before, to choose the
            threshold: the same ones for any number of training images.
    """

    name: str
    title: str = ""
    protocol: ProtocolName = "native"
    crop: int | None = None
    panels: Panels | None = None
    folder: str | None = None
    training_images: int | None = None
    validation_images: int | None = None

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.name)


# The folder behind --data, in any layout that `fissura train` takes.
OWN_DATA = DataSet("data", "Your data", folder=".")


def panels(
    crack_fraction: float = 0.0315,
    count: int = 2051,
    *,
    training_images: int | None = None,
    validation_images: int | None = None,
) -> DataSet:
    """Name synthetic panels; the defaults stand in for the paper's private PanelCrack.

    Args:
        crack_fraction: Mean fraction of crack pixels, 0 to 0.2.
        count: Number of images, a quarter of them to test.
        training_images: As in `DataSet`.
        validation_images: As in `DataSet`.

    >>> panels(0.01, 200).name
    'panels-1pc-200'
    """
    drawn = DataSet(
        f"panels-{100 * crack_fraction:g}pc-{count}",
        f"Synthetic panels, {100 * crack_fraction:g} %",
        "panel128",
        panels=Panels(crack_fraction, count),
    )
    return subset(drawn, training_images, validation_images)


def subset(
    data: DataSet, training_images: int | None, validation_images: int | None = None
) -> DataSet:
    """Name a part of a data set: some of its training images, and all of its test images.

    Args:
        data: The data set.
        training_images: As in `DataSet`; the same images are in any larger number.
        validation_images: As in `DataSet`.

    >>> subset(DataSet("bridges"), 25, 40).name
    'bridges-25of-40val'
    """
    name, title = data.name, data.title
    if training_images is not None:
        name, title = f"{name}-{training_images}of", f"{title}, {training_images} images"
    if validation_images is not None:
        name = f"{name}-{validation_images}val"
    return replace(
        data,
        name=name,
        title=title,
        folder=None if data.panels else data.folder or data.name,
        training_images=training_images,
        validation_images=validation_images,
    )


def locate(data: DataSet, root: Path | None, study: Path) -> Path:
    """Return the folder of a data set; draw panels and choose subsets in the study's folder once.

    Args:
        data: The data set.
        root: Folder that holds the real data sets: what --data names.
        study: Folder of the study.

    Returns:
        A folder in a layout that `fissura train` takes.

    Raises:
        InputError: A real data set is not there, or has too few images.
    """
    whole = _whole(data, root, study)
    if data.training_images is None and data.validation_images is None:
        return whole
    folder = study / "data" / data.name
    if not folder.exists():
        write_subset(
            whole, folder, train=data.training_images, validation=data.validation_images or 0
        )
    return folder


def _whole(data: DataSet, root: Path | None, study: Path) -> Path:
    """Return the folder of a data set with all its images."""
    if data.panels is not None:
        folder = study / "data" / panels(data.panels.crack_fraction, data.panels.count).name
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
