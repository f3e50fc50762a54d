"""The options of prediction, without torch, so that the help of the command line is instant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Engine = Literal["torch", "openvino", "onnx"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """How a model is applied to photos."""

    threshold: float | None = None
    """Probability from which a pixel counts as crack; by default the model's."""

    of_class: str | None = None
    """Class that counts as crack, of a model of several classes: that one is found, drawn and
    measured, where its probability is at least the threshold. Of masks that tell classes apart
    `fissura measure` measures one, too: its name in maps of Fissura, rust=3 in other index masks.
    """

    keep_unsure: bool = False
    """Keep parts of the mask that the model is nowhere sure of; they are left out otherwise, where
    its config.json has a min_prob and there is no --threshold of your own."""

    scale: float | Literal["auto"] | None = None
    """Factor by which photos are resized for the network; by default as in training, where that had
    one scale, else auto. That halves a photo as long as it loses no detail by it, so that enlarged
    photos give the same cracks; once more where a look at it shows wide cracks; and doubles small
    ones."""

    tta: bool = False
    """Average over flips and turns: eight times the work, slightly better masks."""

    device: str = "auto"
    """Where to compute: auto, cpu, cuda or mps."""

    precision: Precision = "auto"
    """Arithmetic of the network; auto takes bfloat16 where the hardware is fast at it. NVIDIA cards
    multiply float32 numbers of convolutions by 10 bits (TF32)."""

    engine: Engine | None = None
    """What computes the network: torch, or on a CPU openvino or onnx (ONNX Runtime), which are
    faster for networks other than crackseg without an encoder; by default torch, or what an
    exported model is for."""

    tile: int | None = None
    """Side of the tiles that large photos are cut into after resizing, in pixels, a multiple of 32;
    by default none where the network can take a photo row by row, else 512."""

    overlap: float = 0.25
    """Fraction of a tile that it has in common with the next, 0 to below 1."""

    batch_size: int | None = None
    """Tiles, or as many pixels, computed at once; less takes less memory. By default 1 on a CPU and
    8 on a GPU."""

    def to_measure(self, min_prob: float | None) -> PredictOptions:
        """Return the options for cracks that are to be measured.

        Args:
            min_prob: As of `fissura.measurement.options.MeasureOptions`. Where it is given, it
                alone tells which cracks are left out, so that no part of the mask is before.
        """
        return self if min_prob is None else replace(self, keep_unsure=True)
