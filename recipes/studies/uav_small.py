"""Cut the photos of uav_concrete into windows of 128×128, parted by places, for a study.

    python recipes/studies/uav_small.py DATA/uav_concrete OUT

Nine windows of each photo of 448×448. Neighboring numbers show one place, so that blocks of 60
numbers stay together; every fourth block is to test. The data are CC0 (see docs/data.md for
terms); OUT must not exist.
"""

import re
import sys
from pathlib import Path

import cv2

from fissura.files import new_folder

SIDE, STEP, BLOCK, EVERY = 128, 160, 60, 4


def main(source: Path, out: Path) -> None:
    """Cut all photos of `source` and write them into `out`."""
    written = {"train": 0, "test": 0}
    with new_folder(out) as folder:
        for file in sorted((source / "images").iterdir()):
            number = re.search(r"(\d+)", file.stem)
            if number is None:
                raise SystemExit(f"{file} has no number in its name.")
            split = "test" if int(number[1]) // BLOCK % EVERY == EVERY - 1 else "train"
            masks = sorted((source / "masks").glob(f"{file.stem}.*"))
            if len(masks) != 1:
                raise SystemExit(f"{file} has not exactly one mask in {source / 'masks'}.")
            written[split] += cut(file, masks[0], folder / split)
    print(f"Written: {out} with {written['train']} windows to train on, {written['test']} to test.")


def cut(image: Path, mask: Path, folder: Path) -> int:
    """Write the windows of a photo and its mask; return their number."""
    number = 0
    for part, file, flag in (
        ("images", image, cv2.IMREAD_COLOR),
        ("masks", mask, cv2.IMREAD_GRAYSCALE),
    ):
        (folder / part).mkdir(parents=True, exist_ok=True)
        pixels = cv2.imread(str(file), flag)
        assert pixels is not None, file
        number = 0
        for top in range(0, pixels.shape[0] - SIDE + 1, STEP):
            for left in range(0, pixels.shape[1] - SIDE + 1, STEP):
                window = pixels[top : top + SIDE, left : left + SIDE]
                cv2.imwrite(str(folder / part / f"{image.stem}_tile{number}.png"), window)
                number += 1
    return number


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
