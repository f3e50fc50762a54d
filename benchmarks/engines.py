"""How fast are exported models beside torch: from the start of a process, and per megapixel?

    python benchmarks/engines.py [--repeats 3] [--models FOLDER] [--no-record]

Start: whole processes that load a model and predict one photo of 448×448. Speed: within one
process, a photo of 768×1024 through the same predictor; exported models take it in tiles of 512,
torch by bands of rows where the network can. The networks are the shipped models by their names.
`--models` keeps the exported files from one run to the next, and `--export` makes them alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from side_by_side import Goal, Result, arguments, finish, in_turn

from fissura.checkpoint import find_model
from fissura.data.images import read_image
from fissura.export.export import export_model
from fissura.export.options import ExportOptions
from fissura.inference.predictor import Predictor
from fissura.shipped import DEFAULT, MODELS, PHOTOS

QUESTION = "How fast are exported models beside torch: at the start, and per megapixel?"
PHOTO = PHOTOS / "concrete_1.jpg"
PHOTO_HW = (768, 1024)
ALONE = Path(__file__).parent.parent / "examples" / "onnx_alone.py"
PREDICT = """
import sys
from fissura import Predictor
Predictor.load(sys.argv[1], precision="float32", device="cpu")(sys.argv[2])
"""
BANDS_32, BANDS_16 = "torch by bands, float32", "torch by bands, bfloat16"
TILES_32 = "torch in tiles, float32"
ONNX, ONNX_8 = "ONNX Runtime, float32", "ONNX Runtime, int8"
OPENVINO_32, OPENVINO_16 = "OpenVINO, float32", "OpenVINO, bfloat16"
OPENVINO_8, TORCHSCRIPT = "OpenVINO, int8", "TorchScript, float32"


def main() -> None:
    parser = arguments(QUESTION)
    parser.add_argument("--models", type=Path, help="folder of exported files, kept")
    parser.add_argument("--export", action="store_true", help="write these files, time nothing")
    asked = parser.parse_args()
    asked.device = "cpu"
    result = Result(QUESTION, unit="megapixels")
    with tempfile.TemporaryDirectory() as temporary:
        kept = asked.models or Path(temporary)
        for name in MODELS:
            files = exported(name, kept)
            if asked.export:
                continue
            if name == DEFAULT:
                result.seconds["start to the mask of a photo of 448×448"] = in_turn(
                    starts(files, Path(temporary)), repeats=asked.repeats or 3, warmup=0
                )
                print("starts timed", flush=True)
            speeds(result, name, files, asked.repeats or 3)
    if not asked.export:
        finish("engines", result, asked)


def exported(name: str, folder: Path) -> dict[str, Path]:
    """The exported files of a network by their endings, and its model folder."""
    model = find_model(name)
    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    files = {"model": model}
    for ending, int8 in ((".onnx", False), (".xml", False), (".torchscript", False),
                         (".onnx", True), (".xml", True)):  # fmt: skip
        file = folder / f"{'int8' if int8 else 'float32'}{ending}"
        files[file.name] = file
        if not file.exists():
            export_model(model, file, ExportOptions(int8=int8))
            print(f"exported {file}", flush=True)
    return files


def starts(files: dict[str, Path], folder: Path) -> dict[str, Callable[[], object]]:
    """Whole processes."""

    def process(*command: object) -> Callable[[], None]:
        def run() -> None:
            line = [sys.executable, *map(str, command)]
            done = subprocess.run(line, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr

        return run

    return {
        "Fissura, torch": process("-c", PREDICT, files["model"], PHOTO),
        "Fissura, .onnx": process("-c", PREDICT, files["float32.onnx"], PHOTO),
        "Fissura, .xml of OpenVINO": process("-c", PREDICT, files["float32.xml"], PHOTO),
        "examples/onnx_alone.py": process(ALONE, files["float32.onnx"], PHOTO, folder / "mask.png"),
    }


def speeds(result: Result, name: str, files: dict[str, Path], repeats: int) -> None:
    """Megapixels per second of a large photo."""

    def load(file: str, precision: str = "float32", **options: object) -> Predictor:
        options |= {"device": "cpu", "scale": 1.0}  # the same work, whatever the photo shows
        return Predictor.load(files[file], precision=precision, **options)

    predictors = {
        BANDS_32: load("model"),
        BANDS_16: load("model", "bfloat16"),
        TILES_32: load("model", tile=512),
        ONNX: load("float32.onnx"),
        ONNX_8: load("int8.onnx"),
        OPENVINO_32: load("float32.xml"),
        OPENVINO_16: load("float32.xml", "bfloat16"),
        OPENVINO_8: load("int8.xml"),
        TORCHSCRIPT: load("float32.torchscript"),
    }
    image = large_photo()
    case = f"{name}, a photo of {image.shape[0]}×{image.shape[1]}"
    result.work[case] = image.shape[0] * image.shape[1] / 1e6
    result.goals += [
        Goal(case, OPENVINO_32, BANDS_32),
        Goal(case, ONNX, BANDS_32),
        Goal(case, ONNX, TILES_32),
    ]
    expected = predictors[TILES_32](image).mask
    for way, predictor in predictors.items():
        found = predictor(image).mask
        iou = np.count_nonzero(found & expected) / np.count_nonzero(found | expected)
        result.checked.append(
            f"{name}, {way}: IoU {iou:.5f} with the mask of torch in the same tiles."
        )
        if way in (ONNX, OPENVINO_32, TORCHSCRIPT):
            assert iou >= 0.999, f"{way} finds other cracks: IoU {iou:.5f}"
    ways = {way: lambda p=predictor: p.prob(image) for way, predictor in predictors.items()}
    result.seconds[case] = in_turn(ways, repeats=repeats)
    print(f"{name} timed", flush=True)


def large_photo() -> NDArray[np.uint8]:
    """The six photos that come along, side by side, cut to the size."""
    photos = [read_image(file) for file in sorted(PHOTOS.glob("*.jpg"))]
    rows = [np.concatenate(photos[first : first + 3], 1) for first in (0, 3, 0)]
    height, width = PHOTO_HW
    return np.ascontiguousarray(np.concatenate(rows)[:height, :width])


if __name__ == "__main__":
    main()
