"""Records of images whose crack pixels are known: cracks measured, compared, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fissura.bit_depth import Depth
from fissura.data.formats.shapes.runs import crack_runs
from fissura.files import MASKS, OVERLAYS
from fissura.files.failures import say
from fissura.files.images import shrunk, write_image
from fissura.inference.predictor import Prediction, Predictor
from fissura.inspection.photo_table import Known
from fissura.inspection.photos.given_masks import GivenMask
from fissura.inspection.photos.masks import sha256
from fissura.inspection.photos.pixels import labels_of_raster, pixels_of_raster, specks_of
from fissura.inspection.photos.sources import Kind
from fissura.inspection.records.corrections import Correction, Found, review
from fissura.inspection.records.record import PIXELS, Record
from fissura.inspection.report.drawing import draw_cracks
from fissura.inspection.rules.limits import Limits
from fissura.measurement import Crack, crack_labels, measure, measure_windows
from fissura.measurement.calibration import Calibration, calibrated
from fissura.measurement.flatten import flatten
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.measurement.resolution import Resolution, by_rectangle, find_resolution
from fissura.measurement.skeleton import Read, ReadMask
from fissura.memory import give_back_freed_memory
from fissura.raster import Raster, preview

PREVIEW = 1600  # pixels of a preview's longer side

# A corrected mask, where it comes from, and what the model found.
ByHand = tuple[GivenMask, Correction, Found | None]


@dataclass(frozen=True, kw_only=True)
class InspectorOptions:
    """Choices that hold for all files of an inspection.

    Attributes:
        resolution: How millimeters per pixel are found.
        measuring: How cracks are measured.
        kind: Kind of the files; "auto" tells it by the pixels of each.
        told: Whether the user said the kind, so that masks are taken for photos without a word.
        threshold: Of probabilities; by default that of the results they belong to.
        of_class: The class that is measured, of masks that tell several apart.
        overwrite: Replace results of other settings.
        known: What is known of single photos; their resolution comes before that of all.
        limits: Rules of the inspection; the colors of overlays end at twice the greatest width.
        depth: Brightness that all photos have in common, from `common_depth`; None for that of each
            file alone.
        overlays: Write overlays, too.
    """

    resolution: ResolutionOptions
    measuring: MeasureOptions
    kind: Kind = "auto"
    told: bool = False
    threshold: float | None = None
    of_class: str | None = None
    overwrite: bool = False
    depth: Depth | None = None
    known: Mapping[Path, Known] = field(default_factory=dict)
    limits: Limits | None = None
    overlays: bool = True


class Recorder:
    """Make the records of images, and write their masks and overlays into one folder.

    Args:
        predictor: Predictor of photos, whose errors widths are corrected by; None without photos.
        out: The folder.
        options: Choices that hold for all files.
        console: For warnings.
    """

    def __init__(
        self,
        predictor: Predictor | None,
        out: Path,
        options: InspectorOptions,
        console: Console | None,
    ) -> None:
        self.predictor = predictor
        self.out = out
        self.options = options
        self.console = console

    def image(
        self,
        file: Path,
        name: str,
        image: NDArray[np.uint8],
        prob: NDArray[np.float32],
        mask: NDArray[np.bool_],
        threshold: float,
        *,
        scale: float = 1.0,
        prediction: Prediction | None = None,
        by_hand: ByHand | None = None,
    ) -> Record:
        """Measure the cracks of an image that is in memory, and write mask and overlay.

        Args:
            file: The file of the image.
            name: Name of its results.
            image: RGB, (h, w, 3).
            prob: Probabilities of crack, (h, w).
            mask: Where there is crack, (h, w).
            threshold: Probability from which a pixel counted as crack.
            scale: How much smaller the photo was for the network, where below 1: what is a speck
                was seen there, so that the shortest crack is as long in the network's pixels.
            prediction: What the network said, where this is a photo.
            by_hand: The corrected mask that this is, if it is one.

        Raises:
            InputError: The resolution cannot be found as asked for.
        """
        shortest = self.options.measuring.min_length / min(scale, 1.0)
        height, width = prob.shape
        resolution = self._resolution(file, image, (height, width))
        self.warn_if_full(file, float(mask.mean()))
        cracks = measure(
            prob,
            threshold=threshold,
            mask=mask,
            mm_per_pixel=resolution.mm_per_pixel if resolution else None,
            options=self._measuring(by_hand, shortest),
            calibration=Calibration.parse(prediction.measuring) if prediction else None,
            scale=prediction.scale if prediction else None,
        )
        mask_file = f"{MASKS}/{name}.png"
        if by_hand is None or not by_hand[0].in_place:
            write_image(self.out / mask_file, mask.astype(np.uint8) * np.uint8(255))
        labels = crack_labels(mask, cracks)
        cracks, correction = self._reviewed(by_hand, cracks, labels)
        if correction is not None:
            labels = crack_labels(mask, cracks)
        self._draw(name, image, cracks, labels, 1.0, resolution)
        shown, scale_shown = shrunk(image, PREVIEW)
        return Record(
            file=file,
            name=name,
            size_hw=(height, width),
            cracks=cracks,
            **_resolution_fields(resolution),
            preview=shown,
            preview_scale=scale_shown,
            runs=crack_runs(labels, len(cracks)),
            specks=specks_of(mask, labels),
            mask_sha256=sha256(self.out / mask_file),
            correction=correction,
            unfamiliarity=prediction.unfamiliarity if prediction else None,
            files={"mask": mask_file, **self._overlay(name)},
        )

    def _calibrated(
        self, cracks: list[Crack], read: Read, size_hw: tuple[int, int], seen_at: float | None
    ) -> list[Crack]:
        """Return cracks as the model's errors have it; as they are where it did not find them."""
        least = self.options.measuring.min_prob
        if self.predictor is None or seen_at is None:
            known = None
        else:
            known = Calibration.parse(self.predictor.measuring)
        if known is None and not least:
            return cracks
        return calibrated(
            cracks, known or Calibration(), read, size_hw, scale=seen_at or 1.0, min_prob=least
        )

    def _measuring(self, by_hand: ByHand | None, shortest: float) -> MeasureOptions:
        """Return how cracks are measured; of a corrected mask `review` leaves out short ones."""
        known = by_hand is not None and by_hand[2] is not None and by_hand[2].runs is not None
        return replace(self.options.measuring, min_length=0.0 if known else shortest)

    def _reviewed(
        self, by_hand: ByHand | None, cracks: list[Crack], labels: NDArray[np.int32] | None
    ) -> tuple[list[Crack], Correction | None]:
        """Compare the cracks of a corrected mask with what the model found."""
        if by_hand is None:
            return cracks, None
        _, correction, model = by_hand
        same = model is not None and model.measuring == self.options.measuring.settings()
        shortest = self.options.measuring.min_length
        return review(correction, cracks, labels, model, keep=same, min_length=shortest)

    def raster(
        self,
        raster: Raster,
        name: str,
        read: Read,
        read_mask: ReadMask | None,
        threshold: float,
        by_hand: ByHand | None = None,
        *,
        seen_at: float | None = None,
    ) -> Record:
        """Measure the cracks of an image that is read by windows; its mask is written already.

        Args:
            raster: The image.
            name: Name of its results.
            read: Reads the probabilities of a window.
            read_mask: Reads where there is crack; None where that is from the threshold on.
            threshold: Probability from which a pixel counts as crack.
            by_hand: The corrected mask that this is, if it is one.
            seen_at: The scale at which the model saw the image, where they are the model's.

        Raises:
            InputError: The resolution cannot be found as asked for.
        """
        own = raster.mm_per_pixel
        known = None if own is None else Resolution(own, raster.scale_source, raster.remark)
        resolution = self._resolution(raster.path, None, raster.size_hw, known)
        cracks = measure_windows(
            read,
            raster.size_hw,
            threshold=threshold,
            mm_per_pixel=resolution.mm_per_pixel if resolution else None,
            read_mask=read_mask,
            options=self._measuring(by_hand, self.options.measuring.min_length),
        )
        cracks = self._calibrated(cracks, read, raster.size_hw, seen_at)
        give_back_freed_memory()
        mask_file = f"{MASKS}/{name}.tif"
        correction = None
        if by_hand is not None:
            labels = labels_of_raster(self.out / mask_file, raster.size_hw, cracks)
            cracks, correction = self._reviewed(by_hand, cracks, labels)
        shown, scale_shown = preview(raster, PREVIEW)
        self._draw(name, shown, cracks, None, scale_shown, resolution)
        return Record(
            file=raster.path,
            name=name,
            size_hw=raster.size_hw,
            cracks=cracks,
            **_resolution_fields(resolution),
            preview=shown,
            preview_scale=scale_shown,
            transform=raster.transform or PIXELS,
            crs=raster.crs,
            **pixels_of_raster(self.out / mask_file, raster.size_hw, cracks),
            mask_sha256=sha256(self.out / mask_file),
            correction=correction,
            files={
                "mask": mask_file,
                **self._overlay(name),
            },
        )

    def warn_if_full(self, file: Path, crack_fraction: float) -> None:
        """Say where more than half of an image is crack.

        Args:
            file: The file of the image.
            crack_fraction: Fraction of its pixels that are crack.
        """
        if crack_fraction > 0.5 and self.console:
            words = f"{file}: {crack_fraction:.0%} of the image is crack. Is the mask inverted?"
            say(self.console, words, style="yellow")

    def _resolution(
        self,
        file: Path,
        image: NDArray[np.uint8] | None,
        size_hw: tuple[int, int],
        known: Resolution | None = None,
    ) -> Resolution | None:
        """Return the resolution that the options tell, or the one that is known without them."""
        own = self.options.known.get(file, Known())
        if own.rectangle is not None:
            found = by_rectangle(own.rectangle, file, size_hw)
        else:
            found = find_resolution(own.resolution or self.options.resolution, file, image, size_hw)
        if found and own.source is not None:
            found = replace(found, source=f"{found.source}, by {own.source.name}")
        found = found or known
        if found and found.warning and self.console:
            say(self.console, found.warning, style="yellow")
        return found

    def _overlay(self, name: str) -> dict[str, str]:
        """Return the overlay's file, where overlays are written."""
        return {"overlay": f"{OVERLAYS}/{name}.jpg"} if self.options.overlays else {}

    def _draw(
        self,
        name: str,
        image: NDArray[np.uint8],
        cracks: list[Crack],
        labels: NDArray[np.int32] | None,
        shrunk: float,
        resolution: Resolution | None,
    ) -> None:
        """Write the overlay of an image, or of its preview, where overlays are written."""
        if not self.options.overlays:
            return
        unit = "px" if resolution is None else "mm"
        limit: float | None = getattr(self.options.limits, f"max_width_{unit}", None)
        if resolution and resolution.perspective:
            cracks = flatten(cracks, resolution.perspective, resolution.mm_per_pixel)
        drawn = draw_cracks(
            image,
            cracks,
            labels,
            scale=shrunk,
            mm_per_pixel=resolution.mm_per_pixel if resolution else None,
            widest=2 * limit if limit else None,
            limit=limit or None,
            slanted=resolution is not None and resolution.perspective is not None,
        )
        write_image(self.out / OVERLAYS / f"{name}.jpg", np.ascontiguousarray(drawn[..., ::-1]))


def _resolution_fields(resolution: Resolution | None) -> dict[str, Any]:
    """Return the fields of a record that tell the resolution."""
    if resolution is None:
        return {"mm_per_pixel": None, "resolution_source": "unknown"}
    source, warning = resolution.source, resolution.warning
    words = f"{source}. {warning}" if warning else source
    return {
        "mm_per_pixel": resolution.mm_per_pixel,
        "resolution_source": words,
        "perspective": resolution.perspective,
    }
