"""The files of a source: images found by the names that annotations give them, never outside."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fissura.data.formats.annotation import AnnotatedImage, AnnotatedSet, Shape
from fissura.data.images import SUFFIXES, read_size, unreadable_format
from fissura.data.layouts import placed
from fissura.data.walk import Skipped, below, natural_order, walk
from fissura.errors import InputError
from fissura.pillow import opened_image

# What Label Studio puts before the names of files that were uploaded to it.
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")


@dataclass(frozen=True, eq=False)
class Source:
    """A folder with annotations and images.

    Attributes:
        root: The folder. Nothing outside of it is opened, whatever annotations say.
        files: Its files in natural order.
        given: The annotation files to read; all of the folder unless one was named.
    """

    root: Path
    files: tuple[Path, ...]
    given: tuple[Path, ...]

    @classmethod
    def of(cls, path: Path, photos: Sequence[Path] | None = None) -> Source:
        """List the files of a folder, or of the folder that an annotation file belongs to.

        Args:
            path: The folder or file.
            photos: The images that annotations may mean, where these lie elsewhere.
        """
        if photos is not None:
            given = (path,) if path.is_file() else tuple(f for f in walk(path) if f.is_file())
            files = tuple(photo.absolute() for photo in photos)
            return cls(Path(os.path.commonpath([f.parent for f in files])), files, given)
        if path.is_dir():
            files = tuple(file for file in walk(path) if not file.is_dir())
            return cls(path, files, files)
        root = path.parent
        if placed(path, root.parent).role == "mask" and root.name:  # DATA/annotations/a.json
            root = root.parent
        files = tuple(file for file in walk(root) if not file.is_dir())
        return cls(root, files, (path,))

    def ending(self, *suffixes: str) -> list[Path]:
        """Annotation files with one of these suffixes, in lower case."""
        return [file for file in self.given if file.suffix.lower() in suffixes]

    @cached_property
    def images(self) -> list[Path]:
        """The image files."""
        return [file for file in self.files if file.suffix.lower() in SUFFIXES]

    @cached_property
    def _by_last_name(self) -> dict[str, list[Path]]:
        """Image files by their last names; case counts, as it does in annotations."""
        found: dict[str, list[Path]] = defaultdict(list)
        for file in self.images:
            found[file.name].append(file)
        return found

    def find_image(self, name: object, annotation: Path) -> Path:
        """Find the image that an annotation names.

        Only files below the root are looked at. Of a path that was written on another machine
        (absolute, or with `..`) or of a URL, as much of its end counts as fits.

        Args:
            name: The name as it is written.
            annotation: The file that names it; of several that fit, the image nearest to it.

        Raises:
            InputError: There is none, or it is unclear which one is meant.
        """
        if not isinstance(name, str) or not name.strip():
            raise InputError("names no image")
        parts = _parts(name)
        if not parts:
            raise InputError(f"names no image, but {name[:80]!r}")
        candidates = self._by_last_name.get(parts[-1]) or self._by_last_name.get(
            _UPLOAD.sub("", parts[-1]), []
        )
        if not candidates:
            raise InputError(f"the image {name[:200]} is missing")
        fit = {file: _common_end(file.relative_to(self.root).parts, parts) for file in candidates}
        best = [file for file in candidates if fit[file] == max(fit.values())]
        if len(best) > 1:
            near = {file: _common_start(file.parent, annotation.parent) for file in best}
            best = [file for file in best if near[file] == max(near.values())]
        if len(best) > 1:
            others = " and ".join(below(file, self.root) for file in best[:2])
            raise InputError(f"the image {name[:200]} may be {others}")
        return best[0]


@dataclass(eq=False)
class Gathered:
    """Images, labels, and what went wrong, as a reader goes through its files."""

    source: Source
    images: list[AnnotatedImage] = field(default_factory=list)
    labels: dict[str, None] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[Path, None] = field(default_factory=dict)

    def skip(self, file: Path, reason: object) -> None:
        """Leave out a file."""
        self.skipped.append(Skipped(file, str(reason).removeprefix(f"{file}: ").rstrip(".")))

    def add(
        self,
        image: Path,
        shapes: Iterable[Shape] | Callable[[tuple[int, int]], Iterable[Shape]],
        annotation: Path,
        *,
        size_hw: tuple[Any, Any] | None = None,
        split: str | None = None,
        name: str = "",
        stored: Callable[[], bytes] | None = None,
    ) -> None:
        """Add an image; one that cannot be used costs itself.

        Args:
            image: The file.
            shapes: Its shapes, or what makes them from the size of the image; may raise.
            annotation: The file that they come from.
            size_hw: Height and width as the annotation states them, if it does.
            split: Of the image; by the names of folders unless given.
            name: Of the image; its path unless given.
            stored: Gives the bytes of an image that lies inside the file `image`.
        """
        try:
            if stored is not None:
                as_stored = shown = _size_of(stored())
            elif reason := unreadable_format(image):
                raise InputError(reason)
            else:
                as_stored, shown = read_size(image)
            frame = frame_of(size_hw, as_stored, shown)
            made = tuple(shapes(frame) if callable(shapes) else shapes)
        except InputError as error:
            self.skip(image, error)
            return
        self.files[annotation] = None
        self.labels |= dict.fromkeys(shape.label for shape in made if not shape.ignored)
        self.images.append(
            AnnotatedImage(
                image=image,
                name=name or below(image.with_suffix(""), self.source.root),
                split=self.split_of(image) if split is None else split,
                size_hw=frame,
                shapes=made,
                stored=stored,
            )
        )

    def split_of(self, file: Path) -> str:
        """The split that the names of a file's folders mean."""
        return placed(file, self.source.root).split if file.is_relative_to(self.source.root) else ""

    def finished(self, name: str) -> AnnotatedSet:
        """Return everything as a set; images that are annotated twice are left out."""
        by_image: dict[tuple[Path, str], list[AnnotatedImage]] = defaultdict(list)
        for image in self.images:
            by_image[image.image, image.name].append(image)
        for (file, _), same in by_image.items():
            if len(same) > 1:
                self.skip(file, f"is annotated {len(same)} times")
        once = [same[0] for same in by_image.values() if len(same) == 1]
        files = [below(file, self.source.root) for file in self.files]
        where = ", ".join(files) if len(files) <= 3 else f"{len(files)} files"
        return AnnotatedSet(
            format=f"{name} ({where})" if files else name,
            root=self.source.root,
            images=tuple(sorted(once, key=lambda image: natural_order(image.name))),
            labels=tuple(self.labels),
            skipped=tuple(self.skipped),
            notes=tuple(dict.fromkeys(self.notes)),
        )


def not_used(count: int, noun: str, lack: str) -> str:
    """Say that things lack something and are not used.

    >>> not_used(1, "photo", "no mask")
    '1 photo has no mask and is not used.'
    """
    if count == 1:
        return f"1 {noun} has {lack} and is not used."
    return f"{count} {noun}s have {lack} and are not used."


def frame_of(
    stated_hw: tuple[Any, Any] | None, stored: tuple[int, int], shown: tuple[int, int]
) -> tuple[int, int]:
    """Return the frame that shapes lie in: the image as shown or as stored, whichever was stated.

    Raises:
        InputError: The annotation states another size.
    """
    if stated_hw is None or None in stated_hw:
        return shown
    if stated_hw in (shown, stored):
        return stated_hw
    height, width = stated_hw
    raise InputError(
        f"has {shown[1]}×{shown[0]} pixels (width × height), but is annotated as "
        f"{str(width)[:20]}×{str(height)[:20]}"
    )


def _size_of(data: bytes) -> tuple[int, int]:
    """Height and width of an image in memory."""
    with opened_image(data, "the image within it") as image:
        return image.height, image.width


def _parts(name: str) -> list[str]:
    """Names of folders and file in a path or URL, from any system."""
    if "?d=" in name:  # Label Studio's local files: /data/local-files/?d=folder/1.jpg
        name = name.split("?d=", 1)[1]
    if re.match(r"[a-z]\w+://", name, re.IGNORECASE):
        name = name.split("?")[0].split("://", 1)[1]
    if "%" in name:
        name = unquote(name)
    return [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]


def _common_end(one: Iterable[str], other: Iterable[str]) -> int:
    """How many names two paths have in common at their ends."""
    count = 0
    for a, b in zip(reversed(list(one)), reversed(list(other)), strict=False):
        if a != b:
            break
        count += 1
    return count


def _common_start(one: Path, other: Path) -> int:
    """How many folders two paths have in common."""
    count = 0
    for a, b in zip(one.parts, other.parts, strict=False):
        if a != b:
            break
        count += 1
    return count
