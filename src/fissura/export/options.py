"""The options of export, without torch, so that the help of the command line is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fissura.exported import Format


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What a model is exported to."""

    to: Format | None = None
    """Format of the file; by default that of its ending: .onnx, .xml (OpenVINO), .torchscript or
    .safetensors."""

    int8: bool = False
    """Compute in 8-bit integers: a smaller file, faster on some processors, and slightly other
    masks. How much is lost is measured and told. For onnx and openvino."""

    data: Path | None = None
    """Folder of photos with masks on which int8 is adjusted and its loss of IoU measured; by
    default it is adjusted on the photos that come with Fissura, and compared with the model's own
    masks."""

    overwrite: bool = False
    """Replace a file that exists."""
