"""From options and images to a session: network, first weights, card, run folder."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from fissura.checkpoint import ModelConfig, config_of, load_model, read_config, versions
from fissura.data.mixtures.images import MixedImages
from fissura.data.preparation.batches import ImageStore
from fissura.data.preparation.load import PreparedSet
from fissura.errors import InputError
from fissura.models import LiteUNet, build_model
from fissura.models.blocks import DecoderLevel
from fissura.training import run_folder
from fissura.training.classes import rare_fraction
from fissura.training.inputs import Inputs, choose_crop, choose_loss
from fissura.training.optimize import make_average, make_optimizer
from fissura.training.options import (
    TrainOptions,
    labels_of,
    model_options,
    option,
)
from fissura.training.processes.batch_norm import pool_batch_norm
from fissura.training.session import Planned, Position, Session

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def build_session(
    run: Path,
    fabric: Fabric,
    config: TrainOptions,
    inputs: Inputs,
    *,
    resumed: bool = False,
) -> Session:
    """Build the session of a training; its first weights depend on seed and network alone.

    Args:
        run: Folder that the training writes.
        fabric: Device, precision and processes.
        config: Options of the training.
        inputs: Images.
        resumed: Whether the weights come from a saved state afterwards, so that pretrained ones
            need no download.

    Raises:
        InputError: The loss or the network does not take these options, or the model to start from
            does not fit.
    """
    fraction = inputs.train.crack_fraction
    if isinstance(inputs.train, PreparedSet) and inputs.train.classes:
        fraction = rare_fraction(config, inputs.train)
    loss, given = choose_loss(config, fraction)
    options = model_options(config)
    torch.manual_seed(config.seed)
    own = resumed or config.start is not None  # weights that take the place of ImageNet's
    pretrained = {"pretrained": True} if config.pretrained and not own else {}
    network = build_model(config.network, **options, **pretrained)
    if config.start is not None and not resumed:
        start_from(network, config)
    network = network.to(device=fabric.device)
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if fabric.world_size > 1 and config.pool == "global":
        pool_batch_norm(network, fabric.device)
    average = None if config.ema is None else make_average(network, config.ema)
    for level in network.modules():
        if isinstance(level, DecoderLevel):
            level.merged = config.fused
    computed = network
    if config.compile:  # one translation for each size of batch, the last of an epoch included
        computed = cast(nn.Module, torch.compile(network, dynamic=False))
    model, optimizer = fabric.setup(computed, make_optimizer(network, config))

    def store(images: PreparedSet) -> ImageStore:
        return ImageStore.of(images.images, images.masks, fabric.device, images.valid)

    mixed = inputs.train if isinstance(inputs.train, MixedImages) else None
    return Session(
        run=run,
        fabric=fabric,
        config=config,
        network=network,
        model=model,
        optimizer=optimizer,
        average=average,
        loss=loss,
        train=mixed or store(inputs.train),  # pyright: ignore[reportArgumentType]
        validation=None if inputs.validation is None else store(inputs.validation),
        crop=choose_crop(config, inputs.train),
        card=first_card(run, config, inputs.train, network, given),
        fingerprint=inputs.train.fingerprint,
    )


def first_card(
    run: Path,
    config: TrainOptions,
    train: PreparedSet | MixedImages,
    network: nn.Module,
    given: dict[str, Any],
) -> ModelConfig:
    """Return the card of a model before its training; its threshold is not chosen yet.

    Args:
        run: Folder of the run.
        config: Options of the training.
        train: Training images.
        network: The network.
        given: Options of the loss, as they were chosen.
    """
    normalization: dict[str, Any] = {}
    if isinstance(network, LiteUNet):
        normalization = {"mean": network.mean, "std": network.std}
    training = {"loss": config.loss, **given, "epochs": config.epochs, "seed": config.seed}
    kept = {"ignore": config.ignore, "classes": config.classes, "rare": config.rare}
    training |= {name: value for name, value in kept.items() if value is not None}
    return ModelConfig(
        model=config.network,
        options=model_options(config),
        scale=train.scale,
        auto_scale=isinstance(train, MixedImages) and train.mixture.scale_spread > 0,
        crack_fraction=train.crack_fraction,
        protocol=asdict(train.protocol),
        training=origin(run, config) | training | described(train),
        versions=versions(),
        classes=labels_of(config).classes,
        overlapping=config.overlapping,
        **normalization,
    )


def check_smallest_batch(session: Session) -> None:
    """Check that the smallest batch is large enough for the network's normalization.

    Batch normalization needs two values per channel. Deep in a network, an image may be a single
    value, so that a last batch of one image would fail at the end of the first epoch.

    Args:
        session: Session of the training; its network and the random numbers stay as they are.

    Raises:
        InputError: It is too small; the sentence names a batch size that works.
    """
    config, count = session.config, len(session.train)
    processes = session.fabric.world_size
    smallest = min(config.batch_size, count % config.batch_size or config.batch_size, count)
    if session.pooled or smallest > processes:  # what is pooled has an image of each process
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
            f"{config.network}, and batch normalization needs two. {way}, or take larger images or "
            "a larger --crop."
        ) from error


def origin(run: Path, config: TrainOptions) -> dict[str, Any]:
    """Return the entries of the card on the model that a training started from, with its terms.

    Args:
        run: Folder of the run, whose own card serves in a resumed training.
        config: Options of the training; `start` names the model.
    """
    if config.start is None:
        return {}
    own = run / "model" / "config.json"  # of a resumed training: the other model may be gone
    card = read_config(own) if own.is_file() else config_of(config.start)
    terms = card.training.get("terms")
    return {"start": config.start} | ({"terms": terms} if terms else {})


def described(train: PreparedSet | MixedImages) -> dict[str, Any]:
    """Return the entries of the card on the training images; a mixture's with terms and credits.

    Args:
        train: Training images.
    """
    if isinstance(train, PreparedSet):
        return {"images": len(train)}
    terms = train.mixture.terms
    entries = {"images": len(train.names), "data": train.mixture.credits}
    return entries | ({"terms": terms} if terms else {})


def like_start(config: TrainOptions) -> TrainOptions:
    """Return the options with the network of the model to start from, where none is asked for.

    Args:
        config: Options of a training that begins.

    Raises:
        InputError: There is no such model.
    """
    asked = (config.model, config.width, config.encoder)
    if config.start is None or config.deep_supervision or any(one is not None for one in asked):
        return config
    card = config_of(config.start)
    known = {name: card.options.get(name) for name in ("width", "encoder")}
    supervised = bool(card.options.get("deep_supervision"))
    return replace(config, model=card.model, deep_supervision=supervised, **known)


def start_from(network: nn.Module, config: TrainOptions) -> None:
    """Give a network the weights of the model that `config.start` names.

    Args:
        network: Network, which changes in place.
        config: Options of the training.

    Raises:
        InputError: There is no such model, or it is another network. Of a training of several
            classes the head may be another, which then stays as it is.
    """
    assert config.start is not None
    model, card = load_model(Path(config.start))
    wanted, found = network.state_dict(), model.state_dict()
    differing = {
        name for name in wanted if name in found and wanted[name].shape != found[name].shape
    }
    # The head of a model of other classes has other channels; the rest of it is worth having.
    only_head = config.classes is not None and all("head" in name for name in differing)
    if wanted.keys() != found.keys() or (differing and not only_head):
        options = " ".join(f"{option(name)} {value}" for name, value in card.options.items())
        raise InputError(
            f"--start {config.start} is another network than the one to train: it is --model "
            f"{card.model.replace('_', '-')} {options}. Give these options, or none of the "
            "network, or leave --start out."
        )
    network.load_state_dict(wanted | {n: w for n, w in found.items() if n not in differing})


def begin(
    planned: Planned,
    fabric: Fabric,
    inputs: Inputs,
    state: dict[str, Any] | None,
) -> tuple[Session, Position]:
    """Build a training's session, new or as `state` left it, and open its run folder.

    Args:
        planned: The training.
        fabric: Device, precision and processes.
        inputs: Images.
        state: State of an earlier session, or None for a new training.

    Returns:
        The session, and its position.

    Raises:
        InputError: The images are not those of the earlier session, or `build_session` or
            `check_smallest_batch` refuses the options.
    """
    run, config = planned.run, planned.config
    session = build_session(run, fabric, config, inputs, resumed=state is not None)
    check_smallest_batch(session)
    if state is not None:
        try:
            if state["fingerprint"] != session.fingerprint:
                raise InputError(
                    f"The images in {planned.data} are no longer those that {run} was trained on, "
                    "so it cannot go on. Restore them, or start a new training with another --out."
                )
            position = session.restore(state)
            position.loss_sum = position.loss_sum.to(fabric.device)
        except InputError:
            raise
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise run_folder.damaged_state(run, error) from error
    else:
        position = Position()
        position.loss_sum = position.loss_sum.to(fabric.device)
    if fabric.is_global_zero:
        run_folder.open_run(run, planned.data, config, inputs, epochs=position.epoch)
    return session, position
