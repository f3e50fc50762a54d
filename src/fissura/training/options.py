"""`TrainOptions`: every choice of a training, as one value that can be written down and replayed.

This module imports neither torch nor numpy, so that `fissura train --help` is instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fissura.data.annotation_options import AnnotationOptions, check_line_width
from fissura.data.labels import Labels
from fissura.errors import InputError

# The keys of fissura.losses.LOSSES and fissura.data.preparation.protocols.PROTOCOLS, as one types
# them.
Loss = Literal[
    "bce",
    "dice",
    "focal",
    "asymmetric-focal",
    "asymmetric-large-margin",
    "asymmetric-focal-margin",
    "focal-margin",
    "tversky",
    "focal-tversky",
    "bce-dice",
    "hybrid-focal",
    "unified-focal",
    "hybrid-focal-margin",
]
ProtocolName = Literal["native", "deepcrack96", "crack500", "panel128"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of `fissura train`.

    The defaults are those of the paper's experiments, but for `validation`, which is 0 there.
    """

    loss: Loss = "hybrid-focal-margin"
    """Loss function; docs/losses.md tells them apart."""

    margin: float | Literal["auto"] | None = None
    """Margin m of the loss, in logits; auto derives it from the fraction of crack pixels (the
    paper's Fig. 3)."""

    gamma_hat: float | None = None
    """Focusing exponent of the focal part, at least 0."""

    gamma: float | None = None
    """Exponent of the focal Tversky part (of both parts in unified-focal)."""

    delta: float | None = None
    """Weight of missed crack pixels against false alarms, 0 to 1."""

    focal_weight: float | None = None
    """Weight λ of the focal part, 0 to 1; the Tversky part has 1 − λ."""

    smooth: float | None = None
    """Smoothing term of Dice and Tversky losses."""

    symmetric: bool | None = None
    """Use the symmetric form of a hybrid or unified loss."""

    model: str | None = None
    """Network: crackseg, lite-unet, efficient-unet, transunet, or smp:NAME for an architecture of
    segmentation-models-pytorch. Unless given, that of the model of --start, else crackseg."""

    width: int | None = None
    """Channels of crackseg's U-Net basis at full size; 16 unless given."""

    encoder: str | None = None
    """Encoder of segmentation-models-pytorch, for example efficientnet-b5 or resnet34; that of
    efficient-unet is efficientnet-b7 unless given, and transunet has its own."""

    pretrained: bool = False
    """Start the encoder from ImageNet weights; they are downloaded on first use."""

    start: str | None = None
    """Start from the weights of a trained model: a run folder, or a name that `fissura models`
    lists. Where no option of the network is given, it is that model's."""

    deep_supervision: bool = False
    """Judge the inner decoder levels of crackseg too."""

    protocol: ProtocolName = "native"
    """How photos become training images: native takes them as they are, the others are the
    paper's small crops."""

    area_threshold: float | None = None
    """Fraction of a shrunken pixel's area that must be crack to call it crack; 1/8 unless given."""

    classes: str | None = None
    """Train several classes: their names, with commas between them, in the order of their values in
    the masks (1, 2, 3 …; 0 is the background), or with these values: crack,spalling=4. Without it
    a pixel is crack or not."""

    overlapping: bool = False
    """A pixel may belong to several classes. Each has a mask of its own, in a folder of its name
    below the folder of masks."""

    rare: str | None = None
    """Classes that the loss treats as rare (with a margin, without focusing), with commas between
    them; all unless given."""

    ignore: int | None = None
    """Value of mask pixels without a label, which count nowhere; 255 where it lies beside crack of
    1, unless given. A folder named ignored beside the folder of masks may hold masks of them, too,
    bright where a pixel has no label."""

    empty_if_missing: bool = False
    """Photos without a mask show no crack. Those in a folder named good never need one."""

    crop: int | None = None
    """Side of the random crops, in pixels. Unless given: no crops where all training images have
    one size of at most 512 pixels a side, else 256."""

    augment: bool = True
    """Turn, flip, recolor, blur and add noise at random, as in the paper's Fig. 2."""

    epochs: int = 100
    """How many times each training image is seen."""

    batch_size: int = 16
    """Images per step, all processes together."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """sgd has Nesterov momentum of 0.9."""

    learning_rate: float = 1e-3
    """Learning rate at its peak."""

    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes after its rise: down to 0 along a cosine, or constant, for a
    training whose end is not known; take --ema with it."""

    warmup_epochs: float = 0.0
    """Epochs over which the learning rate rises linearly from 0, before it falls."""

    weight_decay: float = 0.0
    """Weight decay of the optimizer."""

    clip_norm: float | None = None
    """Scale gradients down to at most this norm."""

    ema: float | None = None
    """Keep an exponential moving average of the weights with this decay, for example 0.999, and
    use it instead of the last weights."""

    validation: float | None = None
    """Fraction of the training images set aside to choose the best epoch and the threshold. Unless
    given: a fifth, or none of fewer than five photos. 0 trains on all of them and keeps the last
    epoch and the threshold 0.5, as the paper's experiments do. A folder's own val split is used
    instead where it has one and this is not 0."""

    patience: int | None = None
    """Stop early after this many epochs without a better validation IoU."""

    seed: int = 0
    """Seed of initial weights, order, crops and augmentation."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network; auto takes bfloat16 where the hardware is fast at it. NVIDIA cards
    multiply float32 numbers of convolutions by 10 bits (TF32)."""

    fused: bool = True
    """Compute steps that belong together at once, with the same results but for rounding. Without
    it, loss and network are computed as they are written, to the bits of version 0.1."""

    compile: bool = False
    """Translate the network with torch.compile before training, which takes half a minute or more
    and, on a CPU, a C++ compiler. Slower on the CPU that it was measured on; try it on a GPU."""

    accelerator: str = "auto"
    """Where to compute: auto, cpu, cuda or mps."""

    devices: int = 1
    """Processes on this machine, one per GPU (or, on CPUs, one per process)."""

    nodes: int = 1
    """Machines that train together; docs/training.md has the lines to start them by torchrun or
    SLURM."""

    workers: int | None = None
    """Processes that draw the crops of a mixture ahead. Unless given: none on a CPU, whose cores
    are busy with the training; beside CUDA, which would wait, all cores but one for each GPU."""

    pool: Literal["global", "rank"] = "global"
    """What loss and batch normalization run over where several processes train: global, the whole
    batch, as one process would; or rank, the images of each process, whose losses are averaged."""

    accumulate: int = 1
    """Parts in which each batch goes through the network, for less memory. The loss is that of the
    whole batch, for which the network is run twice; batch normalization sees each part alone."""

    skip_bad: bool = False
    """Go on without files that cannot be used; they are listed in skipped.csv of the run."""

    labels: str | None = None
    """Labels of a labeling tool's annotations that count as crack, with commas between them. Unless
    given: the only label, or those with a word for crack in their names."""

    line_width: float | None = None
    """Width in pixels of lines that were drawn along cracks. Unless given, it is measured in the
    photo beneath them."""

    def __post_init__(self) -> None:
        check_line_width(self.line_width)
        labels_of(self)
        if self.rare is not None and (self.classes is None or self.overlapping):
            raise InputError(
                "--rare names those of several --classes, one to a pixel, that are rare. Where "
                "classes overlap, each is a problem of its own."
            )
        for name, lowest in LOWEST.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, str) and not value >= lowest:
                raise InputError(f"{option(name)} is {value}; it must be at least {lowest}.")
        if not self.learning_rate > 0:
            raise InputError(f"--learning-rate is {self.learning_rate}; it must be above 0.")
        if self.validation is not None and not self.validation < 1:
            raise InputError(
                f"--validation is {self.validation}; it is a fraction of the images, below 1."
            )
        if self.ema is not None and not self.ema < 1:
            raise InputError(f"--ema is {self.ema}; a decay lies between 0 and 1.")
        if self.patience is not None and self.validation == 0:
            raise InputError(
                "--patience stops on the validation images, and with --validation 0 there are "
                "none. Set some aside, for example with --validation 0.2."
            )
        check_batch_size(self, self.devices * self.nodes)

    @property
    def network(self) -> str:
        """The network: `model`, or crackseg where it is left open."""
        return self.model or "crackseg"

    def annotations(self) -> AnnotationOptions:
        """Return how annotations become masks."""
        return AnnotationOptions(labels=self.labels, line_width=self.line_width)


def check_batch_size(config: TrainOptions, processes: int) -> None:
    """Refuse a batch that so many processes cannot share.

    Args:
        config: Options of the training.
        processes: Processes on all machines.

    Raises:
        InputError: A process would have no image, or, where each has a loss of its own, more than
            another.
    """
    size = config.batch_size
    multiple = f"such as --batch-size {-(-size // processes) * processes}"
    if config.pool == "rank" and size % processes:
        raise InputError(
            f"--batch-size {size} cannot be divided into equal parts for {processes} processes, "
            f"as --pool rank needs. Give a multiple of {processes}, {multiple}."
        )
    if size < processes:
        raise InputError(
            f"--batch-size {size} is less than an image for each of {processes} processes. Give "
            f"more, {multiple}."
        )


LOWEST = {
    "accumulate": 1,
    "epochs": 1,
    "batch_size": 1,
    "crop": 16,
    "width": 1,
    "devices": 1,
    "nodes": 1,
    "workers": 0,
    "patience": 1,
    "seed": 0,
    "warmup_epochs": 0,
    "weight_decay": 0,
    "clip_norm": 0,
    "validation": 0,
    "ema": 0,
    "ignore": 0,
}


def option(name: str) -> str:
    """Return how a field is called on the command line.

    >>> option("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def longer(run: Path, epochs: int, learning_rate: float = 1e-3) -> str:
    """Return the command that trains a finished model for more epochs.

    Its learning rate has fallen to 0 with the last epoch, so that there is nothing to go on with:
    a new training starts from its weights, at a tenth of the learning rate.

    Args:
        run: Run folder of the model.
        epochs: Epochs of the new training.
        learning_rate: Learning rate of the finished training.

    >>> longer(Path("runs/a"), 50)
    'fissura train --config runs/a/config.yaml --start runs/a --epochs 50 --learning-rate 0.0001
     --out NEW_RUN'
    """
    return (
        f"fissura train --config {run / 'config.yaml'} --start {run} --epochs {epochs} "
        f"--learning-rate {learning_rate / 10:g} --out NEW_RUN"
    )


def labels_of(config: TrainOptions) -> Labels:
    """Return what the values of masks stand for.

    Args:
        config: `classes`, `overlapping` and `ignore` are taken from here.

    Raises:
        InputError: Names or values of the classes cannot be.
    """
    return Labels.parse(config.classes, overlapping=config.overlapping, ignore=config.ignore)


def loss_options(config: TrainOptions) -> dict[str, Any]:
    """Return the options of the loss that were given; the rest are the loss's own defaults."""
    names = ("margin", "gamma_hat", "gamma", "delta", "focal_weight", "smooth", "symmetric")
    return {name: value for name in names if (value := getattr(config, name)) is not None}


def model_options(config: TrainOptions) -> dict[str, Any]:
    """Return the options of the network that were given, without `pretrained`."""
    options = {"width": config.width, "encoder": config.encoder}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if config.classes is not None:
        given["channels"] = len(labels_of(config).classes) + (not config.overlapping)
    return given | ({"deep_supervision": True} if config.deep_supervision else {})
