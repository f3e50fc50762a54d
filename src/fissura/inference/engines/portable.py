"""A network with all that surrounds it as one graph: pixels of any size in, probabilities out.

The graph normalizes, pads and crops, and ends with the sigmoid, or the softmax of classes, so that
a program which knows nothing of Fissura cannot do any of it wrongly. It is converted for ONNX
Runtime, OpenVINO and TorchScript.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fissura.checkpoint import ModelConfig
from fissura.errors import InputError, extra
from fissura.models.normalize import normalize

if TYPE_CHECKING:
    import onnx
    import openvino
    from jaxtyping import Float, UInt8

INPUT, OUTPUT = "image", "probability"
OPSET = 18  # of ONNX: ONNX Runtime knows it since 1.14, OpenVINO since 2023
# The conversions record one run; its batch and sides are unlike each other and unlike 0 and 1, so
# that nothing is taken for a constant. In multiples of what the network halves by.
EXAMPLE = (2, 3, 4)


class PortableNetwork(nn.Module):
    """A network from the pixels of photos to their probabilities.

    The last row and column are repeated until the network can halve both sides, and the
    probabilities of what was added are cut off again. A photo is taken at the size at which the
    network is to see it: `ModelConfig.scale` is not applied.

    Args:
        network: Normalized images (n, 3, h, w) in, logits (n, c, h, w) out.
        config: Its normalization and its classes.
    """

    def __init__(self, network: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple_of(network)
        self.mean, self.std = config.mean, config.std
        self.exclusive = bool(config.classes) and not config.overlapping

    def forward(self, image: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n c h w"]:
        """Return the probabilities, float32, 0 to 1.

        Args:
            image: RGB, uint8 (n, h, w, 3) of any size.
        """
        height, width = image.shape[1], image.shape[2]
        # By indices, not as `pad_to_multiple` does: what follows is then known to be divisible
        # whatever the size, and the graph holds for all of them.
        image = image.index_select(1, self._indices(height)).index_select(2, self._indices(width))
        logits = self.network(normalize(image.permute(0, 3, 1, 2), self.mean, self.std))
        logits = logits[:, :, :height, :width].float()
        return logits.softmax(1) if self.exclusive else logits.sigmoid()

    def _indices(self, length: Any) -> Tensor:
        """0 to `length` − 1, the last one repeated up to the next multiple.

        While a conversion records, `length` is a symbol or a tensor.
        """
        padded = self.multiple * ((length + self.multiple - 1) // self.multiple)
        return torch.arange(padded).clamp(max=length - 1)


def multiple_of(network: nn.Module) -> int:
    """Return what has to divide the sides of a network's input, in pixels.

    Args:
        network: From `fissura.build_model`.
    """
    encoder = getattr(network, "encoder", None)
    multiple = network.multiple if encoder is None else encoder.stride
    assert isinstance(multiple, int)
    return multiple


def to_onnx(network: PortableNetwork) -> onnx.ModelProto:
    """Convert a network to ONNX, with any number of images of any size.

    Args:
        network: On the CPU, in evaluation mode.

    Returns:
        A model of input "image", uint8 (n, height, width, 3), and output "probability".

    Raises:
        InputError: The package onnxscript is not installed, or torch cannot convert the network.
    """
    with extra("onnx", "Export to ONNX"):
        import onnx
        import onnxscript  # noqa: F401  # torch takes it, and says it less plainly
    any_size = {INPUT: {0: "n", 1: "height", 2: "width"}}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts of torch that torch itself calls
            program = torch.onnx.export(
                network,
                (_example(network),),
                dynamo=True,
                dynamic_shapes=any_size,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:
        raise _not_convertible("ONNX", error) from error
    assert program is not None
    model = program.model_proto
    # The exporter has formulas of the sizes, for what is the input's size again.
    _, _, *sides = model.graph.output[0].type.tensor_type.shape.dim
    for side, name in zip(sides, ("height", "width"), strict=True):
        side.dim_param = name
    _forget_sources(model)
    onnx.checker.check_model(model)
    return model


def _forget_sources(model: onnx.ModelProto) -> None:
    """Remove the lines of code that each operation comes from, and the paths of their files."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""


def to_openvino(network: PortableNetwork) -> openvino.Model:
    """Convert a network to OpenVINO, with any number of images of any size.

    Args:
        network: On the CPU, in evaluation mode.

    Raises:
        InputError: OpenVINO is not installed, or cannot convert the network.
    """
    with extra("openvino", "Export to OpenVINO"):
        import openvino
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # OpenVINO traces, which torch calls deprecated
            model = openvino.convert_model(
                network, example_input=_example(network), input=[(INPUT, [-1, -1, -1, 3])]
            )
    except Exception as error:
        raise _not_convertible("OpenVINO", error) from error
    model.outputs[0].set_names({OUTPUT})
    return model


def to_torchscript(network: PortableNetwork) -> torch.jit.ScriptModule:
    """Convert a network to TorchScript, with any number of images of any size.

    Args:
        network: On the CPU, in evaluation mode.

    Raises:
        InputError: torch cannot convert the network.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls tracing deprecated, and has it
            traced: Any = torch.jit.trace(network, _example(network), check_trace=False)
    except Exception as error:
        raise _not_convertible("TorchScript", error) from error
    return traced


def _example(network: PortableNetwork) -> UInt8[Tensor, "n h w 3"]:
    """Pixels to record a run with; padding is needed, so that it is recorded."""
    number, rows, columns = EXAMPLE
    return torch.zeros(
        number, rows * network.multiple - 1, columns * network.multiple - 2, 3, dtype=torch.uint8
    )


def _not_convertible(format_name: str, error: Exception) -> InputError:
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return InputError(
        f"This network cannot be converted to {format_name}: {reason.strip()} Export it with "
        "--to safetensors, or train a network of convolutions alone."
    )
