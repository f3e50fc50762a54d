"""Find image/mask pairs in a folder, whatever its layout."""

from __future__ import annotations

import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fissura.data.annotation_options import AnnotationOptions
from fissura.data.formats.annotation import AnnotatedSet
from fissura.data.formats.painted import paint
from fissura.data.formats.recognize import read_annotations
from fissura.data.images import RAW, SUFFIXES, read_size, size_difference, unreadable_format
from fissura.data.labels import Labels
from fissura.data.layouts import (
    LAYOUTS,
    SPLITS,
    Placed,
    placed,
    split_hinted,
    tell_apart,
)
from fissura.data.pairs import Pair
from fissura.data.partners import Partners, add_ignored, find_partners
from fissura.data.walk import Skipped, below, natural_order, refuse_bad, walk
from fissura.errors import InputError

__all__ = ["Folder", "Pair", "Skipped", "find_images", "find_pairs", "natural_order", "refuse_bad"]

CRACK_OR_NOT = Labels()
DEFAULTS = AnnotationOptions()
MOST_NOTES = 5
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


@dataclass(frozen=True)
class Folder:
    """The pairs that a folder holds.

    Attributes:
        root: The folder.
        layout: Where images and masks lie, in words.
        splits: The pairs of "train", "val" and "test", those that the folder has; or all under
            "all" where the folder is not split.
        skipped: The files that were left out, with `skip_bad`.
        notes: What was noticed while annotations became masks, in sentences.
    """

    root: Path
    layout: str
    splits: dict[str, list[Pair]]
    skipped: list[Skipped]
    notes: tuple[str, ...] = ()

    def described(self) -> str:
        """Return layout and notes in words, without a period at the end."""
        shown = list(self.notes[:MOST_NOTES])
        if more := len(self.notes) - len(shown):
            shown.append(f"And {more} more of the kind.")
        return " ".join([f"{self.layout}.", *shown]).rstrip(".")


def find_pairs(
    root: Path,
    *,
    skip_bad: bool = False,
    labels: Labels = CRACK_OR_NOT,
    empty_if_missing: bool = False,
    annotations: AnnotationOptions = DEFAULTS,
) -> Folder:
    """Find the image/mask pairs of a folder and check that they fit.

    Annotations of labeling tools (`fissura.data.formats`) are recognized by their content, and
    their masks are painted into the cache; `root` may be the annotation file, too. Where photos and
    masks are paired by their names, these count.

    Folder names at any depth say which split a file belongs to (train, val, test and their
    spellings) and whether it is an image or a mask; words may be joined and numbered (`train_img`,
    `valcrop`, `train2017`). Where no folder is for masks, a mask lies beside its image and has an
    ending (`1_mask.png`), or the same name in another format (`1.png` beside `1.jpg`). Hidden files
    are ignored. Pairs are in natural order (2 before 10), whatever the file system's.

    Photos below a folder `good` need no mask. A mask in a folder `ignored` (or `unlabeled`, `void`)
    marks the pixels of its photo that have no label.

    Files are opened for their size alone; `fissura.data.preparation.load.load_split` reads the
    pixels.

    Args:
        root: The folder, or a file with annotations.
        skip_bad: Go on without bad files, which are then in the result's `skipped`, as long as a
            pair is left.
        labels: The classes. Where these overlap, each has masks of its own, in a folder of its name
            below the folder of masks.
        empty_if_missing: Photos without a mask show no crack.
        annotations: How annotations become masks.

    Raises:
        InputError: Where the folder is missing or holds no pairs, where a name seems to mean a
            split but is not understood, or where a file is unreadable, unpaired, or has another
            size than its partner: all of them are named.
    """
    if not root.exists():
        raise InputError(f"The folder {root} does not exist.")
    if (annotated := read_annotations(root)) is not None:
        return _from_annotations(annotated, annotations, labels, skip_bad)
    if root.suffix.lower() in ARCHIVES:
        raise InputError(f"{root} is an archive. Unpack it, and give the folder.")
    if not root.is_dir():
        raise InputError(
            f"{root} is a file that holds no annotations of a known format. Give the folder that "
            "holds the images and masks."
        )
    walked = _images(walk(root))
    unread = [Skipped(path, reason) for path in walked if (reason := _unreadable(path))]
    left_out = {bad.file for bad in unread}
    files = [placed(path, root) for path in walked if path not in left_out]
    _refuse_unclear(files, root)
    if not files:
        refuse_bad(unread, root, go_on=False)
        raise InputError(f"{root} holds no images ({_endings()}).\n{LAYOUTS}")
    ignored = [file for file in files if file.role == "ignored"]
    images, masks = tell_apart([file for file in files if file.role != "ignored"])
    if not masks or not images:
        found, missing = ("images", "masks") if images else ("masks", "images")
        raise InputError(
            f"{root} holds {found} (such as {below(files[0].path, root)}) but no {missing}.\n"
            f"{LAYOUTS}"
        )
    found, lone_images, lone_masks = find_partners(
        images,
        masks,
        labels.classes if labels.overlapping else (),
        empty_if_missing=empty_if_missing,
    )
    found, lone_ignored = add_ignored(found, ignored)
    if all(partners.empty for _, partners in found):
        raise InputError(
            f"No image in {root} has a mask of the same name: there are, for example, the image "
            f"{below(images[0].path, root)} and the mask {below(masks[0].path, root)}.\n{LAYOUTS}"
        )
    skipped = unread + [_unpaired(file, "mask") for file in lone_images]
    skipped += [_unpaired(file, "image") for file in lone_masks + lone_ignored]
    splits, layout, outside = _sort_into_splits(found, root)
    skipped += outside
    splits = {split: _keep_good(listed, skipped) for split, listed in splits.items()}
    splits = {split: listed for split, listed in splits.items() if listed}
    refuse_bad(skipped, root, go_on=skip_bad and bool(splits))
    return Folder(root, layout, splits, skipped)


def find_images(paths: list[Path]) -> list[Path]:
    """List the images meant by files and folders, without doubles.

    Files are taken as they are given, folders with everything below them that has an image's
    suffix and is not hidden, in natural order (2 before 10). Photos that cannot be read here (HEIC
    without its extra, raw photos of cameras that have no other format beside them) and folders
    that may not be opened are listed as well: reading them says why they are left out.

    Args:
        paths: Files and folders.

    Raises:
        InputError: Where a path does not exist, a folder has no images, or nothing is given.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist. Give image files, or folders with images.")
        files = _images(walk(path)) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path} holds no images ({_endings()}).")
        found |= dict.fromkeys(files)
    if not found:
        raise InputError(f"No images are given ({_endings()}).")
    return list(found)


def _from_annotations(
    annotated: AnnotatedSet, options: AnnotationOptions, labels: Labels, skip_bad: bool
) -> Folder:
    """Paint the masks of an annotated set, and sort its images into their splits."""
    root, skipped = annotated.root, list(annotated.skipped)
    images = [image.image for image in annotated.images if image.image.is_relative_to(root)]
    _refuse_unclear([placed(image, root) for image in images], root)
    painted, bad, notes = paint(annotated, options, labels)
    skipped += bad
    any_split = any(one.split for one in painted)
    splits: dict[str, list[Pair]] = defaultdict(list)
    for one in painted:
        if any_split and not one.split:
            skipped.append(Skipped(one.image, "belongs to none of train, val and test"))
            continue
        pair = Pair(one.name, one.image, one.mask, one.ignored, one.layers)
        splits[one.split or "all"].append(pair)
    good = {s: _keep_good(splits[s], skipped) for s in (*SPLITS, "all") if s in splits}
    good = {split: listed for split, listed in good.items() if listed}
    refuse_bad(skipped, root, go_on=skip_bad and bool(good))
    if not good:
        raise InputError(f"{root} has annotations ({annotated.format}), but of no image.")
    return Folder(root, f"annotations of {annotated.format}", good, skipped, tuple(notes))


def _endings() -> str:
    return f"files ending in {', '.join(sorted(SUFFIXES))}"


def _images(files: list[Path]) -> list[Path]:
    """Image files among files, and folders in a file's place, which may not be opened.

    Raw photos are passed over where another format lies beside them, as cameras write both.
    """
    stems = {path.with_suffix("") for path in files if path.suffix.lower() in SUFFIXES}
    return [
        path
        for path in files
        if path.suffix.lower() in SUFFIXES
        or (path.suffix.lower() in RAW and path.with_suffix("") not in stems)
        or path.is_dir()
    ]


def _unreadable(path: Path) -> str | None:
    """Why a photo, or a folder in a photo's place, cannot be read, as far as its name tells."""
    return "permission denied" if path.is_dir() else unreadable_format(path)


def _refuse_unclear(files: list[Placed], root: Path) -> None:
    """Raise where folder names seem to mean splits, and a random split would be drawn over them."""
    unclear = sorted({file.unclear for file in files if file.unclear})
    splits = {split_hinted(name) for name in unclear} | {file.split for file in files} - {""}
    if unclear and len(splits) > 1:
        raise InputError(
            f"{root}: the folders {', '.join(unclear)} seem to mean training and testing, but "
            "their names are not understood. Rename them to train, val and test (numbers may "
            "follow, such as train2017), so that no test image is trained on.\n" + LAYOUTS
        )


def _unpaired(file: Placed, partner: str) -> Skipped:
    return Skipped(file.path, f"has no {partner} of that name, or the name is not unique")


def _sort_into_splits(
    found: list[tuple[Placed, Partners]], root: Path
) -> tuple[dict[str, list[Pair]], str, list[Skipped]]:
    splits: dict[str, list[Pair]] = defaultdict(list)
    places: dict[str, None] = {}
    outside: list[Skipped] = []
    any_split = any(image.split for image, _ in found)
    for image, its in sorted(found, key=lambda pair: natural_order(below(pair[0].path, root))):
        if any_split and not image.split:
            outside.append(Skipped(image.path, "lies in none of the folders train, val and test"))
            continue
        name = below(image.path.with_suffix(""), root)
        pair = Pair(name, image.path, its.mask, its.ignored, its.layers)
        splits[image.split or "all"].append(pair)
        photos = below(image.path.parent, root)
        folders = sorted({below(mask.parent, root) for mask in pair.masks})
        beside = "beside them" if folders == [photos] else f"in {', '.join(folders)}"
        ignored = "" if its.ignored is None else f", ignored pixels in {its.ignored.parent.name}"
        told = (
            f"without masks and without crack, {its.empty}"
            if its.empty
            else (f"with masks {beside}{ignored}")
        )
        places[f"{photos} {told}"] = None
    layout = "; ".join(places) if len(places) <= 6 else f"{len(places)} folders with images"
    return {s: splits[s] for s in (*SPLITS, "all") if s in splits}, layout, outside


def _keep_good(pairs: list[Pair], skipped: list[Skipped]) -> list[Pair]:
    """The pairs whose files can be read and fit; the others go into `skipped`."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        problems = list(pool.map(_problem, pairs))
    skipped += [problem for problem in problems if problem]
    return [pair for pair, problem in zip(pairs, problems, strict=True) if not problem]


def _problem(pair: Pair) -> Skipped | None:
    sizes = []
    files = [pair.image, *pair.masks, *([] if pair.ignored is None else [pair.ignored])]
    for path in files:
        try:
            sizes.append(read_size(path))
        except InputError as error:
            return Skipped(path, str(error).removeprefix(f"{path}: ").rstrip("."))
    stored, shown = sizes[0]
    for path, (mask_stored, mask_shown) in zip(files[1:], sizes[1:], strict=True):
        if shown != mask_shown and stored != mask_stored:
            return Skipped(path, size_difference(shown, mask_shown))
    return None
