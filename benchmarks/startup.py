"""How long until Fissura answers, from the shell?

    python benchmarks/startup.py [--repeats 3] [--no-record]

Whole processes, the interpreter's start included: the help, the import of the losses, and a mask
from one photo of 544×384 with a CrackSeg of width 16 (fresh weights: time depends on the network's
shape alone). The peer is the script that one would write with segmentation-models-pytorch.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from side_by_side import Goal, Result, arguments, finish, in_turn

from fissura.checkpoint import ModelConfig, save_model
from fissura.data.synthetic.dataset import synth
from fissura.models import build_model

QUESTION = "How long until Fissura answers, from the shell?"
PEER = """
import sys, cv2, torch, segmentation_models_pytorch as smp
torch.manual_seed(0)
model = smp.Unet("resnet18", encoder_weights=None).eval()
image = cv2.cvtColor(cv2.imread(sys.argv[1]), cv2.COLOR_BGR2RGB)
x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
with torch.inference_mode():
    mask = model(x)[0, 0] > 0
cv2.imwrite(sys.argv[2], mask.numpy().astype("uint8") * 255)
"""
HELP_SECONDS, PREDICT_SECONDS = 0.3, 2.0  # what we want, whole process


def process(*command: str | Path, check: Callable[[], bool] = lambda: True) -> Callable[[], None]:
    """A way to time: the process from its start to its end, and whether it did its work."""

    def run() -> None:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert check(), f"{command} left no result"

    return run


def predict(model: Path, photo: Path, out: Path) -> Callable[[], None]:
    """`fissura predict` of one photo into a folder that is not there."""
    whole = process(fissura(), "predict", photo, "--model", model, "--out", out)

    def run() -> None:
        shutil.rmtree(out, ignore_errors=True)
        whole()
        mask = cv2.imread(str(out / "masks" / f"{photo.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert mask.shape[:2] == (384, 544)

    return run


def fissura() -> Path:
    return Path(sys.executable).with_name("fissura")


def main() -> None:
    asked = arguments(QUESTION).parse_args()
    result = Result(QUESTION)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        synth(root / "data", count=5, size_hw=(384, 544))
        photo = sorted((root / "data").rglob("images/*"))[0]
        torch.manual_seed(0)
        model = root / "model"
        save_model(model, build_model("crackseg", width=16), ModelConfig("crackseg", {"width": 16}))
        peer_mask = root / "peer.png"
        cases: dict[str, dict[str, Callable[[], object]]] = {
            "the command line's help": {
                "fissura --help": process(fissura(), "--help"),
                "fissura predict --help": process(fissura(), "predict", "--help"),
                "python -c pass": process(sys.executable, "-c", "pass"),
                "import torch": process(sys.executable, "-c", "import torch"),
            },
            "a loss": {
                "import fissura.losses": process(sys.executable, "-c", "import fissura.losses"),
                "import segmentation_models_pytorch.losses": process(
                    sys.executable, "-c", "import segmentation_models_pytorch.losses"
                ),
                "import monai.losses": process(sys.executable, "-c", "import monai.losses"),
                "import torch": process(sys.executable, "-c", "import torch"),
            },
            "the mask of a photo of 544×384": {
                "fissura predict": predict(model, photo, root / "out"),
                "smp.Unet(resnet18), a script": process(
                    sys.executable, "-c", PEER, photo, peer_mask, check=peer_mask.is_file
                ),
                "import torch": process(sys.executable, "-c", "import torch"),
            },
        }
        for case, ways in cases.items():
            result.seconds[case] = in_turn(ways, repeats=asked.repeats or 3)
    result.goals = [
        Goal("the command line's help", "fissura --help", "import torch"),
        Goal("a loss", "import fissura.losses", "import segmentation_models_pytorch.losses"),
        Goal("a loss", "import fissura.losses", "import monai.losses"),
        Goal("the mask of a photo of 544×384", "fissura predict", "smp.Unet(resnet18), a script"),
    ]
    result.checked = ["Both scripts of the last case left a mask of the photo's size."]
    result.notes = [
        wanted(result, "the command line's help", "fissura --help", HELP_SECONDS),
        wanted(result, "the mask of a photo of 544×384", "fissura predict", PREDICT_SECONDS),
    ]
    finish("startup", result, asked)


def wanted(result: Result, case: str, way: str, seconds: float) -> str:
    """A time beside the one that we want, in a sentence."""
    found = statistics.median(result.seconds[case][way])
    verdict = "met" if found <= seconds else "missed"
    return f"`{way}` takes {found:.2f} s; at most {seconds:g} s are wanted: {verdict}."


if __name__ == "__main__":
    main()
