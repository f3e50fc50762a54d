"""Lay out the data of the shipped model: DeepCrack, CRACK500 and synthetic panels in one folder.

    python recipes/mix.py DATA OUT [--every 3]

DATA holds deepcrack and crack500, each with train/images and train/masks; their test splits are
not touched. OUT gets train and val folders that link to those photos, and panels beside them.

- DeepCrack: whole photos (by `group_of`) go to validation, a tenth of the images. The others
  are linked three times, since a photo has 1.6 times the pixels of a CRACK500 crop and there are
  four times as many of those, with coarser masks.
- CRACK500: neighboring numbers can come from one photo, so validation takes a whole block of 74,
  the eleventh.
- `--every N` keeps each N-th training crop of CRACK500 alone, for the second stage.
- Panels: 240 of 256×256 pixels, 3.15 % crack, a tenth for validation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fissura.data.folder import find_pairs
from fissura.data.splits import split_groups
from fissura.data.synthetic.dataset import synth
from fissura.files import new_folder

SEED = 0
DEEPCRACK_COPIES = 3
BLOCK, VALIDATION_BLOCK = 74, 10  # of CRACK500
PANELS, PANEL_HW = 240, (256, 256)


def mix(data: Path, out: Path, every: int) -> None:
    """Make the folder `out`; every run makes the same one."""
    with new_folder(out) as folder:
        deepcrack = find_pairs(data / "deepcrack").splits["train"]
        chosen = split_groups([pair.name for pair in deepcrack], {"train": 9, "val": 1}, SEED)
        for split, copies in (("train", DEEPCRACK_COPIES), ("val", 1)):
            for pair in (deepcrack[index] for index in chosen[split]):
                for copy in range(copies):
                    name = f"deepcrack_{Path(pair.name).name}_copy{copy}"
                    _link(folder / split, name, pair.image, pair.mask)
        for number, pair in enumerate(find_pairs(data / "crack500").splits["train"]):
            split = "val" if number // BLOCK == VALIDATION_BLOCK else "train"
            if split == "train" and number % every:
                continue
            _link(folder / split, f"crack500_{Path(pair.name).name}", pair.image, pair.mask)
        panels = folder / "panels"
        synth(panels, count=PANELS, size_hw=PANEL_HW, test_fraction=0.1, seed=SEED)
        for theirs, split in (("train", "train"), ("test", "val")):
            for image in sorted((panels / theirs / "images").iterdir()):
                mask = panels / theirs / "masks" / image.name
                for file, kind in ((image, "images"), (mask, "masks")):
                    file.rename(folder / split / kind / image.name)
        for emptied in (panels / "train", panels / "test"):
            for below in ("images", "masks"):
                (emptied / below).rmdir()
            emptied.rmdir()


def _link(split: Path, name: str, image: Path, mask: Path) -> None:
    """Link a photo and its mask into a split, under another name."""
    for kind, file in (("images", image), ("masks", mask)):
        (split / kind).mkdir(parents=True, exist_ok=True)
        (split / kind / f"{name}{file.suffix}").symlink_to(file.resolve())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    mix(asked.data, asked.out, asked.every)
