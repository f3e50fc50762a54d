"""`train` and `resume`: from a data folder to a run folder."""

from __future__ import annotations

from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fissura.errors import InputError
from fissura.training import run_folder
from fissura.training.build import begin, like_start
from fissura.training.config_file import read_config
from fissura.training.inputs import read_inputs
from fissura.training.loop import Loop, OnEpoch
from fissura.training.options import TrainOptions
from fissura.training.processes.start import is_further, start_fabric
from fissura.training.processes.together import ending_together
from fissura.training.progress.display import conclude, introduce, training_display, warn
from fissura.training.progress.events import Events
from fissura.training.progress.pictures import Pictures
from fissura.training.session import Planned
from fissura.training.stop import stop_on_signals

if TYPE_CHECKING:
    from lightning_fabric import Fabric

DEFAULTS = TrainOptions()


@dataclass(frozen=True)
class Outcome:
    """The end of a training, or of one call of `train` or `resume` for it.

    Attributes:
        run: Folder of the run.
        epochs: All epochs done, 0 where the training did not begin.
        stopped_by: Number of the signal that stopped it before its last epoch, or None.
    """

    run: Path
    epochs: int
    stopped_by: int | None


def train(
    data: str | Path,
    *,
    out: str | Path | None = None,
    options: TrainOptions = DEFAULTS,
    quiet: bool = False,
    on_epoch: OnEpoch | None = None,
) -> Outcome:
    """Train on the images and masks in a folder, and write a run folder.

    Args:
        data: Folder in one of the layouts of `fissura.data.folder`, or a mixture file such as
            `recipes/general.yaml`.
        out: Run folder to make, which must not exist; a new one below runs/ unless given.
        options: Every other choice; the defaults are the paper's.
        quiet: Print nothing, and draw no figures.
        on_epoch: Function that is called after each epoch with the session and the number of epochs
            done, to watch. It comes before the state of that epoch is saved, and so again for an
            epoch that a killed training repeats. It leaves weights and optimizer alone; the random
            numbers that it draws, and the mode in which it leaves the network, have no effect.

    Returns:
        The run folder, the epochs done, and the signal that stopped the training, if any.

    Raises:
        InputError: The data, the options or the run folder can't be used, or the loss becomes NaN.
    """
    data, out = Path(data), None if out is None else Path(out)
    options = like_start(options)
    # The further processes of one training may meet the folder that the first has just made.
    run = out if out and is_further(options) else run_folder.free_folder(out, data, options)
    return _run(Planned(run, data, options), state=None, quiet=quiet, on_epoch=on_epoch)


def resume(
    run: str | Path,
    *,
    data: str | Path | None = None,
    processes: tuple[int, int] | None = None,
    quiet: bool = False,
    on_epoch: OnEpoch | None = None,
) -> Outcome:
    """Go on with a stopped or killed training, to the same bits as if it had never stopped.

    That holds on a CPU with the same number of threads and processes; a GPU's atomics may differ
    in the last bits, and so do the sums of another number of processes.

    Args:
        run: Run folder of the training.
        data: New path of the folder that it was trained on, where that has been moved.
        processes: Processes on each machine and machines, as `TrainOptions.devices` and `nodes`,
            where there shall be others than before.
        quiet: Print nothing, and draw no figures.
        on_epoch: As in `train`.

    Returns:
        As `train`; the epochs done count those before.

    Raises:
        InputError: `run` is no run folder, or its data are gone or have changed.
    """
    run = Path(run)
    recorded, options = read_config(run / "config.yaml")
    if processes is not None:
        options = replace(options, devices=processes[0], nodes=processes[1])
    folder = recorded if data is None else Path(data)
    if not folder.exists():
        raise InputError(
            f"The folder {folder}, on which {run} is trained, does not exist. Where it was moved, "
            f"give its new place: `fissura train --resume {run} --data NEW_PLACE`."
        )
    state = run_folder.load_state(run)
    return _run(Planned(run, folder, options), state=state, quiet=quiet, on_epoch=on_epoch)


def _run(
    planned: Planned, *, state: dict[str, Any] | None, quiet: bool, on_epoch: OnEpoch | None
) -> Outcome:
    """Start the processes, and train in all of them."""
    fabric = start_fabric(planned.config)
    with ending_together(fabric):
        if fabric.world_size > 1:
            planned = replace(planned, run=fabric.broadcast(planned.run))
        return _train(fabric, planned, state=state, quiet=quiet, on_epoch=on_epoch)


def _train(
    fabric: Fabric,
    planned: Planned,
    *,
    state: dict[str, Any] | None,
    quiet: bool,
    on_epoch: OnEpoch | None,
) -> Outcome:
    """Train with a display, from the start or from `state`."""
    run, config = planned.run, planned.config
    console = Console(quiet=quiet or not fabric.is_global_zero, highlight=False)
    inputs = read_inputs(planned.data, config)
    session, position = begin(planned, fabric, inputs, state)
    steps = session.steps_per_epoch
    introduce(console, run, session, inputs, position.epoch)
    if state is None:
        warn(console, inputs, planned.data)
    with (
        stop_on_signals() as request,
        closing(Events(run, position.epoch * steps))
        if fabric.is_global_zero
        else nullcontext() as events,
        training_display(
            console, total=config.epochs * steps, done=position.epoch * steps + position.step
        ) as display,
    ):
        loop = Loop(
            session,
            position,
            request,
            display=display,
            events=events,
            pictures=None if console.quiet else Pictures(run),
            on_epoch=on_epoch,
        )
        finished = loop.run_epochs()
    if finished:
        conclude(console, run)
    else:
        console.print(f"Stopped. Go on with: fissura train --resume {run}", soft_wrap=True)
    return Outcome(run, position.epoch, None if finished else request.signal)
