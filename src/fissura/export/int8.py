"""A model in 8-bit integers: adjusted on photos, and what that loses measured on others."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.folder import find_pairs
from fissura.data.images import read_image
from fissura.data.preparation.load import load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.errors import extra
from fissura.export.parity import masks_of
from fissura.exported import exported_format
from fissura.inference.engines.portable import INPUT
from fissura.inference.predictor import Predictor
from fissura.inference.resize import resized
from fissura.shipped import PHOTOS

if TYPE_CHECKING:
    import onnx

MOST_CALIBRATED = 32  # images: more change the ranges of values hardly
MOST_MEASURED = 200
SIDE = 512  # of what the ranges are taken from, in pixels


@dataclass(frozen=True)
class Scenes:
    """Images to adjust a model on, and others to measure it on.

    Attributes:
        calibration: RGB, uint8 (h, w, 3), at the network's scale.
        images: RGB, to measure on.
        masks: Their masks, bool (h, w); None where there are none.
        source: Where the latter come from, in words.
    """

    calibration: list[NDArray[np.uint8]]
    images: list[NDArray[np.uint8]]
    masks: list[NDArray[np.bool_]] | None
    source: str


@dataclass(frozen=True)
class Int8Loss:
    """What a model loses in 8-bit integers.

    Attributes:
        source: The images that it was measured on, in words.
        agreement: IoU of its masks with those in float32, pixels of all images pooled.
        iou: IoU with the true masks in float32, pooled; None where there are none, and of a model
            of several classes.
        iou_int8: The same of the 8-bit model.
    """

    source: str
    agreement: float
    iou: float | None
    iou_int8: float | None

    def __str__(self) -> str:
        """In words."""
        alike = f"masks have an IoU of {self.agreement:.4f} with those in float32"
        if self.iou is None or self.iou_int8 is None:
            return f"int8, on {self.source}: {alike}"
        return (
            f"int8, on {self.source}: IoU {self.iou_int8:.4f}, in float32 {self.iou:.4f}, a loss "
            f"of {self.iou - self.iou_int8:.4f}; {alike}"
        )


def scenes(data: Path | None, scale: float) -> Scenes:
    """Choose the images to adjust and to measure on.

    Args:
        data: Folder of photos with masks: its "train" images serve to adjust, its "test" images to
            measure (a folder without splits is divided 80 to 20). None for the photos that come
            with Fissura, half of them for each.
        scale: Factor by which photos are resampled for the network.

    Raises:
        InputError: The folder holds no pairs.
    """
    if data is None:
        images = [read_image(file) for file in sorted(PHOTOS.glob("*.jpg"))]
        known, others, masks = images[::2], images[1::2], None
        source = f"{len(others)} photos of concrete that come with Fissura"
    else:
        folder = find_pairs(data)
        known = load_split(folder, "train", PROTOCOLS["native"]).images
        test = load_split(folder, "test", PROTOCOLS["native"])
        every = max(-(-len(test) // MOST_MEASURED), 1)
        others = [np.asarray(image) for image in test.images[::every]]
        masks = [np.asarray(mask) > 0 for mask in test.masks[::every]]
        source = f"{len(others)} test images of {data}"
    every = max(-(-len(known) // MOST_CALIBRATED), 1)
    calibration = [_part(np.asarray(image), scale) for image in known[::every]]
    return Scenes(calibration, others, masks, source)


def quantized_model(model: onnx.ModelProto, images: Iterable[NDArray[np.uint8]]) -> onnx.ModelProto:
    """Return a model that computes its convolutions in 8-bit integers.

    Weights are 8-bit by output channel, features by tensor, with ranges taken from images;
    normalization and sigmoid stay in float32.

    Args:
        model: From `fissura.inference.engines.portable.to_onnx`.
        images: RGB, uint8 (h, w, 3), to take the ranges from.

    Raises:
        InputError: ONNX Runtime is not installed.
    """
    with extra("onnx", "Export in int8"):
        import onnx
        from onnxruntime.quantization import (
            CalibrationDataReader,
            QuantFormat,
            QuantType,
            quant_pre_process,
            quantize_static,
        )

    class Reader(CalibrationDataReader):
        """Gives the images one by one."""

        def __init__(self) -> None:
            self.remaining: Iterator[NDArray[np.uint8]] = iter(images)

        def get_next(self) -> Any:
            image = next(self.remaining, None)
            return None if image is None else {INPUT: image[None]}

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)  # advice to preprocess, which is done
        try:
            plain, merged, whole = (Path(folder, f"{n}.onnx") for n in ("plain", "merged", "int8"))
            onnx.save(model, plain)
            quant_pre_process(plain, merged, skip_symbolic_shape=True)
            quantize_static(
                merged,
                whole,
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "ConvTranspose", "MaxPool", "Add", "Concat", "Relu"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            return onnx.load(whole)
        finally:
            logging.disable(logging.NOTSET)


def measure_loss(file: Path, model: str | Path, shown: Scenes) -> Int8Loss:
    """Measure what an exported model in 8-bit integers loses.

    Args:
        file: The exported model.
        model: What it was made of.
        shown: Images, and masks where there are any.
    """
    assert exported_format(file)
    exact = Predictor.load(model, device="cpu", precision="float32", keep_unsure=True)
    coarse = Predictor.load(file, device="cpu", precision="float32", keep_unsure=True)
    counts = np.zeros((3, 2), np.int64)  # of three pairs of masks: both, any
    masks = [None] * len(shown.images) if exact.classes else shown.masks
    masks = masks or [None] * len(shown.images)
    for image, mask in zip(shown.images, masks, strict=True):
        wanted = np.stack(masks_of(exact.prob(image), exact))
        found = np.stack(masks_of(coarse.prob(image), exact))
        counts[0] += _overlap(found, wanted)
        if mask is not None:
            counts[1] += _overlap(wanted[0], mask)
            counts[2] += _overlap(found[0], mask)
    agreement, iou, iou_int8 = (both / any_ if any_ else 1.0 for both, any_ in counts.tolist())
    if shown.masks is None or exact.classes:
        return Int8Loss(shown.source, agreement, None, None)
    return Int8Loss(shown.source, agreement, iou, iou_int8)


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[int, int]:
    return int(np.count_nonzero(one & other)), int(np.count_nonzero(one | other))


def _part(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """The middle of an image as the network sees it."""
    size = tuple(max(round(side * scale), 1) for side in image.shape[:2])
    image = resized(image, (size[0], size[1]), shrink_by_area=True)
    top, left = (max(side - SIDE, 0) // 2 for side in size)
    return np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE])
