"""The parts of a running training, and how they are put together."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fissura.checkpoint import ModelConfig, find_model, load_model, read_config, versions
from fissura.data.batches import ImageStore
from fissura.data.load import PreparedSet
from fissura.device import choose_device, choose_precision
from fissura.errors import InputError, extra
from fissura.models import build_model
from fissura.models.blocks import DecoderLevel
from fissura.training import run_folder
from fissura.training.inputs import Inputs, choose_crop, choose_loss
from fissura.training.optimize import make_average, make_optimizer
from fissura.training.options import TrainOptions, model_options, option

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Planned:
    """A training to be done: the folder that it writes, its images, and every other choice."""

    run: Path
    data: Path
    config: TrainOptions


@dataclass
class Position:
    """Where a training stands: epochs done, steps done in the next one, and what they gave."""

    epoch: int = 0
    step: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    seconds: float = 0.0
    best_iou: float = -1.0
    best_epoch: int = 0


@dataclass(frozen=True)
class Session:
    """Everything that the steps of a training need.

    run is the folder that it writes. network is the bare model; model is the same one as fabric
    runs it (device, precision, processes); average is its moving average, or None. card describes
    the model for predicting.
    """

    run: Path
    fabric: Fabric
    config: TrainOptions
    network: nn.Module
    model: nn.Module
    optimizer: Any
    average: AveragedModel | None
    loss: Callable[..., Tensor]
    train: ImageStore
    validation: ImageStore | None
    crop: int | None
    card: ModelConfig
    fingerprint: str

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and saved."""
        return self.network if self.average is None else self.average.module

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimizer per epoch."""
        return math.ceil(len(self.train) / self.config.batch_size)

    @property
    def precision(self) -> str:
        """The arithmetic of the network, in words."""
        return "bfloat16" if self.fabric.strategy.precision.precision != "32-true" else "float32"

    def state(self, position: Position) -> dict[str, Any]:
        """Return everything that `restore` needs to go on with the same bits."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "position": vars(position) | {"loss_sum": position.loss_sum.cpu()},
            "fingerprint": self.fingerprint,
        }

    def restore(self, state: dict[str, Any]) -> Position:
        """Take over the state of an earlier session; return where it stood."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        return Position(**state["position"])


def start_fabric(config: TrainOptions) -> Fabric:
    """Choose device and precision, and start the other processes where there are any."""
    with extra("train", "Training"):
        from lightning_fabric import Fabric

    device = choose_device(config.accelerator)
    if config.compile:
        check_compiler(device)
    dtype = choose_precision(config.precision, device)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # we say it ourselves
    fabric = Fabric(
        accelerator=device.type,
        devices=config.devices,
        num_nodes=config.nodes,
        strategy="ddp" if config.devices * config.nodes > 1 else "auto",
        precision="bf16-mixed" if dtype == torch.bfloat16 else "32-true",
    )
    fabric.launch()
    return fabric


def check_compiler(device: torch.device) -> None:
    """Raise `InputError` where torch.compile does not work on `device`, with the reason."""
    try:
        torch.compile(lambda x: x.cos() + 1)(torch.zeros(32, device=device))
    except Exception as error:  # of a compiler, a driver, a library: any kind
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise InputError(
            f"--compile does not work here: {reason}. On a CPU it needs a C++ compiler (package "
            "g++ or build-essential of most systems, or one named in the variable CXX), on a GPU "
            "Triton and a C compiler. Install it, or leave out --compile."
        ) from error


def build_session(
    run: Path,
    fabric: Fabric,
    config: TrainOptions,
    inputs: Inputs,
    *,
    resumed: bool = False,
) -> Session:
    """Put the parts together; the initial weights depend on the seed and the network alone.

    resumed:  the weights will come from a saved state, so that pretrained ones need no download.
    """
    loss, given = choose_loss(config, inputs.train.crack_fraction)
    options = model_options(config)
    torch.manual_seed(config.seed)
    pretrained = {"pretrained": True} if config.pretrained and not resumed else {}
    network = build_model(config.model, **options, **pretrained)
    if config.start is not None and not resumed:
        start_from(network, config)
    network = network.to(device=fabric.device)
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    average = None if config.ema is None else make_average(network, config.ema)
    for level in network.modules():
        if isinstance(level, DecoderLevel):
            level.merged = config.fused
    computed = network
    if config.compile:  # one translation for each size of batch, the last of an epoch included
        computed = cast(nn.Module, torch.compile(network, dynamic=False))
    model, optimizer = fabric.setup(computed, make_optimizer(network, config))

    def store(images: PreparedSet) -> ImageStore:
        return ImageStore.of(images.images, images.masks, fabric.device)

    training = {"loss": config.loss, **given, "epochs": config.epochs, "seed": config.seed}
    return Session(
        run=run,
        fabric=fabric,
        config=config,
        network=network,
        model=model,
        optimizer=optimizer,
        average=average,
        loss=loss,
        train=store(inputs.train),
        validation=None if inputs.validation is None else store(inputs.validation),
        crop=choose_crop(config, inputs.train),
        card=ModelConfig(
            model=config.model,
            options=options,
            scale=inputs.train.scale,
            crack_fraction=inputs.train.crack_fraction,
            protocol=asdict(inputs.train.protocol),
            training=origin(run, config) | training | {"images": len(inputs.train)},
            versions=versions(),
        ),
        fingerprint=inputs.train.fingerprint,
    )


def check_smallest_batch(session: Session) -> None:
    """Raise `InputError` where the smallest batch is too small for the network's normalization.

    Batch normalization needs two values per channel. Deep in a network, an image may be a single
    one, so that a last batch of one image would fail at the end of the first epoch.
    """
    config, count = session.config, len(session.train)
    processes = session.fabric.world_size
    smallest = min(config.batch_size, count % config.batch_size or config.batch_size, count)
    if smallest > processes:
        return
    side = session.crop
    height, width = (side, side) if side else session.train.images[0].shape[-2:]
    image = torch.zeros(1, 3, height, width, device=session.fabric.device)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            copy.deepcopy(session.network).train()(image)
    except ValueError as error:
        if "value per channel" not in str(error):  # in torch's words or `fissura.models.smp`'s
            raise
        sizes = range(config.batch_size + processes, count + processes, processes)
        better = next((size for size in sizes if not 0 < count % size <= processes), None)
        way = f"Give --batch-size {better}" if better else "Add training images"
        raise InputError(
            f"{count} training images in batches of {config.batch_size} leave a last batch of one "
            f"image of {height}×{width} pixels, which is one value per channel deep in the network "
            f"{config.model}, and batch normalization needs two. {way}, or take larger images or a "
            "larger --crop."
        ) from error


def origin(run: Path, config: TrainOptions) -> dict[str, Any]:
    """Return what the card says of the model that a training started from: it, and its terms."""
    if config.start is None:
        return {}
    own = run / "model" / "config.json"  # of a resumed training: the other model may be gone
    card = read_config(own if own.is_file() else find_model(Path(config.start)) / "config.json")
    terms = card.training.get("terms")
    return {"start": config.start} | ({"terms": terms} if terms else {})


def start_from(network: nn.Module, config: TrainOptions) -> None:
    """Give a network the weights of the model that `config.start` names.

    Raises `InputError` where there is none, or it is of another network.
    """
    assert config.start is not None
    model, card = load_model(Path(config.start))
    wanted, found = network.state_dict(), model.state_dict()
    if {name: weight.shape for name, weight in wanted.items()} != {
        name: weight.shape for name, weight in found.items()
    }:
        options = " ".join(f"{option(name)} {value}" for name, value in card.options.items())
        raise InputError(
            f"--start {config.start} is another network than the one to train: it is --model "
            f"{card.model.replace('_', '-')} {options}. Give these options, or leave --start out."
        )
    network.load_state_dict(found)


def begin(
    planned: Planned,
    fabric: Fabric,
    inputs: Inputs,
    state: dict[str, Any] | None,
) -> tuple[Session, Position]:
    """Put a training together, new or where `state` left it, and write what is known of it by now.

    Raises `InputError` where the images are others than before.
    """
    run, config = planned.run, planned.config
    session = build_session(run, fabric, config, inputs, resumed=state is not None)
    check_smallest_batch(session)
    position = Position()
    if state is not None:
        if state["fingerprint"] != session.fingerprint:
            raise InputError(
                f"The images in {planned.data} are no longer those that {run} was trained on, so "
                "it cannot go on. Restore them, or start a new training with another --out."
            )
        position = session.restore(state)
    position.loss_sum = position.loss_sum.to(fabric.device)
    if fabric.is_global_zero:
        run_folder.open_run(run, planned.data, config, inputs, epochs=position.epoch)
    return session, position
