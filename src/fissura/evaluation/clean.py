"""`load_clean_photos`: photos without crack as a labeled set, to measure false alarms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from fissura.data.folder import Skipped, find_images, find_pairs
from fissura.data.images import read_image
from fissura.data.masks import read_mask
from fissura.data.preparation.load import PreparedSet
from fissura.data.preparation.protocols import Protocol, prepare_all, windows
from fissura.data.splits import group_of
from fissura.errors import InputError
from fissura.evaluation.options import EvaluateOptions


def load_clean_photos(data: Path, options: EvaluateOptions, protocol: Protocol) -> PreparedSet:
    """Read photos that show no crack, with masks that are empty.

    Args:
        data: Folder of photos, with or without masks. Masks that are there must be empty.
        options: With `skip_bad`, files that cannot be used are left out and listed.
        protocol: How photos become images; images without crack are kept whatever it says.

    Returns:
        The prepared images, in natural order of their files.

    Raises:
        InputError: There are no photos, one cannot be read, or a mask marks anything.
    """
    protocol = replace(protocol, cracks_only=False)
    skipped: list[Skipped] = []
    images, names, scales = [], [], []
    for file, mask in _photos(data):
        try:
            if mask is not None and len(np.unique(read_mask(mask))) > 1:
                raise InputError(f"{mask} marks something, and --clean means photos without crack.")
            photo = read_image(file)
            empty = np.zeros(photo.shape[:2], np.bool_)
            cuts = windows(photo.shape[:2], protocol)
            made = prepare_all(photo, empty, protocol)
        except InputError as error:
            if not options.skip_bad:
                raise
            skipped.append(Skipped(file, str(error)))
            continue
        name = file.relative_to(data).with_suffix("").as_posix() if data.is_dir() else file.stem
        for cut, (image, _) in zip(cuts, made, strict=True):
            images.append(image)
            names.append(name if len(cuts) == 1 else f"{name}_r{cut.row}_c{cut.column}")
            scales.append(image.shape[0] / cut.height)
    if not images:
        raise InputError(f"None of the photos in {data} can be used: {skipped[0].reason}")
    return PreparedSet(
        images=images,
        masks=[np.zeros(image.shape[:2], np.bool_) for image in images],
        names=names,
        groups=[group_of(name) for name in names],
        protocol=protocol,
        scale=float(np.median(scales)),
        mask_rule="none: the photos were said to show no crack",
        split_rule="all photos of the folder, said to show no crack",
        skipped=skipped,
    )


def _photos(data: Path) -> list[tuple[Path, Path | None]]:
    """List photos with their masks, where the folder has masks."""
    try:
        folder = find_pairs(data)
    except InputError:
        return [(file, None) for file in find_images([data])]
    return [(pair.image, pair.mask) for pairs in folder.splits.values() for pair in pairs]
