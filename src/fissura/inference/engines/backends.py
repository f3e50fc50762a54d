"""The engines of a network: torch, or on a CPU OpenVINO or ONNX Runtime, for the same weights.

A network in memory is converted; an exported model is taken as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fissura.checkpoint import ModelConfig
from fissura.device import choose_device, choose_precision
from fissura.errors import InputError, extra, first_line
from fissura.exported import Format, exported_format, onnx_session
from fissura.inference.engines.portable import INPUT, PortableNetwork, multiple_of, to_onnx
from fissura.inference.options import Engine, PredictOptions
from fissura.models.blocks import pad_to_multiple

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

# The engines that run an exported model, the one that it is for before the others.
ENGINES_OF: dict[Format, tuple[Engine, ...]] = {
    "onnx": ("onnx", "openvino"),
    "openvino": ("openvino",),
    "torchscript": ("torch",),
    "safetensors": ("torch", "openvino", "onnx"),
}


class ExportedNetwork(nn.Module):
    """An exported model in the place of a network: from pixels of any size to probabilities.

    Args:
        file: An .onnx, .xml or .torchscript file from `fissura export`.
        options: Of which engine, device and precision count here.

    Attributes:
        engine: What runs it: as the options say, or what the file is for.
        device: Where it computes.
        dtype: In which precision.

    Raises:
        InputError: The engine cannot run such a file, or is not installed.
    """

    def __init__(self, file: Path, options: PredictOptions) -> None:
        super().__init__()
        kind = exported_format(file)
        assert kind is not None
        able = ENGINES_OF[kind]
        self.engine: Engine = options.engine or able[0]
        if self.engine not in able:
            raise InputError(
                f"{file} is computed by {' or '.join(able)}, not by {self.engine}. Leave out "
                "--engine, or give the model folder that the file was exported from."
            )
        if kind == "torchscript":  # its constants are those of the machine that exported it
            options = replace(options, device=_plain(f"{file} is TorchScript, which", options))
        self.device, self.dtype = place_of(self.engine, options)
        run = {"onnx": _onnx, "openvino": _openvino, "torch": _torchscript}[self.engine]
        self._file = file
        try:
            self._run = run(file, self.dtype)
        except InputError:
            raise
        except Exception as error:  # each engine raises its own kinds, and those of Python
            raise InputError(
                f"{file}: is damaged, {self.engine} cannot load it ({first_line(error)[:200]}). "
                "Export the model anew."
            ) from error

    def forward(self, image: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n c h w"]:
        """Return the probabilities.

        Args:
            image: RGB.

        Raises:
            InputError: The file's program fails.
        """
        try:
            return self._run(image)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise InputError(
                f"{self._file}: fails on a photo ({first_line(error)[:200]}). Export the "
                "model anew if it does so on others."
            ) from error


def place_of(engine: Engine, options: PredictOptions) -> tuple[torch.device, torch.dtype]:
    """Return where an engine computes, and in which precision.

    Args:
        engine: "torch", "openvino" or "onnx".
        options: The device and the precision that are wanted; "auto" is what the engine can.

    Raises:
        InputError: The engine cannot do that, or the machine lacks the device.
    """
    if engine == "torch":
        device = choose_device(options.device)
        return device, choose_precision(options.precision, device)
    if engine == "onnx":
        return choose_device(_plain("ONNX Runtime", options)), torch.float32
    device = torch.device("cpu") if options.device == "auto" else choose_device(options.device)
    if device.type != "cpu":
        raise InputError(f"OpenVINO computes on CPUs, not on {device}: use --device cpu with it.")
    return device, choose_precision(options.precision, device)


def _plain(who: str, options: PredictOptions) -> str:
    """The CPU, where nothing but float32 on a CPU is wanted; else `InputError`."""
    if options.device not in ("auto", "cpu") or options.precision == "bfloat16":
        raise InputError(
            f"{who} computes in float32 on CPUs here: use --device cpu and --precision float32."
        )
    return "cpu"


def onnx_network(network: nn.Module, config: ModelConfig) -> Callable[[Tensor], Tensor]:
    """Return a function from pixels (n, h, w, 3) to probabilities, computed by ONNX Runtime.

    It computes in float32, with as many threads as torch. The conversion takes seconds.

    Args:
        network: A network on the CPU, in evaluation mode.
        config: Its normalization.

    Raises:
        InputError: The packages are not installed, or the network cannot be converted.
    """
    model = to_onnx(PortableNetwork(network, config).eval())
    return _onnx(model.SerializeToString(), torch.float32)


def _onnx(model: Path | bytes, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    session = onnx_session(model, threads=torch.get_num_threads())

    def probability(image: Tensor) -> Tensor:
        (values,) = session.run(None, {INPUT: image.contiguous().numpy()})
        return torch.from_numpy(values)

    return probability


def _openvino(file: Path, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    with extra("openvino", "OpenVINO"):
        import openvino
    infer = _request(openvino.Core().read_model(file), dtype)
    return lambda image: infer(image.contiguous())


def _torchscript(file: Path, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated, and has it
        traced: Any = torch.jit.load(file, map_location="cpu")
    return traced


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
    multiple = multiple_of(network)
    example = torch.zeros(1, 3, 2 * multiple, 3 * multiple)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenVINO traces, which torch calls deprecated
        converted = openvino.convert_model(network, example_input=example, input=[-1, 3, -1, -1])
    infer = _request(converted, dtype)

    def logits(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        height, width = image.shape[-2:]
        padded = pad_to_multiple(image.float(), multiple).contiguous()
        return infer(padded)[..., :height, :width]

    return logits


def _request(model: Any, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """A function that computes a model of OpenVINO, with as many threads as torch."""
    import openvino

    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()

    def infer(given: Tensor) -> Tensor:
        (values,) = request.infer([given.numpy()]).values()
        return torch.from_numpy(values.copy())

    return infer
