"""Save a trained model as a folder that anyone may download, and load it again.

A model folder holds `model.safetensors` (the weights, no pickle) and `config.json` (everything
that is needed to predict), the convention of the Hugging Face hub.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from fissura.errors import InputError
from fissura.files import replacing
from fissura.models import build_model
from fissura.shipped import MODELS, shipped_folder

FORMAT = 1


@dataclass(frozen=True)
class ModelConfig:
    """Everything in `config.json`: what the network is and how to feed it.

    model, options:  the arguments of `fissura.models.build_model`.
    mean, std:       per RGB channel, of images scaled to [0, 1]; the network sees (x − mean) / std.
    scale:           size of the training images over the size of the photos they were made from;
                     a photo is resampled by it before the network sees it.
    threshold:       probability from which a pixel counts as crack.
    threshold_source: where the threshold comes from: "fixed", or "validation".
    crack_fraction:  fraction of crack pixels in the training data.
    protocol:        the fields of the `fissura.data.protocols.Protocol` that prepared that data.
    training:        what else is worth knowing: loss, seed, epochs, number of images.
    versions:        of Fissura and torch, at the time of training.
    """

    model: str
    options: dict[str, Any]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale: float = 1.0
    threshold: float = 0.5
    threshold_source: str = "fixed"
    crack_fraction: float | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT


def save_model(folder: Path, model: nn.Module, config: ModelConfig) -> None:
    """Write `config.json` and `model.safetensors` into `folder`, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    with replacing(folder / "model.safetensors") as temporary:
        # Through memory: `save_file` would make a file that only its owner may read.
        temporary.write_bytes(save(weights, metadata={"format": "pt"}))
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")


def find_model(path: Path) -> Path:
    """Return the model folder meant by `path`: itself, or the `model/` of a run folder.

    A name of `fissura.shipped.MODELS` means that model, unless there is such a folder.
    """
    if str(path) in MODELS and not path.exists():
        return shipped_folder(str(path))
    for folder in (path, path / "model"):
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return folder
    raise InputError(
        f"{path} holds no trained model: neither it nor {path / 'model'} has the files config.json "
        "and model.safetensors. Give the folder that `fissura train --out` wrote, or a name that "
        "`fissura models` lists."
    )


def name_of_model(path: Path) -> str:
    """Return the name of the model that `path` means, with its terms of use where it has any."""
    terms = read_config(find_model(path) / "config.json").training.get("terms")
    return f"{path} ({terms})" if terms else str(path)


def load_model(path: Path) -> tuple[nn.Module, ModelConfig]:
    """Load a model from a model folder or a run folder, on the CPU, in evaluation mode.

    Raises `InputError` where there is no model, or where it was written by a newer Fissura.
    """
    folder = find_model(path)
    config = read_config(folder / "config.json")
    model = build_model(config.model, **config.options)
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except Exception as error:
        raise InputError(
            f"The weights in {folder / 'model.safetensors'} cannot be loaded into the network that "
            f"config.json beside it describes ({config.model} {config.options}). One of the two "
            f"files is damaged or from another run. ({str(error).splitlines()[0]})"
        ) from error
    return model.eval(), config


def read_config(file: Path) -> ModelConfig:
    """Read and check a `config.json`."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
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
    values["mean"], values["std"] = tuple(values["mean"]), tuple(values["std"])
    return ModelConfig(**values)


def versions() -> dict[str, str]:
    """Versions worth recording beside a result."""
    from fissura.version import __version__

    return {"fissura": __version__, "torch": str(torch.__version__)}
