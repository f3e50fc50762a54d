"""Write a trained model as one file that needs nothing else, after comparing it with torch."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save

from fissura.checkpoint import ModelConfig, load_model, versions
from fissura.errors import InputError, extra
from fissura.export.int8 import Int8Loss, measure_loss, quantized_model, scenes
from fissura.export.options import ExportOptions
from fissura.export.parity import Parity, compare
from fissura.exported import (
    CONFIG_ENTRY,
    FORMATS,
    OPENVINO_ENTRY,
    TORCHSCRIPT_FILE,
    Format,
    exported_format,
)
from fissura.files import replacing
from fissura.inference.engines.portable import (
    INPUT,
    OUTPUT,
    PortableNetwork,
    to_onnx,
    to_openvino,
    to_torchscript,
)
from fissura.version import __version__


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        file: The file. Of OpenVINO, its weights lie beside it with the ending .bin.
        format: "onnx", "openvino", "torchscript" or "safetensors".
        bytes: Size of all files together.
        parity: How it differs from torch in float32, over three photos; None of int8, for which
            `int8` tells it.
        int8: What 8-bit integers lose; None where the model computes in float32.
    """

    file: Path
    format: Format
    bytes: int
    parity: Parity | None
    int8: Int8Loss | None


def export_model(
    model: str | Path, out: str | Path, options: ExportOptions | None = None
) -> Exported:
    """Write a model as one file that runs without Fissura, and check that it computes the same.

    Onnx, openvino and torchscript take RGB pixels, uint8 (n, height, width, 3), any number of
    images of any size, and give their probabilities, float32 (n, classes, height, width), 0 to 1:
    normalization, padding and sigmoid are inside. Photos are to be given at the size at which the
    model was trained, which is the entry `scale` times their own. Safetensors holds the weights
    alone, with the description that `fissura.load_model` builds the network from.

    Every file has the same entries, texts by name: threshold, scale, classes, terms, input, output,
    versions, and `config`, the model's config.json.

    Before the file gets its name, its probabilities for three photos, each of another size, are
    compared with torch's in float32; a file that differs by more than
    `fissura.export.parity.TOLERANCE` anywhere, or whose mask has an IoU below 0.999, is refused.

    Args:
        model: Run folder, model folder, or name of a model that comes with Fissura.
        out: The file to write; it gets the ending of its format where it has none.
        options: Format, int8, overwriting.

    Returns:
        What was written, and how it differs from the model.

    Raises:
        InputError: There is no such model, the file exists, a package is missing, or the network
            cannot be converted.
        OSError: The file cannot be written.
    """
    options = options or ExportOptions()
    kind, file = _target(Path(out), options)
    network, config = load_model(model)
    entries = entries_of(config)
    if kind == "safetensors":
        state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        with replacing(file) as temporary:
            temporary.write_bytes(save(state, metadata={"format": "pt", **entries}))
            parity = compare(temporary, model)
        return Exported(file, kind, file.stat().st_size, parity, None)
    portable = PortableNetwork(network, config).eval()
    parity = loss = None
    with ExitStack() as stack:
        temporary = stack.enter_context(replacing(file))
        if kind == "openvino":  # first in place, so that the other never lacks it
            stack.enter_context(replacing(file.with_suffix(".bin")))
        if options.int8:
            shown = scenes(options.data, config.scale)
            content = quantized_model(to_onnx(portable), shown.calibration)
            _write_onnx(content, kind, temporary, entries)
            loss = measure_loss(temporary, model, shown)
            _write_onnx(content, kind, temporary, entries | {"int8": str(loss)})
        else:
            _write(portable, kind, temporary, entries)
            parity = compare(temporary, model)
    files = [file, file.with_suffix(".bin")] if kind == "openvino" else [file]
    return Exported(file, kind, sum(each.stat().st_size for each in files), parity, loss)


def entries_of(config: ModelConfig) -> dict[str, str]:
    """Return what an exported model says of itself, texts by name.

    Args:
        config: Of the model.
    """
    classes = config.classes or ("crack",)
    if config.classes and not config.overlapping:
        classes = ("background", *classes)  # a softmax has a channel for it
    return {
        "made_with": f"fissura {__version__}",
        "threshold": repr(config.threshold),
        "scale": repr(config.scale),
        "classes": json.dumps(list(classes)),
        "terms": str(config.training.get("terms", "")),
        "input": f"{INPUT}: RGB, uint8 (n, height, width, 3), photos resized by the scale",
        "output": f"{OUTPUT}: float32 (n, classes, height, width), 0 to 1",
        "versions": json.dumps(versions()),
        CONFIG_ENTRY: json.dumps(asdict(config)),
    }


def _target(out: Path, options: ExportOptions) -> tuple[Format, Path]:
    """The format and the file, checked."""
    by_name = exported_format(out)
    kind = options.to or by_name
    if kind is None:
        raise InputError(
            f"Which format? Give {out} an ending ({', '.join(FORMATS)}), or say "
            f"--to {', '.join(dict.fromkeys(FORMATS.values()))}."
        )
    if out.is_dir():
        raise InputError(f"{out} is a folder. Give the file to write, such as {out / 'model'}.")
    if by_name is None:
        ending = next(ending for ending, format_of in FORMATS.items() if format_of == kind)
        out = out.with_name(out.name + ending)
    elif by_name != kind:
        raise InputError(f"{out} has the ending of {by_name}, but --to says {kind}.")
    if options.int8 and kind not in ("onnx", "openvino"):
        raise InputError(f"int8 is for onnx and openvino, not for {kind}.")
    for file in (out, out.with_suffix(".bin")) if kind == "openvino" else (out,):
        if file.exists() and not options.overwrite:
            raise InputError(f"{file} exists. Give another name, or add --overwrite.")
    return kind, out


def _write(network: PortableNetwork, kind: Format, file: Path, entries: dict[str, str]) -> None:
    """Convert a network and write it with its entries."""
    if kind == "onnx":
        _write_onnx(to_onnx(network), kind, file, entries)
    elif kind == "openvino":
        _write_openvino(to_openvino(network), file, entries)
    else:
        # Not torch.jit.save, which the type checker takes for a function of scripted modules.
        told = {TORCHSCRIPT_FILE: json.dumps(entries)}
        to_torchscript(network).save(str(file), _extra_files=told)


def _write_onnx(model: Any, kind: Format, file: Path, entries: dict[str, str]) -> None:
    """Write an ONNX model as it is, or as one of OpenVINO."""
    if kind == "openvino":
        with extra("openvino", "Export to OpenVINO"):
            import openvino
        _write_openvino(openvino.Core().read_model(model.SerializeToString()), file, entries)
        return
    import onnx

    onnx.helper.set_model_props(model, entries)
    model.producer_name, model.producer_version = "fissura", __version__
    file.write_bytes(model.SerializeToString())


def _write_openvino(model: Any, file: Path, entries: dict[str, str]) -> None:
    import openvino

    model.set_rt_info(json.dumps(entries), [OPENVINO_ENTRY])
    openvino.save_model(model, file, compress_to_fp16=False)
