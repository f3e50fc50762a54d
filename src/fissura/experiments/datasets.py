"""The data of the experiments: where it lies, or how it is drawn."""

from __future__ import annotations

from pathlib import Path

from fissura.data.synthetic.dataset import synth
from fissura.errors import InputError
from fissura.experiments.experiment import DataSet, Panels

DEEPCRACK = DataSet("deepcrack", "DeepCrack-DB", "deepcrack96")
CRACK500 = DataSet("crack500", "CRACK500", "crack500")
# Whole tiles with cracks and without, in 40 groups of exposures that stay together.
MAGNETIC_TILE = DataSet("magnetic_tile", "Magnetic tile", "native", crop=128)


def panels(crack_fraction: float = 0.0315, count: int = 2051) -> DataSet:
    """Name synthetic panels; the defaults stand in for the paper's private PanelCrack.

    >>> panels(0.01, 200).name
    'panels-1pc-200'
    """
    drawn = Panels(crack_fraction, count)
    return DataSet(
        f"panels-{100 * crack_fraction:g}pc-{count}",
        f"Synthetic panels, {100 * crack_fraction:g} %",
        "panel128",
        panels=drawn,
    )


def locate(data: DataSet, root: Path | None, study: Path) -> Path:
    """Return the folder of a data set; draw synthetic panels into the study's folder once.

    root: the folder that holds the real data sets, each in a folder of its name.

    Raises `InputError` where a real data set isn't there.
    """
    if data.panels is not None:
        folder = study / "data" / data.name
        if not folder.exists():
            shape = {"count": data.panels.count, "crack_fraction": data.panels.crack_fraction}
            synth(folder, size_hw=(128, 128), seed=0, **shape)
        return folder
    if root is None or not (root / data.name).is_dir():
        where = "Give the folder that holds it" if root is None else f"{root} has no such folder"
        raise InputError(
            f"This study needs the images of {data.title} in a folder named {data.name}. {where}: "
            f"--data FOLDER, with FOLDER/{data.name} in any layout that `fissura train` takes."
        )
    return root / data.name
