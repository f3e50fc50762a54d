"""What a model's own errors mean for measured cracks: widths, their ±, and cracks it doubts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import InputError
from fissura.files.shapes import check_shape
from fissura.measurement.assemble import metrics_of_widths
from fissura.measurement.crack import Crack
from fissura.measurement.skeleton import WINDOW, Read

SUREST = 10
"""The surest pixels of a crack that tell how sure a model is of it, where it saw the photo so."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How the cracks that a model finds differ from true ones, fitted to measured errors.

    It lies in the model's config.json as "measuring". With w a measured width and σ its uncertainty
    from the slopes of the probability (`fissura.measurement.profiles`), in pixels as the network
    saw them, the true width is about w + shift(w), where shift goes through the points (`widths`,
    `shifts`) and is constant outside of them; and 68 of 100 true widths lie within
    ± (constant + of_width·w + of_slope·σ) of it. The factors are conformal: quantiles of
    |error| / (…) on photos that the model was not trained on (Vovk et al., Algorithmic learning in
    a random world, 2005; in the split form of Lei et al., JASA 2018).

    Attributes:
        widths: Measured widths, ascending.
        shifts: What is added to them.
        constant: Part of the ± that is the same for all widths, in pixels.
        of_width: Part of the ± as a fraction of the width.
        of_slope: Part of the ± as a multiple of σ.
        factor_95: Multiple of the ± within which 95 of 100 true widths lie.
        min_prob: Cracks whose surest points have a lower mean probability are left out.
            Predictions leave out parts of the mask by it, too, see `fissura.inference.unsure`.
    """

    widths: tuple[float, ...] = ()
    shifts: tuple[float, ...] = ()
    constant: float = 0.0
    of_width: float = 0.0
    of_slope: float = 1.0
    factor_95: float = 2.0
    min_prob: float = 0.0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Calibration | None:
        """Return what config.json has; None where it has nothing.

        Args:
            values: Its entry "measuring". Entries that are not known here are left out.

        Raises:
            InputError: An entry is of another type.
        """
        if not values:
            return None
        known = {entry.name for entry in fields(cls)} & values.keys()
        kept: dict[str, Any] = {
            name: tuple(values[name]) if isinstance(values[name], list) else values[name]
            for name in known
        }
        try:
            check_shape(kept, cls, "measuring")
            if len(kept.get("widths", ())) != len(kept.get("shifts", ())):
                raise ValueError("measuring: there are not as many shifts as widths")
        except ValueError as error:
            raise InputError(
                f"The model's config.json is damaged ({error}). Download or train the model again."
            ) from error
        return cls(**kept)

    def entries(self) -> dict[str, Any]:
        """Return what config.json holds."""
        return {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self).items()}

    def width_and_error(
        self, width: NDArray[np.float64], error: NDArray[np.float64], scale: float = 1.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return corrected widths and their ±.

        Args:
            width: Measured widths in pixels of the photo, (n,).
            error: Their σ, (n,).
            scale: Size at which the network saw the photo over the photo's.

        Returns:
            Widths, never below a tenth of the measured ones, and ±, in pixels of the photo.

        >>> known = Calibration(widths=(2.0, 6.0), shifts=(0.5, -0.5), constant=0.2, of_slope=1.0)
        >>> [one.round(3).tolist() for one in known.width_and_error(*np.array([[4.], [0.3]]))]
        [[4.0], [0.5]]
        """
        w, sigma = width * scale, error * scale
        spread = self.constant + self.of_width * w + self.of_slope * sigma
        true = w + np.interp(w, self.widths, self.shifts) if self.widths else w
        return np.maximum(true, w / 10) / scale, spread / scale


def calibrated(
    cracks: Sequence[Crack],
    calibration: Calibration,
    read: Read,
    size_hw: tuple[int, int],
    *,
    scale: float = 1.0,
    min_prob: float | None = None,
) -> list[Crack]:
    """Return cracks with corrected widths and fitted ±, without those that the model doubts.

    Args:
        cracks: From `fissura.measure`, measured on the model's probabilities.
        calibration: The model's.
        read: The probabilities in a window.
        size_hw: Height and width of the image.
        scale: Size at which the network saw the photo over the photo's.
        min_prob: In place of the calibration's; 0 leaves out nothing.

    Returns:
        The cracks that are left, numbered anew.
    """
    least = calibration.min_prob if min_prob is None else min_prob
    kept = [one for one in cracks if not least or certainty(one, read, size_hw, scale) >= least]
    return [replace(_corrected(one, calibration, scale), number=n) for n, one in enumerate(kept, 1)]


def certainty(crack: Crack, read: Read, size_hw: tuple[int, int], scale: float = 1.0) -> float:
    """Return the mean probability at the surest points of a crack's centerline.

    They are the ten surest pixels of it, or, of a photo that the network saw smaller, as many as
    ten were there.

    Args:
        crack: The crack.
        read: The probabilities in a window.
        size_hw: Height and width of the image.
        scale: As of `calibrated`.
    """
    pixels = np.unique(np.rint(np.concatenate(crack.lines)).astype(np.int64), axis=0)
    pixels = np.clip(pixels, 0, np.array(size_hw) - 1)
    found = []
    window = pixels // WINDOW
    for row, column in np.unique(window, axis=0).tolist():
        inside = pixels[(window == (row, column)).all(axis=1)]
        (top, left), (bottom, right) = inside.min(axis=0).tolist(), inside.max(axis=0).tolist()
        prob = read(top, left, bottom + 1, right + 1)
        found.append(prob[inside[:, 0] - top, inside[:, 1] - left])
    probs = np.sort(np.concatenate(found))[::-1]
    return float(probs[: surest_pixels(scale)].mean())


def surest_pixels(scale: float) -> int:
    """Return how many of a crack's surest pixels tell how sure a model is of it.

    Args:
        scale: Size at which the network saw the photo over the photo's.

    >>> surest_pixels(1.0), surest_pixels(0.5), surest_pixels(2.0)
    (10, 20, 10)
    """
    return max(round(SUREST / min(scale, 1.0)), 1)


def _corrected(crack: Crack, calibration: Calibration, scale: float) -> Crack:
    """Return a crack with corrected widths and their ±."""
    if not len(crack.widths):
        return crack
    widths, errors = calibration.width_and_error(crack.widths, crack.width_errors, scale)
    summary = metrics_of_widths(widths, errors, crack.samples)
    return replace(crack, widths=widths, width_errors=errors, **summary)
