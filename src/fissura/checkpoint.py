"""Save a trained model as a folder that anyone may download, and load it again.

A model folder holds `model.safetensors` (the weights, no pickle) and `config.json` (everything
that is needed to predict), the convention of the Hugging Face hub. A model that `fissura export`
wrote is one file with the same description in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn

from fissura.errors import InputError, first_line
from fissura.exported import CONFIG_ENTRY, FORMATS, exported_format, read_entries
from fissura.files import replacing
from fissura.files.documents import parse_json
from fissura.models import build_model
from fissura.shipped import MODELS, shipped_folder

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True)
class ModelConfig:
    """Everything in `config.json`: what the network is and how to feed it.

    Attributes:
        model: Name of the network, the first argument of `fissura.build_model`.
        options: Its keyword arguments.
        mean: Per RGB channel, of images scaled to [0, 1]; the network sees (x − mean) / std.
        std: Per RGB channel, likewise.
        scale: Size of the training images over the size of the photos they were made from; a photo
            is resampled by it before the network sees it.
        auto_scale: Whether photos that were enlarged, or are out of focus, are made smaller before,
            as by `--scale auto`, unless a scale is asked for.
        threshold: Probability from which a pixel counts as crack.
        threshold_source: Where the threshold comes from: "fixed", or "validation".
        crack_fraction: Fraction of crack pixels in the training data, 0 to 1.
        protocol: The fields of the `fissura.data.preparation.protocols.Protocol` that prepared
            that data.
        training: What else is worth knowing: loss, seed, epochs, number of images.
        versions: Of Fissura and torch, at the time of training.
        classes: Names of the classes, without the background; () for crack or not. The network has
            a logit for the background and each class, or, where these overlap, for each class.
        overlapping: Whether a pixel may belong to several classes.
        measuring: How the cracks that it finds differ from true ones, the fields of a
            `fissura.measurement.calibration.Calibration`; empty where that was not measured.
        format: Of this description.
    """

    model: str
    options: dict[str, Any]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale: float = 1.0
    auto_scale: bool = False
    threshold: float = 0.5
    threshold_source: str = "fixed"
    crack_fraction: float | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    overlapping: bool = False
    measuring: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def save_model(folder: str | Path, model: nn.Module, config: ModelConfig) -> None:
    """Write a model folder; each of its files appears whole or not at all.

    Args:
        folder: The folder to write `config.json` and `model.safetensors` into.
        model: The network, on any device.
        config: Its description.

    Raises:
        OSError: A file cannot be written; the error names it.
    """
    folder = Path(folder)
    weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as temporary:
        # Through memory: `save_file` would make a file that only its owner may read.
        temporary.write_bytes(save(weights, metadata={"format": "pt"}))
    values = asdict(config)
    if not config.classes:  # so that Fissura 0.2 reads the model, too
        del values["classes"], values["overlapping"]
    if not config.measuring:
        del values["measuring"]
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def find_model(path: str | Path) -> Path:
    """Return the model folder that a path or a name means. No other model is ever taken instead.

    Args:
        path: A model folder, a run folder (its `model/` is meant), or a name of
            `fissura.shipped.MODELS`, unless there is a file or folder of that name. Of an exported
            model the file, which is then the result.

    Raises:
        InputError: There is no model; the message says what is missing.

    >>> find_model("crackseg-small").name
    'crackseg_small'
    """
    path = Path(path)
    if str(path) in MODELS and not path.exists():
        return shipped_folder(str(path))
    for folder in (path, path / "model"):
        if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
            return folder
    if path.is_file() and exported_format(path) and not (path.parent / CONFIG).is_file():
        return path
    raise InputError(f"{_missing(path)} {_remedy(path)}")


def _missing(path: Path) -> str:
    """Say why a path does not lead to a model."""
    if not path.exists():
        return f"There is no model {path}: no such folder, and no model of that name."
    if path.is_file():
        endings = ", ".join(FORMATS)
        return (
            f"{path} is a file, but a model is a folder with the files {CONFIG} and {WEIGHTS}, or "
            f"a file of `fissura export` ({endings})."
        )
    for folder in (path, path / "model"):
        there = [name for name in (CONFIG, WEIGHTS) if (folder / name).is_file()]
        if there:
            lacking = WEIGHTS if there == [CONFIG] else CONFIG
            return f"The model in {folder} is not complete: {folder / lacking} is missing."
    if (path / "config.yaml").is_file():
        return (
            f"The run {path} has no model: its training has not ended, or {path / 'model'} is gone."
        )
    return (
        f"{path} holds no trained model: neither it nor {path / 'model'} has the files {CONFIG} "
        f"and {WEIGHTS}."
    )


def _remedy(path: Path) -> str:
    """Say which models there are."""
    if path.is_file() and (path.parent / CONFIG).is_file() and (path.parent / WEIGHTS).is_file():
        return f"Give the folder {path.parent}."
    if (path / "config.yaml").is_file():
        return f"`fissura train --resume {path}` goes on with a training that was stopped."
    folders = sorted(path.iterdir()) if path.is_dir() else []
    models = [str(below) for below in folders if _is_model(below)]
    if models:
        more = f" and {len(models) - 5} more" if len(models) > 5 else ""
        return f"There are models below it: {', '.join(models[:5])}{more}. Give one of them."
    return (
        f"Give the folder that `fissura train --out` wrote, or the name of a model that comes with "
        f"Fissura: {', '.join(MODELS)}."
    )


def _is_model(folder: Path) -> bool:
    """Whether a folder is a model folder or a run folder with a model."""
    return any((below / WEIGHTS).is_file() for below in (folder, folder / "model"))


def name_of_model(path: str | Path) -> str:
    """Return a model's path or name, with its terms of use where it has any.

    Args:
        path: As for `load_model`.
    """
    terms = config_of(path).training.get("terms")
    return f"{path} ({terms})" if terms else str(path)


def config_of(path: str | Path) -> ModelConfig:
    """Return the description of a model without loading its weights.

    Args:
        path: As for `load_model`, or an exported model.

    Raises:
        InputError: There is no such model, or its description is damaged.

    >>> config_of("crackseg-small").model
    'crackseg'
    """
    found = find_model(path)
    if found.is_file():
        return _parsed(read_entries(found)[CONFIG_ENTRY], found)
    return read_config(found / CONFIG)


def weight_files(path: str | Path) -> list[Path]:
    """Return the files that a model's results depend on.

    Args:
        path: As for `config_of`.
    """
    found = find_model(path)
    if not found.is_file():
        return [found / CONFIG, found / WEIGHTS]
    beside = found.with_suffix(".bin")  # where OpenVINO has the weights
    return [found, beside] if exported_format(found) == "openvino" else [found]


def load_model(path: str | Path) -> tuple[nn.Module, ModelConfig]:
    """Load a model, on the CPU and in evaluation mode.

    Args:
        path: A model folder, a run folder, a .safetensors file of `fissura export`, or the name of
            a model that comes with Fissura.

    Returns:
        The network and its description.

    Raises:
        InputError: There is no model, its files do not belong together, or a newer Fissura wrote
            them.

    >>> model, config = load_model("crackseg-small")
    >>> config.model
    'crackseg'
    """
    found, config = find_model(path), config_of(path)
    if found.is_file() and exported_format(found) != "safetensors":
        raise InputError(
            f"{path} is a model that was exported to be run, by predict, inspect and evaluate; its "
            "network is no more in it. Give the model folder that it was exported from."
        )
    weights = found if found.is_file() else found / WEIGHTS
    model = _built(config, weights)
    try:
        model.load_state_dict(load_file(weights))
    except Exception as error:
        raise _no_pair(config, weights, error) from error
    return model.eval(), config


def _built(config: ModelConfig, weights: Path) -> nn.Module:
    """Build the network that a description names, without weights.

    A wrong width would take all memory before its weights are found to be of another one; so sizes
    are compared first, with those of width 1. (Tensors that have a shape alone, on PyTorch's device
    "meta", would cost a second of imports.)
    """
    try:
        if "width" in config.options:
            with torch.random.fork_rng(()), safe_open(weights, framework="pt") as stored:
                narrow = build_model(config.model, **config.options | {"width": 1})
                for name, tensor in narrow.state_dict().items():
                    sides = zip(stored.get_slice(name).get_shape(), tensor.shape, strict=True)
                    if any(side not in (one, one * config.options["width"]) for side, one in sides):
                        raise ValueError(f"{name} has another size")
        return build_model(config.model, **config.options)
    except InputError:
        raise
    except Exception as error:  # of whatever a network does with options that are none of its own
        raise _no_pair(config, weights, error) from error


def _no_pair(config: ModelConfig, weights: Path, error: Exception) -> InputError:
    """Say that weights are not those of a network."""
    reason = first_line(error)
    return InputError(
        f"The weights in {weights} cannot be loaded into the network that "
        f"its config.json describes ({config.model} {config.options}). One of the two "
        f"files is damaged or from another run. ({reason})"
    )


def read_config(file: Path) -> ModelConfig:
    """Read and check the description of a model.

    Args:
        file: A `config.json`. Names of entries until version 0.2 are understood.

    Raises:
        InputError: It is damaged, or a newer Fissura wrote it.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: {error}.") from error
    return _parsed(text, file)


def _parsed(text: str, file: Path) -> ModelConfig:
    """The description of a model from the text of its config.json; `file` is where it was."""
    try:
        values = parse_json(text)
    except ValueError as error:
        raise InputError(f"{file} cannot be read as JSON: {error}.") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(
            f"{file} is not a model description that this version of Fissura knows "
            f"(format {FORMAT}). Update Fissura, or train again."
        )
    if "crack_share" in values:  # its name until version 0.2
        values["crack_fraction"] = values.pop("crack_share")
    known = {entry.name for entry in fields(ModelConfig)}
    if unknown := sorted(values.keys() - known):
        raise InputError(f"{file} has the unknown entries {', '.join(unknown)}. Update Fissura.")
    try:
        for name in ("mean", "std", "classes"):
            if name in values:
                values[name] = tuple(values[name])
        config = ModelConfig(**values)
        _check(config)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{file} is damaged: {error}. Download or train the model again."
        ) from error
    return config


def _check(config: ModelConfig) -> None:
    """Raise an error where an entry that prediction takes is of another type or out of range."""
    for name in ("mean", "std"):
        values = getattr(config, name)
        numbers = all(isinstance(one, int | float) and abs(one) < 1e6 for one in values)
        if len(values) != 3 or not numbers or (name == "std" and min(values) < 1e-6):
            raise ValueError(f"{name} is {values}, and must be three numbers of the usual size")
    # A validation may choose the threshold 0; a scale of 0 has no pixels.
    for name, least, most in (("scale", 1e-3, 64), ("threshold", 0, 1)):
        value = getattr(config, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            raise ValueError(f"{name} is {value}, and must be a number from {least} to {most}")
    for name in ("auto_scale", "overlapping"):
        if not isinstance(getattr(config, name), bool):
            raise TypeError(f"{name} is {getattr(config, name)!r}, and must be true or false")
    if config.threshold_source not in ("fixed", "validation"):
        raise ValueError(f"threshold_source is {config.threshold_source!r}")
    for name in ("options", "protocol", "training", "versions", "measuring"):
        if not isinstance(getattr(config, name), dict):
            raise TypeError(f"{name} has no entries")
    if not isinstance(config.model, str) or not all(isinstance(one, str) for one in config.classes):
        raise TypeError("model and classes must be names")


def versions() -> dict[str, str]:
    """Versions worth recording beside a result."""
    from fissura.version import __version__

    return {"fissura": __version__, "torch": str(torch.__version__)}
