"""`fissura export`: a trained model as one file that runs without Fissura."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from fissura.export.options import ExportOptions

DEFAULTS = ExportOptions()


def export(
    model: Path,
    out: Path,
    *,
    options: Annotated[
        ExportOptions, Parameter(name="*", group=Group("Options"), negative="")
    ] = DEFAULTS,
) -> int:
    """Write a model as one file for ONNX Runtime, OpenVINO or TorchScript, or as safetensors.

    The file takes the pixels of photos of any size, and gives the probability of crack at each:
    normalization, padding and sigmoid are inside; threshold, scale and terms are told in it. It is
    compared with the model on three photos, and not written where it differs. `fissura predict
    --model FILE` runs it, too.

    Args:
        model: Run folder that `fissura train` wrote, or the name of a model that `fissura models`
            lists.
        out: File to write.
    """
    from fissura.checkpoint import config_of
    from fissura.export.export import export_model

    made = export_model(model, out, options)
    print(f"Written: {made.file} ({made.format}, {made.bytes / 1e6:.1f} MB).")
    print(f"Compared: {made.int8 or made.parity}.")
    config = config_of(model)
    print(f"Crack is where the probability is at least {config.threshold:.4g}.")
    if config.scale != 1:
        print(f"It is for photos that were resized by {config.scale:g}, which is not done inside.")
    if terms := config.training.get("terms"):
        print(f"Terms: {terms}.")
    return 0
