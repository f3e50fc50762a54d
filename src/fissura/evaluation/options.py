"""`EvaluateOptions`: the choices of an evaluation, importable without numpy and torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fissura.data.annotation_options import AnnotationOptions, check_line_width
from fissura.errors import InputError
from fissura.inference.options import Precision

ProtocolName = Literal["native", "deepcrack96", "crack500", "panel128"]
Split = Literal["test", "val", "train", "all"]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """The options of `fissura evaluate` and `fissura.evaluate`."""

    split: Split = "test"
    """Photos to judge: test, val, train or all. A folder without test and train photos is divided
    as in training."""

    clean: bool = False
    """All photos show no crack, so that whatever is found is a false alarm. Masks are not needed,
    and the split is all photos."""

    classes: str | None = None
    """Of a model of several classes: their names in the order of their values in these masks, with
    commas between them, or with these values (crack,spalling=4); as in training unless given."""

    ignore: int | None = None
    """Value of mask pixels without a label, which count nowhere; as in training unless given."""

    empty_if_missing: bool = False
    """Photos without a mask show no crack. Those in a folder named good never need one."""

    protocol: ProtocolName | None = None
    """How photos become images; as in training unless given. native judges whole photos: they are
    resampled to the model's scale and the probabilities back, so that the truth is the photo's own
    mask."""

    threshold: float | None = None
    """Probability from which a pixel counts as crack, 0 to 1, to report beside 0.5; the model's
    unless given."""

    tolerance: float = 2.0
    """Pixels by which a crack may be off in the tolerant metrics."""

    literature: bool = False
    """Report ODS, OIS and the mIoU of two classes, too, as papers compute them: at thresholds that
    are chosen on these very photos. They stand apart."""

    bootstrap: int = 1000
    """Resamples behind the 95 % intervals."""

    seed: int = 0
    """Seed of these resamples."""

    tta: bool = False
    """Average over flips and turns: eight times the work."""

    skip_bad: bool = False
    """Go on without files that cannot be used; the report lists them."""

    labels: str | None = None
    """Labels of a labeling tool's annotations that count as crack, with commas between them. Unless
    given: the only label, or those with a word for crack in their names."""

    line_width: float | None = None
    """Width in pixels of lines that were drawn along cracks. Unless given, it is measured in the
    photo beneath them."""

    device: str = "auto"
    """Where to compute: auto, cpu, cuda or mps."""

    precision: Precision = "auto"
    """Arithmetic of the network; auto takes bfloat16 where the hardware is fast at it. NVIDIA cards
    multiply float32 numbers of convolutions by 10 bits (TF32)."""

    def __post_init__(self) -> None:
        check_line_width(self.line_width)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InputError(f"--threshold is {self.threshold}; it must be from 0 to 1.")
        if not 0 <= self.tolerance < float("inf"):
            raise InputError(f"--tolerance is {self.tolerance} pixels; it must be 0 or more.")
        if self.literature and self.clean:
            raise InputError(
                "--literature compares with figures on cracks, and --clean means photos without "
                "crack. Leave one of them out."
            )
        if self.bootstrap < 1:
            raise InputError(f"--bootstrap is {self.bootstrap}; it must be at least 1.")
        if self.seed < 0:
            raise InputError(f"--seed is {self.seed}; it must be 0 or more.")

    def annotations(self) -> AnnotationOptions:
        """Return how annotations become masks."""
        return AnnotationOptions(labels=self.labels, line_width=self.line_width)
