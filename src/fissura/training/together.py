"""`train_together`: several trainings side by side in one process, each as if it were alone."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch
from rich.console import Console

from fissura.data.batches import ImageStore
from fissura.errors import InputError
from fissura.training import run_folder
from fissura.training.config_file import read_config
from fissura.training.display import Display
from fissura.training.graphed import fastest_step, new_stream
from fissura.training.inputs import Inputs, read_inputs
from fissura.training.loop import Loop, OnEpoch, Outcome
from fissura.training.session import Planned, begin, start_fabric
from fissura.training.step import Step
from fissura.training.stop import StopRequest, stop_on_signals

__all__ = ["Outcome", "Planned", "train_together"]


def train_together(
    runs: Sequence[Planned], *, quiet: bool = True, on_epoch: OnEpoch | None = None
) -> list[Outcome]:
    """Do several trainings at once on one device, one step of each in turn.

    Each writes the run folder that `train` would write, without TensorBoard events, or goes on with
    the one that is there, as `resume` does. On a CPU it comes to the same bits as alone; on a GPU,
    where each has a stream of its own, to the same but for the GPU's own last bits. Images that
    several train on are read once, and are on the device once.

    on_epoch:  as in `train`, for all of them; `session.run` says whose epoch it was.

    Returns how each ended, in the order of `runs`. A stop signal ends all, with their states saved.
    What would be an `InputError` of one alone, a loss that becomes NaN for example, ends that one,
    and its outcome has the error. Raises `InputError` where two have one run folder.
    """
    if len({planned.run.resolve() for planned in runs}) < len(runs):
        raise InputError("Two of the trainings have the same run folder. Give each its own.")
    console = Console(quiet=quiet, highlight=False)
    shared = _Shared(on_epoch, company=len(runs))
    outcomes: dict[int, Outcome] = {}
    with stop_on_signals() as request:
        under_way = {
            index: (new_stream(), _steps(planned, shared, request))
            for index, planned in enumerate(runs)
        }
        while under_way:
            for index, (on_stream, steps) in list(under_way.items()):
                try:
                    with on_stream():
                        next(steps)
                except StopIteration as end:
                    outcomes[index] = end.value
                    del under_way[index]
                    console.print(_in_words(end.value))
    return [outcomes[index] for index in range(len(runs))]


class _Shared:
    """What the trainings have in common: images, read once and held once on the device.

    It keeps their steps to the end, and with them their CUDA graphs. Beyond 32 trainings some share
    a stream, and to free one's graphs can free a workspace that another's go on using (pytorch's
    issue 193402).
    """

    def __init__(self, on_epoch: OnEpoch | None, *, company: int) -> None:
        self.on_epoch = on_epoch
        self.company = company
        self.steps: list[Step] = []
        self.inputs: dict[tuple[Any, ...], Inputs] = {}
        self.stores: dict[tuple[str, torch.device], ImageStore] = {}

    def read(self, planned: Planned) -> Inputs:
        """Read a training's images, or return those that another has read."""
        config = planned.config
        # All that `read_inputs` looks at; the seed only draws the validation images.
        key = (
            planned.data.resolve(),
            config.protocol,
            config.area_threshold,
            config.skip_bad,
            config.validation,
            config.seed if config.validation else None,
        )
        if key not in self.inputs:
            self.inputs[key] = read_inputs(planned.data, config)
        return self.inputs[key]


def _steps(
    planned: Planned, shared: _Shared, request: StopRequest
) -> Generator[None, None, Outcome]:
    """Do one training, with a pause after each step."""
    run = planned.run
    if request.signal is not None:
        return Outcome(run, 0, request.signal)
    try:
        loop = _begin(planned, shared, request)
    except InputError as error:
        return Outcome(run, 0, None, str(error))
    try:
        finished = yield from loop.steps()
    except InputError as error:
        return Outcome(run, loop.position.epoch, None, str(error))
    return Outcome(run, loop.position.epoch, None if finished else request.signal)


def _begin(planned: Planned, shared: _Shared, request: StopRequest) -> Loop:
    run, config = planned.run, planned.config
    if config.devices * config.nodes > 1:
        raise InputError(
            f"{run} shall train in {config.devices * config.nodes} processes, which is not "
            "possible beside others. Train it alone, or with one device on one node."
        )
    state = None
    if (run / "config.yaml").exists():
        if read_config(run / "config.yaml")[1] != config:
            raise InputError(
                f"{run} was begun with other options than it shall go on with now. Give another "
                "run folder, or the options in its config.yaml."
            )
        state = run_folder.load_state(run)
    else:
        run_folder.free_folder(run, planned.data, config)
    fabric = start_fabric(config)
    inputs = shared.read(planned)
    session, position = begin(planned, fabric, inputs, state, stores=shared.stores)
    take_step = fastest_step(session)
    shared.steps.append(take_step)
    return Loop(
        session,
        position,
        request,
        display=Display(Console(quiet=True), None, None),
        on_epoch=shared.on_epoch,
        take_step=take_step,
        company=shared.company,
    )


def _in_words(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"{outcome.run}: {outcome.error}"
    if outcome.stopped_by is not None:
        return f"{outcome.run}: stopped after epoch {outcome.epochs}; the same call goes on."
    return f"{outcome.run}: done."
