"""`fissura train`: a model from a folder of photos and masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from fissura.errors import InputError
from fissura.training.options import TrainOptions, longer

DEFAULTS = TrainOptions()


def train(
    data: Path | None = None,
    *,
    out: Path | None = None,
    config: Path | None = None,
    resume: Path | None = None,
    options: Annotated[TrainOptions, Parameter(name="*", group=Group("Options"))] = DEFAULTS,
) -> int:
    """Train a model on a folder of photos and masks.

    DATA holds photos and, for each, a mask that is bright where there is crack. The folder layouts
    that people have are understood, for example train/images and train/masks, or images and masks
    alone. The result is a run folder with the model, which `fissura evaluate` and `fissura predict`
    take. Ctrl-C stops with everything saved.

    Args:
        data: Folder with photos and masks.
        out: Run folder to make. It must not exist yet. [default: runs/DATA-LOSS]
        config: YAML file with options, such as the config.yaml of an earlier run. Options given on
            the command line win.
        resume: Run folder of a stopped training to go on with; takes no other options than the new
            place of its data where that was moved, and another number of --devices or --nodes.
    """
    from fissura.training.train import resume as resume_run
    from fissura.training.train import train as train_run

    if resume is not None:
        of_processes = replace(options, devices=DEFAULTS.devices, nodes=DEFAULTS.nodes)
        if out is not None or config is not None or of_processes != DEFAULTS:
            raise InputError(
                "--resume goes on with a training as it was started: give no other option, but "
                "--data where its data was moved, --devices and --nodes. For more epochs or other "
                "options, start a new training from its weights: "
                f"`{_longer(resume, options.epochs)}`."
            )
        # The same object where no option is given: as many processes as before.
        processes = None if options is DEFAULTS else (options.devices, options.nodes)
        outcome = resume_run(resume, data=data, processes=processes)
    elif data is None:
        raise InputError(
            "Which data? Give the folder with photos and masks, as in `fissura train my_photos`."
        )
    else:
        outcome = train_run(data, out=out, options=options)
    # The shell's convention for a program that a signal ended.
    return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by


def _longer(run: Path, epochs: int) -> str:
    """Return the command for more epochs: those beyond the run's own where more are wanted."""
    from fissura.training.config_file import read_config

    try:
        _, done = read_config(run / "config.yaml")
    except InputError:
        return longer(run, 50)
    more = epochs - done.epochs if epochs > done.epochs else 50
    return longer(run, more, done.learning_rate)
