"""Networks: `build_model("crackseg", width=16)`, `build_model("smp:Unet", encoder="resnet34")`.

Every network takes normalized images (N, 3, H, W) of any size and returns logits (N, 1, H, W), or
(N, K, H, W) with the option `channels=K`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from fissura.errors import InputError
from fissura.models.crackseg import CrackSeg, crackseg
from fissura.models.efficient_unet import efficient_unet
from fissura.models.lite_unet import LiteUNet, lite_unet
from fissura.models.smp import ARCHITECTURES, smp_model
from fissura.models.transunet import TransUNet, transunet

MODELS: dict[str, Callable[..., nn.Module]] = {
    "crackseg": crackseg,
    "efficient_unet": efficient_unet,
    "lite_unet": lite_unet,
    "transunet": transunet,
    **{f"smp:{name}": partial(smp_model, name) for name in ARCHITECTURES},
}

__all__ = [
    "MODELS",
    "CrackSeg",
    "LiteUNet",
    "TransUNet",
    "build_model",
    "crackseg",
    "efficient_unet",
    "lite_unet",
    "smp_model",
    "transunet",
]


def build_model(name: str, **options: Any) -> nn.Module:
    """Build a network by its name.

    Args:
        name: A key of `MODELS`. Upper and lower case are one, and so are - and _:
            "efficient-unet" is "efficient_unet".
        **options: Keyword arguments of that network's function.

    Returns:
        The network with new weights: normalized images (N, 3, H, W) in, logits (N, 1, H, W) out, or
        (N, K, H, W) with `channels=K`, for several classes.

    Raises:
        InputError: The name is unknown, or the network does not have the option.

    >>> build_model("crackseg", width=8).head
    Conv2d(8, 1, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    """
    by_lower = {known.lower(): build for known, build in MODELS.items()}
    build = by_lower.get(name.lower().replace("-", "_"))
    if build is None:
        raise InputError(f"There is no model {name!r}. Choose one of: {', '.join(MODELS)}.")
    taken = {
        parameter.name
        for parameter in inspect.signature(build).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if unknown := sorted(options.keys() - taken):
        raise InputError(
            f"Model {name} does not have the option {', '.join(unknown)}; it has "
            f"{', '.join(sorted(taken))}."
        )
    return build(**options)
