"""Is anything slower than it was at an earlier commit?

    git worktree add ../before COMMIT
    python benchmarks/before.py ../before [../other …] [--repeats 7] [--busy] [--no-record]

An epoch of `fissura train`, predictions of one photo and of a folder, and the losses, forward and
backward. Each commit has a process of its own, which imports its package and its benchmarks/; they
work in turn, so that a machine that slows down slows all of them. With --busy, on a machine that
has other work, they compute on one thread, and the processor's seconds are counted.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

QUESTION = "Is anything slower than it was at an earlier commit?"
HERE = Path(__file__).resolve().parent.parent
PHOTO_HW, LARGE_HW, FOLDER_HW, PHOTOS = (768, 1024), (2304, 3072), (384, 544), 40
CASES = (
    "training, 128 images of 96×96, bfloat16",
    "training, 32 images of 256×256, bfloat16",
    "prediction, one photo of 768×1024, float32",
    "prediction, one photo of 768×1024, bfloat16",
    "prediction, one photo of 2304×3072, float32",
    "prediction, one photo of 2304×3072, bfloat16",
    "prediction, 40 JPEG files of 384×544 at scale 0.25",
    "hybrid focal margin loss, 16×1×512×512",
    "hybrid focal margin loss, 16×1×96×96",
    "BCE + Dice, 16×1×512×512",
)


# --- in the process of a commit ----------------------------------------------------------------


def serve() -> None:
    """Do what the parent asks for, a number of a case a line; answer when it is done."""
    sys.path[0] = str(Path.cwd() / "benchmarks")
    from fissura.memory import keep_freed_memory

    keep_freed_memory()  # as the command line does
    answers, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as name:
        ways = made(Path(name))
        print(json.dumps(len(ways)), file=answers, flush=True)
        for line in sys.stdin:
            began = time.process_time()
            ways[json.loads(line)]()
            print(json.dumps(time.process_time() - began), file=answers, flush=True)


def made(folder: Path) -> list[Callable[[], object]]:
    """Return what is timed, in the order of `CASES`."""
    return [*trainings(folder), *predictions(folder), *losses()]


def trainings(folder: Path) -> list[Callable[[], object]]:
    """Return epochs of `fissura train`, as benchmarks/train.py of the commit takes them."""
    import torch
    import train

    fields = len(dataclasses.fields(train.Inputs))
    made_of = train.Inputs  # at some commits benchmarks/train.py lacked a field of it
    train.Inputs = lambda *given: made_of(*given, *[""] * (fields - len(given)))
    cpu = torch.device("cpu")
    return [train.Ours(side, "bfloat16", cpu, folder).train for side in (96, 256)]


def predictions(folder: Path) -> list[Callable[[], object]]:
    """Return predictions with the shipped model: of a photo, and of a folder."""
    from PIL import Image
    from rich.console import Console

    from fissura.data.synthetic import draw_panel
    from fissura.inference.predictor import Predictor

    images = [draw_panel(7, 0, size_hw=size_hw).image for size_hw in (PHOTO_HW, LARGE_HW)]
    photos = folder / "photos"
    photos.mkdir()
    for index in range(PHOTOS):
        panel = draw_panel(9, index % 6, size_hw=FOLDER_HW).image
        Image.fromarray(panel).save(photos / f"{index}.jpg", quality=92)
    outs = (folder / f"out{index}" for index in range(10**6))
    console = Console(quiet=True)

    def whole_folder() -> None:
        try:
            from fissura import PredictOptions, predict
        except ImportError:  # until November 2026
            from fissura.inference.batch import predict_files  # type: ignore

            from fissura.checkpoint import find_model  # type: ignore

            model = find_model(Path("crackseg-small"))
            predict_files(model, [photos], next(outs), scale=0.25, console=console)
            return
        options = PredictOptions(scale=0.25)
        predict(photos, next(outs), model="crackseg-small", options=options, console=console)

    predictors = [
        Predictor.load("crackseg-small", scale=1.0, precision=precision)
        for precision in ("float32", "bfloat16")
    ]
    ways = [partial(one.prob, image) for image in images for one in predictors]
    return [*ways, whole_folder]


def losses() -> list[Callable[[], object]]:
    """Return forward and backward passes of losses."""
    import torch

    from fissura.losses import bce_dice_loss, hybrid_focal_margin_loss

    def step(loss: Callable[..., Any], side: int, calls: int) -> Callable[[], object]:
        torch.manual_seed(0)
        z = torch.randn(16, 1, side, side, requires_grad=True)
        t = (torch.rand(16, 1, side, side) < 0.05).float()
        return lambda: [torch.autograd.grad(loss(z, t), z) for _ in range(calls)]

    return [
        step(hybrid_focal_margin_loss, 512, 10),
        step(hybrid_focal_margin_loss, 96, 200),
        step(bce_dice_loss, 512, 10),
    ]


# --- in the parent -----------------------------------------------------------------------------


class Commit:
    """A process that runs the code of a checkout."""

    def __init__(self, checkout: Path, threads: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            cwd=checkout,
            env={
                **os.environ,
                "PYTHONPATH": str(checkout / "src"),
                "NO_ALBUMENTATIONS_UPDATE": "1",
                **threads,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == len(CASES)

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def run(self, case: int) -> float:
        """Do the work of a case once; return the processor's seconds."""
        assert self.process.stdin is not None
        print(case, file=self.process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def name_of(checkout: Path) -> str:
    """Return the abbreviated hash of a checkout's commit."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    from side_by_side import Goal, Result, arguments, finish, in_turn

    parser = arguments(QUESTION)
    parser.add_argument("checkouts", nargs="+", type=Path, help="checkouts of earlier commits")
    parser.add_argument("--busy", action="store_true", help="count the processor's seconds")
    asked = parser.parse_args()
    threads = {"OMP_NUM_THREADS": "1"} if asked.busy else {}
    now = f"now ({name_of(HERE)})"
    commits = {
        name_of(checkout): Commit(checkout.resolve(), threads) for checkout in asked.checkouts
    }
    commits[now] = Commit(HERE, threads)
    result = Result(QUESTION)
    if asked.busy:
        result.notes.append("The processor's seconds, on one thread: the machine had other work.")
    repeats = asked.repeats or 7
    try:
        for number, case in enumerate(CASES):
            ways = {name: lambda c=c, n=number: c.run(n) for name, c in commits.items()}
            for way in ways.values():
                way()
            if asked.busy:
                rounds = [{name: way() for name, way in ways.items()} for _ in range(repeats)]
                result.seconds[case] = {name: [one[name] for one in rounds] for name in ways}
            else:
                result.seconds[case] = in_turn(ways, repeats=repeats, warmup=0)
            result.goals += [Goal(case, now, name) for name in commits if name != now]
            print(case, flush=True)
    finally:
        for commit in commits.values():
            commit.close()
    finish("before", result, asked)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["--serve"] else main()
