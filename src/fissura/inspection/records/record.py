"""The record of one inspected photo: its cracks, resolution, coordinates and verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fissura.files.failures import printable
from fissura.georeference import Transform
from fissura.inspection.records.corrections import FOUND, Correction, ModelCrack
from fissura.inspection.records.facts import PhotoFacts
from fissura.inspection.rules.kinds import crack_kind
from fissura.inspection.rules.severity import Classes
from fissura.measurement.crack import Crack
from fissura.measurement.flatten import flatten
from fissura.measurement.perspective import Perspective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Without georeference: x to the right, y upwards, so that a GIS lays the cracks on the photo.
PIXELS: Transform = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
DOMAIN_WARNING = (
    "This photo is unlike those that the model was trained on: look at what it found, and at what "
    "it may have missed, before you trust either."
)
PIXEL_SYSTEM, LOCAL_SYSTEM = "pixels", "local"


@dataclass(frozen=True)
class Outline:
    """What vector formats have to know of a photo before they are given its cracks.

    Attributes:
        transform: Coefficients that turn pixels into coordinates.
        crs: Coordinate system; None for a plain photo.
        unit: Unit of its lengths and widths: mm or px.
        widths: Number of widths measured on it.
    """

    transform: Transform
    crs: str | None
    unit: str
    widths: int

    @property
    def key(self) -> str:
        """Identity of its coordinate system."""
        # Plain photos differ in their places alone, see `exporters.side_by_side`.
        plain = self.transform[:2] + self.transform[3:5] == PIXELS[:2] + PIXELS[3:5]
        return self.crs or (PIXEL_SYSTEM if plain else LOCAL_SYSTEM)


@dataclass(frozen=True, eq=False)
class Record:
    """A photo, its cracks, and the verdict on them.

    Attributes:
        file: The photo.
        name: Name of its results: its path below the folder of all inputs, without suffix.
        size_hw: Height and width in pixels.
        cracks: Longest first; in pixels of the photo until `flattened`.
        mm_per_pixel: Millimeters that a pixel shows, the mean one of a slanted surface; None where
            that is not known.
        resolution_source: Where `mm_per_pixel` comes from, in words; "unknown" where it is None.
        preview: The photo as RGB (h, w, 3), shrunk where it is large.
        preview_scale: Size of the preview over that of the photo, at most 1.
        transform: Coefficients that turn pixels into coordinates.
        crs: Coordinate system, such as EPSG:32633; None for a plain photo.
        runs: For each crack the runs of its pixels, (k, 2) first and one past the last, counted
            down the columns; None where the image is too large to have them all.
        specks: The runs of the pixels of its mask that belong to no crack; None as of `runs`.
        mask_sha256: Hash of the mask file that was measured; None where none was written.
        photo_digest: Digest of the photo's file as it was inspected; None where it is not known.
        perspective: How the photo shows a slanted surface; None where it is seen squarely.
        resolution_asked: What its own resolution followed from; empty where that of all photos
            counts.
        facts: When, where and with what it was taken, and of what.
        correction: What a corrected mask changed; None where the cracks are those of the model.
        unfamiliarity: How unlike the model's training photos the photo is (see
            `fissura.inference.engines.familiar`); above 1 it is unfamiliar. None where that is not
            known.
        files: Files written for it: kind (mask, overlay …) to path below the results' folder.
        failures: Reasons why it fails the limits, a sentence each; empty where it passes.
        judged: Whether there were limits.
        over: For each of `failures` the number of its crack; 0 where it is of the whole photo.
        classes: How cracks are told apart beside their measurements.
        widest_shown: Width at the end of the colors, in the record's unit, so that all photos have
            one scale; None for that of the photo alone.
        limit_shown: Width that is marked on the colors; None for none.
    """

    file: Path
    name: str
    size_hw: tuple[int, int]
    cracks: list[Crack]
    mm_per_pixel: float | None
    resolution_source: str
    preview: NDArray[np.uint8]
    preview_scale: float
    transform: Transform = PIXELS
    crs: str | None = None
    runs: list[NDArray[np.int64]] | None = None
    specks: NDArray[np.int64] | None = None
    mask_sha256: str | None = None
    photo_digest: str | None = None
    correction: Correction | None = None
    unfamiliarity: float | None = None
    perspective: Perspective | None = None
    resolution_asked: str = ""
    facts: PhotoFacts = field(default_factory=PhotoFacts)
    files: Mapping[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    judged: bool = False
    over: list[int] = field(default_factory=list)
    classes: Classes = field(default_factory=Classes)
    widest_shown: float | None = None
    limit_shown: float | None = None

    @property
    def text_name(self) -> str:
        """The name as text, where that of the file is not Unicode."""
        return printable(self.name)

    @property
    def unit(self) -> str:
        """Unit of the cracks' lengths and widths: mm or px."""
        return "px" if self.mm_per_pixel is None else "mm"

    @property
    def domain_warning(self) -> str:
        """A sentence where the photo is unlike those that the model was trained on, or nothing."""
        if self.correction is not None or (self.unfamiliarity or 0.0) <= 1:
            return ""
        return DOMAIN_WARNING

    @property
    def outline(self) -> Outline:
        """The outline that vector formats need in advance."""
        widths = sum(len(crack.widths) for crack in self.cracks)
        return Outline(self.transform, self.crs, self.unit, widths)

    def status(self, crack: Crack) -> str:
        """Return the status of one of the cracks, a key of `corrections.STATUSES`."""
        return FOUND if self.correction is None else self.correction.statuses[crack.number - 1]

    def kind(self, crack: Crack) -> str:
        """Return the type of one of the cracks, a key of `kinds.KINDS`."""
        return crack_kind(crack, self.classes.axis)

    def severity(self, crack: Crack) -> str:
        """Return the class of one of the cracks; empty where none is known."""
        profile = self.classes.profile
        return "" if profile is None else profile.of(crack, self.mm_per_pixel)

    @property
    def area_m2(self) -> float | None:
        """Area that the photo shows in square meters, or None where no resolution is known."""
        if self.mm_per_pixel is None:
            return None
        return self.size_hw[0] * self.size_hw[1] * (self.mm_per_pixel / 1000) ** 2


def flattened(record: Record) -> Record:
    """Return a record with lengths and widths as on the surface, where that is slanted.

    They are in pixels of the record's `mm_per_pixel` then. The cracks of the model that a corrected
    mask changed are known by their boxes alone: they take the scale of the box's middle.
    """
    perspective, resolution = record.perspective, record.mm_per_pixel
    if perspective is None or resolution is None:
        return record
    correction = record.correction
    if correction is not None:
        old = [_flat_model_crack(crack, perspective, resolution) for crack in
               correction.model_cracks]  # fmt: skip
        correction = replace(correction, model_cracks=old)
    cracks = flatten(record.cracks, perspective, resolution)
    return replace(record, cracks=cracks, correction=correction)


def _flat_model_crack(
    crack: ModelCrack, perspective: Perspective, mm_per_pixel: float
) -> ModelCrack:
    """Return a crack of the model by the scale in the middle of its box."""
    import numpy as np

    top, left, bottom, right = crack.box
    middle = np.array([[(top + bottom - 1) / 2, (left + right - 1) / 2]])
    scale = float(perspective.mm_per_pixel(middle)[0]) / mm_per_pixel
    return replace(crack, length=crack.length * scale, width_max=crack.width_max * scale)
