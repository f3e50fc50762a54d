"""Make tests/training/golden.json: the losses of fifty steps. `python tests/training/golden.py`.

Run it where the numerics were changed on purpose, and say so in the commit.
"""

import json
import tempfile
from pathlib import Path

from fissura.data.preparation.batches import epoch_batches
from fissura.data.synthetic.dataset import synth
from fissura.training.build import begin
from fissura.training.inputs import read_inputs
from fissura.training.options import TrainOptions
from fissura.training.processes.start import start_fabric
from fissura.training.session import Planned
from fissura.training.step import train_step

FILE = Path(__file__).with_suffix(".json")
EPOCHS, BATCH, STEPS = 25, 6, 50  # two steps per epoch


def curve(folder: Path, precision: str) -> list[float]:
    """Return the losses of fifty steps of `fissura train` on panels drawn by the generator."""
    if not (folder / "data").exists():
        synth(folder / "data", count=16, size_hw=(48, 48), crack_fraction=0.06, seed=0)
    options = TrainOptions(
        width=4,
        validation=0.0,
        epochs=EPOCHS,
        batch_size=BATCH,
        precision=precision,  # pyright: ignore[reportArgumentType]
        optimizer="sgd",  # Adam's first steps have the sign of rounding errors
        learning_rate=0.05,
        accelerator="cpu",
    )
    inputs = read_inputs(folder / "data", options)
    planned = Planned(folder / precision, folder / "data", options)
    session, _ = begin(planned, start_fabric(options), inputs, None)
    batches = [
        (epoch, step, batch)
        for epoch in range(EPOCHS)
        for step, batch in enumerate(epoch_batches(len(session.train), BATCH, seed=0, epoch=epoch))
    ]
    return [
        float(train_step(session, batch, epoch=epoch, step=step, rate=0.05 * (1 - epoch / EPOCHS)))
        for epoch, step, batch in batches[:STEPS]
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        curves = {
            precision: [round(loss, 5) for loss in curve(Path(temporary), precision)]
            for precision in ("float32", "bfloat16")
        }
    FILE.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
