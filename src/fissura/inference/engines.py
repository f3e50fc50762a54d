"""The engines of a network: torch, or OpenVINO on a CPU, another compiler for the same weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fissura.errors import InputError
from fissura.models.blocks import pad_to_multiple
from fissura.models.crackseg import CrackSeg

if TYPE_CHECKING:
    from jaxtyping import Float


def torch_network(
    network: nn.Module, dtype: torch.dtype, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Return a function from normalized images (n, 3, h, w) to their logits, computed by torch.

    Args:
        network: A network on `device`, in evaluation mode.
        dtype: float32, or bfloat16 for automatic mixed precision.
        device: Where the network is.
    """

    def logits(image: Float[Tensor, "n 3 h w"]) -> Tensor:
        lower = dtype != torch.float32
        with torch.autocast(device.type, dtype=dtype, enabled=lower):
            return network(image)

    return logits


def openvino_network(network: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Return a function from normalized images (n, 3, h, w) to their logits, by OpenVINO.

    The weights stay float32. OpenVINO takes as many threads as torch. The conversion takes seconds.

    Args:
        network: A network on the CPU, in evaluation mode.
        dtype: float32 or bfloat16, in which OpenVINO computes.

    Raises:
        InputError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise InputError(
            "OpenVINO is not installed. Install it with pip install 'fissura[openvino]', or leave "
            "out --engine openvino."
        ) from error

    # The conversion records one run, and with it the padding that this run needed: none.
    multiple = network.encoder.stride if isinstance(network, CrackSeg) else network.multiple
    assert isinstance(multiple, int)
    example = torch.zeros(1, 3, 2 * multiple, 3 * multiple)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenVINO traces, which torch calls deprecated
        converted = openvino.convert_model(network, example_input=example, input=[-1, 3, -1, -1])
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(converted, "CPU", options).create_infer_request()

    def logits(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
        height, width = image.shape[-2:]
        padded = pad_to_multiple(image.float(), multiple).contiguous()
        (values,) = request.infer([padded.numpy()]).values()
        return torch.from_numpy(values[..., :height, :width].copy())

    return logits
