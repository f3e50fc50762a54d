"""MVTec AD, and what anomalib calls so: train/good, test/DEFECT and ground_truth/DEFECT.

The format: https://www.mvtec.com/company/research/datasets/mvtec-ad. Its training photos show no
defect, for networks that learn what is normal; here photos with defects are needed, so all photos
are put together and split anew.
"""

from __future__ import annotations

from pathlib import Path

from fissura.data.formats.annotation import Shape
from fissura.data.formats.mask_files import mask_shapes
from fissura.data.formats.source import Gathered, Source
from fissura.errors import InputError

NAME = "MVTec"
GOOD, TRUTH = "good", "ground_truth"


def has_mvtec(source: Source) -> bool:
    """Whether a source has defects with masks, beside a folder of good photos."""
    tops = _tops(source)
    return any(file.parent == top / "train" / GOOD for top in tops for file in source.images)


def read_mvtec(gathered: Gathered) -> None:
    """Read all photos of a source; the label of a defect is the name of its folder."""
    source = gathered.source
    for top in _tops(source):
        masks = {
            (file.parent.name, file.stem.removesuffix("_mask")): file
            for file in source.images
            if file.parent.parent == top / TRUTH
        }
        for photo in source.images:
            if photo.parent.parent not in (top / "train", top / "test"):
                continue
            defect = photo.parent.name
            if defect == GOOD:
                gathered.add(photo, [], photo, split="")
                continue
            mask = masks.pop((defect, photo.stem), None)
            if mask is None:
                gathered.skip(photo, f"has no mask in {TRUTH}/{defect}")
                continue
            try:
                shapes, size_hw = _shapes(mask, defect)
            except InputError as error:
                gathered.skip(mask, error)
                continue
            gathered.add(photo, shapes, mask, size_hw=size_hw, split="")
        for mask in masks.values():
            gathered.skip(mask, "has no photo of that name")
    gathered.files = {top / TRUTH: None for top in _tops(source)}
    gathered.notes.append(
        "MVTec's photos to train on show no defect: all photos are put together and split anew."
    )


def _tops(source: Source) -> list[Path]:
    """Folders that have masks of defects."""
    return sorted(
        {file.parent.parent.parent for file in source.images if file.parent.parent.name == TRUTH}
    )


def _shapes(mask: Path, defect: str) -> tuple[list[Shape], tuple[int, int]]:
    """The shapes of a mask: every value but 0 is the defect."""
    return mask_shapes(mask, {0: ""} | dict.fromkeys(range(1, 65536), defect))
