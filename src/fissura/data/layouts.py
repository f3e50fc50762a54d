"""Tell from the names of folders and files what is an image, what its mask, and in which split."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from fissura.data.images import SUFFIXES

LAYOUTS = """\
Known layouts, here with train and test (there may be val, too), are
    DATA/train/images/1.jpg       DATA/train_img/1.jpg       DATA/train/1.jpg
    DATA/train/masks/1.png        DATA/train_lab/1.png       DATA/train/1_mask.png
    DATA/test/images/2.jpg        DATA/test_img/2.jpg        DATA/test/2.jpg
    DATA/test/masks/2.png         DATA/test_lab/2.png        DATA/test/2_mask.png
and without a split
    DATA/images/1.jpg             DATA/1.jpg                 DATA/1.jpg
    DATA/masks/1.png              DATA/1.png                 DATA/1_mask.png
and photos with the annotation files of COCO, YOLO segmentation, LabelMe, CVAT, Label Studio, VIA,
Supervisely, Pascal VOC, nnU-Net, MVTec, Roboflow or Hugging Face."""

SPLITS = {"train": "train(?:ing)?|tr", "val": "val(?:id(?:ation)?)?", "test": "test(?:ing)?|ts"}
IMAGE_WORDS = "images?|imgs?|photos?|pictures?|inputs?|originals?"
MASK_WORDS = "masks?|labels?|gts?|ground_?truths?|annotations?|ann|targets?|seg(?:mentations?|s)?"
IGNORED_WORDS = "ignored?|unlabell?ed|void|dont_?care"  # masks of pixels without a label
LAB = "lab"  # a mask in `train_lab`, but in a folder of that name a laboratory
FILLERS = r"data|crop(?:s|ped)?|set|dir|fold|split|px|v(?=\d)|(?<=\d)x(?=\d)"

_WORD = re.compile(
    "|".join(
        [f"(?P<{split}>{words})" for split, words in SPLITS.items()]
        + [f"(?P<image>{IMAGE_WORDS})", f"(?P<mask>{MASK_WORDS})", f"(?P<lab>{LAB})"]
        + [f"(?P<ignored>{IGNORED_WORDS})"]
        + [FILLERS, r"(?P<number>\d+)", "[ _.-]+"]
    ),
    re.IGNORECASE,
)
_MASK_ENDING = re.compile(rf"[ _.-](?:{MASK_WORDS})$", re.IGNORECASE)
_IMAGE_ENDING = re.compile(rf"[ _.-](?:{IMAGE_WORDS})$", re.IGNORECASE)
_CHANNEL = re.compile(r"_0000$")  # the first channel of nnU-Net's images; masks have no channels
_SPLIT_WORD = re.compile(
    r"(?:^|[\W_\d])(train|val|test)(?:ing|id|idation)?(?=$|[\W_\d]|(?-i:[A-Z]))", re.IGNORECASE
)
_BEGINNING = re.compile(rf"^(?:{IMAGE_WORDS}|{MASK_WORDS})[ _.-]", re.IGNORECASE)


@dataclass(frozen=True)
class Placed:
    """A file, and the meaning of its folders' names.

    Attributes:
        path: The file.
        split: "train", "val", "test" or "".
        role: "image", "mask", "ignored" (a mask of pixels without a label) or "".
        place: The names of folders that mean neither, and numbers in the others (`train_512`); an
            image and its mask have the same.
        unclear: A folder whose name seems to mean a split and is not understood, or "".
    """

    path: Path
    split: str
    role: str
    place: tuple[str, ...]
    unclear: str = ""


def placed(path: Path, root: Path) -> Placed:
    """Read the names of the folders between `root` and a file; the innermost has the last word."""
    split = role = unclear = ""
    place = []
    for name in path.relative_to(root).parts[:-1]:
        words = meanings(name)
        if words is None:
            place.append(name)
            unclear = name if split_hinted(name) else unclear
            continue
        split = next((word for word in words if word in SPLITS), split)
        role = next((word for word in words if word not in SPLITS), role)
        place += re.findall(r"\d+", name)
    return Placed(path, split, role, tuple(place), unclear)


def meanings(folder: str) -> set[str] | None:
    """Return the meanings of the words in a folder's name; None where any of it is no known word.

    Numbers are known beside a word (`train2017`), not alone.

    >>> sorted(meanings("Train_Images") or ())
    ['image', 'train']
    >>> meanings("bridge7") is None
    True
    """
    found: set[str] = set()
    position = 0
    while position < len(folder):
        word = _WORD.match(folder, position)
        if word is None:
            return None
        if word.lastgroup:
            found.add(word.lastgroup)
        position = word.end()
    numbered = "number" in found
    found.discard("number")
    if "lab" in found:
        if not found & SPLITS.keys():
            return None
        found = found - {"lab"} | {"mask"}
    contradiction = len(found & SPLITS.keys()) > 1 or len(found - SPLITS.keys()) > 1
    return None if contradiction or (numbered and not found) else found


def split_hinted(folder: str) -> str:
    """Return the split that a word in a folder's name seems to mean, or "".

    >>> split_hinted("crack_Test"), split_hinted("tests")
    ('test', '')
    """
    word = _SPLIT_WORD.search(folder)
    return word[1].lower() if word else ""


def tell_apart(files: list[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Divide files into images and masks.

    By their folders where there is any folder for masks; otherwise a mask is what has a mask's
    ending (`1_mask.png`), or the likelier one of two files with one name (`1.jpg`, `1.png`).
    """
    if any(file.role == "mask" for file in files):
        return [f for f in files if f.role != "mask"], [f for f in files if f.role == "mask"]
    by_name: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        by_name[file.path.with_suffix("")].append(file.path)
    masks: set[Path] = set()
    for name, same in by_name.items():
        if _MASK_ENDING.search(name.name):
            masks.update(same)
        elif len(same) > 1:
            masks.add(max(same, key=lambda path: SUFFIXES.index(path.suffix.lower())))
    return (
        [file for file in files if file.path not in masks],
        [file for file in files if file.path in masks],
    )


def match(
    images: list[Placed], masks: list[Placed]
) -> tuple[list[tuple[Placed, Path]], list[Placed], list[Placed]]:
    """Pair images with masks of the same split and place by their names.

    First by equal names (`1.jpg`, `1.png`), then without a mask's ending (`1_mask.png`), then
    without nnU-Net's channel (`1_0000.png`), then without any word for images or masks
    (`img_1.jpg`, `label_1.png`). A name that several go by is no match. Last come masks that lie in
    no split, such as MVTec's `ground_truth/crack/1_mask.png` of `test/crack/1.png`.

    Returns:
        The pairs, the images left over and the masks left over.
    """
    pairs: list[tuple[Placed, Path]] = []
    kept: list[Placed] = []
    everything = (_MASK_ENDING, _IMAGE_ENDING, _BEGINNING)
    passes = (
        ((), (), True),
        ((), (_MASK_ENDING,), True),
        ((_CHANNEL,), (), True),
        (everything, everything, True),
        (everything, everything, False),
    )
    for image_words, mask_words, by_split in passes:
        if not by_split:
            masks, kept = [m for m in masks if not m.split], [m for m in masks if m.split]
        by_key: dict[tuple[str, ...], tuple[list[Placed], list[Placed]]] = {}
        for side, files, words in ((0, images, image_words), (1, masks, mask_words)):
            for file in files:
                split = file.split if by_split else ""
                key = (split, *file.place, _without(file.path.stem, words))
                by_key.setdefault(key, ([], []))[side].append(file)
        found = [(i[0], m[0]) for i, m in by_key.values() if len(i) == len(m) == 1]
        pairs += [(image, mask.path) for image, mask in found]
        taken = {file.path for pair in found for file in pair}
        images = [file for file in images if file.path not in taken]
        masks = [file for file in masks if file.path not in taken]
    return pairs, images, masks + kept


def _without(stem: str, words: tuple[re.Pattern[str], ...]) -> str:
    for word in words:
        stem = word.sub("", stem)
    return stem
