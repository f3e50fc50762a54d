"""Read what an exported model says of itself: one file that runs without the code that trained it.

`fissura export` writes such files. Each holds the same entries, texts by name, where its format has
a place for them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fissura.errors import InputError, extra

if TYPE_CHECKING:
    import onnxruntime

Format = Literal["onnx", "openvino", "torchscript", "safetensors"]

FORMATS: dict[str, Format] = {
    ".onnx": "onnx",
    ".xml": "openvino",
    ".torchscript": "torchscript",
    ".safetensors": "safetensors",
}
CONFIG_ENTRY = "config"  # the model's config.json, from which everything else follows
TORCHSCRIPT_FILE = "fissura.json"  # within the archive
OPENVINO_ENTRY = "fissura"  # in the run-time information of the model


def exported_format(path: str | Path) -> Format | None:
    """Return the format of an exported model, by the name of its file; None of anything else.

    Args:
        path: A file or folder, which need not exist.

    >>> exported_format("model.onnx")
    'onnx'
    """
    path = Path(path)
    return None if path.is_dir() else FORMATS.get(path.suffix.lower())


def read_entries(file: str | Path) -> dict[str, str]:
    """Read what an exported model says of itself.

    Args:
        file: An .onnx, .xml (OpenVINO), .torchscript or .safetensors file.

    Returns:
        Texts by name, among them "config", the model's config.json.

    Raises:
        InputError: There is no such file, it is damaged, Fissura did not export it, or what reads
            it is not installed.
    """
    file = Path(file)
    kind = exported_format(file)
    if kind is None or not file.is_file():
        raise InputError(f"There is no exported model {file}.")
    read = {
        "onnx": _of_onnx,
        "openvino": _of_openvino,
        "torchscript": _of_torchscript,
        "safetensors": _of_safetensors,
    }[kind]
    try:
        entries = read(file)
    except InputError:
        raise
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        raise InputError(f"{file} cannot be read as an exported model. ({reason})") from error
    if CONFIG_ENTRY not in entries:
        raise InputError(
            f"{file} was not exported by Fissura: how its images are prepared, and from which "
            "probability on a pixel is crack, is not in it. Export it with `fissura export`."
        )
    return entries


def onnx_session(
    file: str | Path | bytes, *, threads: int = 0, optimized: bool = True
) -> onnxruntime.InferenceSession:
    """Open a model in ONNX Runtime, on the CPU.

    Args:
        file: The file, or its content.
        threads: That it computes with; 0 for all cores.
        optimized: Merge operations first, which takes a part of a second.

    Raises:
        InputError: ONNX Runtime is not installed.
    """
    with extra("onnx", "An ONNX model"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors alone
    if not optimized:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    given = file if isinstance(file, bytes) else str(file)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def _of_onnx(file: Path) -> dict[str, str]:
    return dict(onnx_session(file, optimized=False).get_modelmeta().custom_metadata_map)


def _of_openvino(file: Path) -> dict[str, str]:
    with extra("openvino", "An OpenVINO model"):
        import openvino
    model = openvino.Core().read_model(file)
    if not model.has_rt_info([OPENVINO_ENTRY]):
        return {}
    return json.loads(model.get_rt_info([OPENVINO_ENTRY]).astype(str))


def _of_torchscript(file: Path) -> dict[str, str]:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        inside = [name for name in archive.namelist() if name.endswith(f"/{TORCHSCRIPT_FILE}")]
        return json.loads(archive.read(inside[0])) if inside else {}


def _of_safetensors(file: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        return dict(opened.metadata() or {})
