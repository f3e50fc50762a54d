"""One of two processes that train as one would, with every loss; test_ranks.py starts them.

But for the curve, they compute in float64, where only a difference that is meant is one.

`python ranks.py FOLDER losses|golden` by torchrun writes the losses of each training, or those of
the golden curve, to FOLDER/PROCESSES.json.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import lightning_fabric
import torch

from fissura.data.preparation.batches import epoch_batches
from fissura.losses import LOSSES
from fissura.training.build import begin
from fissura.training.inputs import read_inputs
from fissura.training.options import TrainOptions
from fissura.training.processes.start import start_fabric
from fissura.training.session import Planned
from fissura.training.step import train_step, validate

CONFIG = TrainOptions(
    width=4,
    batch_size=5,
    optimizer="sgd",  # Adam's first steps have the sign of rounding errors
    precision="float32",
    fused=False,
    accelerator="cpu",
    validation=0.3,
)
CASES = {name: {"loss": name.replace("_", "-")} for name in LOSSES}
CASES |= {
    "cropped": {"crop": 24},
    "in parts": {"accumulate": 2, "deep_supervision": True, "ema": 0.9},
    "rank": {"pool": "rank", "batch_size": 6},
}


def double_fabric(**options):
    return Fabric(**(options | {"precision": "64-true"}))


Fabric = lightning_fabric.Fabric


def main(folder, what):
    if what == "golden":
        import golden  # beside this file

        results = {name: golden.curve(folder, name) for name in ("float32", "bfloat16")}
        write(folder, start_fabric(CONFIG), results)
        return
    lightning_fabric.Fabric = double_fabric
    fabric, results = start_fabric(CONFIG), {}
    for name, given in CASES.items():
        config = replace(CONFIG, **given)
        inputs = read_inputs(folder / "data", config)
        planned = Planned(folder / f"{fabric.world_size} {name}", folder / "data", config)
        session, _ = begin(planned, fabric, inputs, None)
        for network in [session.network, *([session.average] if session.average else [])]:
            network.double()
        own = {"rank": fabric.global_rank, "world": fabric.world_size}
        batches = epoch_batches(
            len(session.train),
            config.batch_size,
            seed=0,
            epoch=0,
            **({} if session.pooled else own),
        )
        losses = [
            float(train_step(session, batch, epoch=0, step=step, rate=0.02))
            for step, batch in enumerate(batches)
        ]
        results[name] = [*losses, *validate(session, session.validation).sum(axis=1).tolist()]
    write(folder, fabric, results)


def write(folder, fabric, results):
    if fabric.is_global_zero:
        file = folder / f"{fabric.world_size}.json"
        file.write_text(json.dumps(results), encoding="utf-8")
    if torch.distributed.is_initialized():
        # Else the threads of the group may still run when the process ends, which aborts it.
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(Path(sys.argv[1]), sys.argv[2])
