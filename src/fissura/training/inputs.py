"""The inputs of a training: its images, their record, its loss function and its crops."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fissura.data.mixtures.images import MixedImages, load_mixture
from fissura.data.mixtures.mixture import is_mixture, read_mixture
from fissura.data.preparation.load import LabeledFolder, PreparedSet
from fissura.data.preparation.protocols import choose_protocol
from fissura.data.splits import FEWEST, VALIDATION, split_groups
from fissura.errors import InputError
from fissura.losses import LOSSES, DeepSupervisionLoss, plain, recommended_margin
from fissura.training.classes import class_loss
from fissura.training.options import TrainOptions, labels_of, loss_options, model_options, option


@dataclass(frozen=True)
class Inputs:
    """The images of a training.

    Attributes:
        train: Training images, or those of a mixture.
        validation: Images set aside to choose the epoch and the threshold, or None.
        layout: Layout of the folder, in words.
        validation_rule: Where the validation images come from, or why there are none, in words.
    """

    train: PreparedSet | MixedImages
    validation: PreparedSet | None
    layout: str
    validation_rule: str

    def record(self) -> dict[str, Any]:
        """Return the content of `data.json`."""
        return {
            "layout": self.layout,
            "split_rule": self.train.split_rule,
            "validation_rule": self.validation_rule,
            "mask_rule": self.train.mask_rule,
            "crack_fraction": self.train.crack_fraction,
            "scale": self.train.scale,
            "fingerprint": self.train.fingerprint,
            "images": len(self.train),
            **(
                {"classes": self.train.class_fractions}
                if isinstance(self.train, PreparedSet) and self.train.classes
                else {}
            ),
            **({} if self.train.valid is None else {"ignored": self.train.ignored_fraction}),
            "train": self.train.names,
            "validation": self.validation.names if self.validation else [],
        }


def read_inputs(data: Path, config: TrainOptions) -> Inputs:
    """Read and prepare the training images of a folder, and set validation images aside.

    Args:
        data: Folder in one of the layouts of `fissura.data.folder`, or a mixture file.
        config: Protocol, validation fraction, seed and `skip_bad` are taken from here. A mixture
            has its own validation images, which are left out where the fraction is 0.

    Raises:
        InputError: The images or masks can't be used, or validation images were asked for and none
            of them shows a crack. Unless asked for, there are none then.
    """
    if is_mixture(data):
        return _read_mixture(data, config)
    protocol = choose_protocol(config.protocol, config.area_threshold)
    labeled = LabeledFolder.find(data, labels_of(config), config)
    folder = labeled.folder
    train = labeled.load("train", protocol)
    if config.validation == 0:
        return Inputs(train, None, folder.described(), "none, as --validation 0 says")
    own = labeled.load("val", protocol) if "val" in folder.splits else None
    try:
        return _set_aside(train, own, config, folder.described())
    except InputError:
        if config.validation is not None:
            raise
    reason = (
        "of the images of the folder's split 'val' none shows a crack"
        if own
        else f"{VALIDATION:.0%} of the training images would be too few, or show no crack"
    )
    return Inputs(train, None, folder.described(), f"none, since {reason}")


def _set_aside(
    train: PreparedSet, own: PreparedSet | None, config: TrainOptions, layout: str
) -> Inputs:
    """Set validation images aside, or take the folder's own, or raise where they choose nothing."""
    if own is not None:
        return Inputs(train, _with_cracks(own), layout, "the folder's own split 'val'")
    fraction = config.validation
    if fraction is None:
        if len(set(train.groups)) < FEWEST:
            raise InputError(f"Fewer than {FEWEST} photos, none of which can be spared.")
        fraction = VALIDATION
    drawn = split_groups(train.names, {"train": 1 - fraction, "val": fraction}, config.seed)
    validation = _with_cracks(train.subset(drawn["val"]))
    rule = (
        f"{fraction:.0%} of the training images, drawn with seed {config.seed}, tiles of one photo "
        "together; --validation 0 trains on all"
    )
    return Inputs(train.subset(drawn["train"]), validation, layout, rule)


def _read_mixture(file: Path, config: TrainOptions) -> Inputs:
    """Read the images of a mixture; refuse options that would not hold for it."""
    if config.classes is not None:
        raise InputError(f"{file} is a mixture, whose sets have cracks alone: leave out --classes.")
    if config.protocol != "native":
        raise InputError(
            f"{file} is a mixture, whose crops are drawn at random scales from photos at their own "
            f"size: --protocol {config.protocol} does not fit. Leave it out."
        )
    mixture = read_mixture(file)
    train, validation = load_mixture(mixture)
    layout = f"the mixture {mixture.name} of {len(mixture.sets)} sets"
    if config.validation == 0 or not len(validation):
        return Inputs(train, None, layout, "none")
    rule = f"the groups that {file.name} keeps out of the training"
    return Inputs(train, _with_cracks(validation), layout, rule)


def _with_cracks(validation: PreparedSet) -> PreparedSet:
    """Return the validation images, or refuse them where they show no crack to choose by."""
    if not validation.crack_fraction:
        number = len(validation)
        images = (
            "The only validation image shows"
            if number == 1
            else f"None of the {number} " + ("validation images shows")
        )
        crack = "no crack" if number == 1 else "a crack"
        raise InputError(
            f"{images} {crack}, so every epoch would have the same IoU, and nothing could be "
            "chosen by it. Set more images aside (--validation 0.3), draw others (--seed 1), put "
            "images with cracks into the folder's own val split, or give --validation 0, which "
            "keeps the last epoch and the threshold 0.5."
        )
    return validation


def choose_loss(
    config: TrainOptions, crack_fraction: float
) -> tuple[DeepSupervisionLoss, dict[str, Any]]:
    """Choose the loss function of a training.

    Args:
        config: Name and options of the loss.
        crack_fraction: Fraction of crack pixels in the training images, or of pixels of rare
            classes, for which `margin="auto"` becomes the paper's recommendation.

    Returns:
        The loss as a function of logits (or several) and target, and the options that were given.

    Raises:
        InputError: There is no such loss, or it doesn't take these options.
    """
    name = config.loss.replace("-", "_")
    if name not in LOSSES:
        known = ", ".join(loss.replace("_", "-") for loss in LOSSES)
        raise InputError(f"There is no loss {config.loss!r}. Choose one of: {known}.")
    options = loss_options(config)
    taken = inspect.signature(LOSSES[name]).parameters
    if unknown := [option(given) for given in options if given not in taken]:
        raise InputError(f"The loss {config.loss} does not have the option {', '.join(unknown)}.")
    if options.get("margin") == "auto":
        options["margin"] = recommended_margin(crack_fraction)
    loss = partial(LOSSES[name], **options) if not config.classes else class_loss(config, options)
    loss = DeepSupervisionLoss(loss if config.fused else plain()(loss))
    try:
        channels = model_options(config).get("channels", 1)
        targets = channels if config.overlapping else 1
        loss(torch.zeros(1, channels, 2, 2), torch.zeros(1, targets, 2, 2, dtype=torch.uint8))
    except ValueError as error:
        raise InputError(f"The loss {config.loss} cannot be used like this: {error}") from error
    return loss, options


def choose_crop(config: TrainOptions, train: PreparedSet | MixedImages) -> int | None:
    """Choose the size of the random crops.

    Args:
        config: `crop` is taken from here.
        train: Training images.

    Returns:
        Their side in pixels, or None where whole images make the batches: where no crop was asked
        for and all images have one size of at most 512 pixels.
    """
    if config.crop is not None:
        return config.crop
    if isinstance(train, MixedImages):
        return 256
    return None if train.uniform and max(train.images[0].shape[:2]) <= 512 else 256
