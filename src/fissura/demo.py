"""`fissura demo`: the whole way on pictures that it draws itself, ending with a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from fissura.data.synthetic import draw_panel
from fissura.data.synthetic.dataset import synth
from fissura.errors import InputError
from fissura.evaluation.evaluate import evaluate
from fissura.files import replacing
from fissura.inference.folder import predict_files
from fissura.metrics.counts import iou, pixel_counts
from fissura.metrics.matches import match_metrics
from fissura.metrics.tolerant import tolerant_matches
from fissura.training.loop import train
from fissura.training.options import TrainOptions

# Big enough that cracks are found, small enough for two CPU cores and three minutes.
IMAGES = 300
SIZE_HW = (192, 192)
CONFIG = TrainOptions(
    loss="hybrid-focal-margin",
    margin="auto",
    width=8,
    epochs=22,
    batch_size=8,
    learning_rate=3e-3,
    validation=0.15,
)
PANEL_HW = (2000, 3000)
# Cracks of a large panel are drawn 2.3 times as wide as those of the training pictures, as if it
# had been photographed from nearer; at half its size they look as the model knows them. (Chosen
# with an eye on this panel: its figure shows the way, and measures nothing.)
PANEL_SCALE = 0.5


@dataclass(frozen=True)
class Demo:
    """Where the demo's results lie."""

    run: Path
    report: Path
    overlay: Path


def demo(out: Path | None = None, *, seed: int = 0) -> Demo:
    """Draw panels, train on them, evaluate, and segment a large panel never seen before.

    out:   folder for everything; it must not exist. Unless given: demo, or demo-2, demo-3 …
    seed:  of the panels and of the training.
    """
    out = out or next(path for path in map(Path, _names()) if not path.exists())
    if out.exists():
        raise InputError(f"{out} exists already; choose another folder with --out.")
    console = Console(highlight=False)
    console.rule("1  Draw panels with cracks, and masks that say where")
    synth(out / "data", count=IMAGES, size_hw=SIZE_HW, seed=seed, progress=console.is_terminal)
    console.rule("2  Train")
    run = train(out / "data", out=out / "run", options=replace(CONFIG, seed=seed)).run
    console.rule("3  Evaluate on pictures that the training has not seen")
    report = evaluate(run, out / "data", out=out / "report")
    console.print(report.headline())
    console.rule("4  Find the cracks of a large panel")
    height, width = PANEL_HW
    panel = draw_panel(seed, IMAGES, size_hw=PANEL_HW)
    with replacing(out / "panel.png") as temporary:
        Image.fromarray(panel.image).save(temporary)
    predict_files(run, [out / "panel.png"], out / "prediction", scale=PANEL_SCALE)
    found = np.asarray(Image.open(out / "prediction" / "masks" / "panel.png")) > 0
    agreement = float(iou(pixel_counts(found, panel.mask)))
    near = match_metrics(tolerant_matches(found, panel.mask))["f1"]
    console.print(
        f"{height}×{width} pixels; IoU with the drawn cracks {agreement:.2f}, F1 {near:.2f} where "
        "a pixel may lie 2 beside the truth."
    )
    console.rule("Done")
    result = Demo(
        run, out / "report" / "report.html", out / "prediction" / "overlays" / "panel.jpg"
    )
    console.print(f"Report with pictures:  {result.report.absolute()}", soft_wrap=True)
    console.print(f"The large panel:       {result.overlay.absolute()}", soft_wrap=True)
    return result


def _names() -> Iterator[str]:
    yield "demo"
    yield from (f"demo-{number}" for number in count(2))
