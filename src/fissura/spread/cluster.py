"""A Ray cluster does rows of work: an actor pool of Ray Data, whose workers may die.

Rows are paths and numbers, never pixels. What a worker makes lies in files before its row is done.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fissura.errors import InputError, extra
from fissura.files import remove_unfinished
from fissura.memory import keep_freed_memory
from fissura.spread.attempts import LEDGER, Attempts, Work, clear
from fissura.spread.options import SpreadOptions

AUTO = "auto"
# Rows that go to a worker together: with a million, Ray would spend more on rows than on blocks.
MOST_TOGETHER, BLOCKS_PER_WORKER = 16, 100
# Said before Ray is imported: no report on its use to anybody, and no log in the terminal.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def cluster(options: SpreadOptions) -> Iterator[Any]:
    """Connect to the cluster, or start one on this machine; gives the module `ray`.

    A cluster that the program is connected to already is taken, and stays connected.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with extra("ray", "--ray"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
    if ray.is_initialized():
        yield ray
        return
    address = None if options.ray in (None, AUTO) else options.ray
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(
            f"--ray {options.ray}: there is no cluster to work on ({reason}). Give the address of "
            "its head, such as ray://head:10001, or `--ray local` for one on this machine."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def work_on_cluster(
    rows: Sequence[Mapping[str, Any]],
    make: Callable[[], Work],
    out: Path,
    options: SpreadOptions,
    done: Callable[[int, dict[str, Any]], None],
) -> None:
    """Have all rows done by the workers of a cluster.

    A worker that dies is replaced, and its row is done by another; the outcome of a row over which
    four workers died is {"died": 4}.

    Args:
        rows: What is to be done, each as JSON can hold it.
        make: Makes in each worker what does a row. It is sent to the workers.
        out: Folder of the results, on a disk that all workers share.
        options: The cluster and its workers.
        done: Called with the number of each row and its outcome, as they end.

    Raises:
        InputError: Ray is not installed, there is no cluster, or no worker can do a row.
    """
    if not rows:
        return
    ledger = (out / LEDGER).absolute()
    _tidy(out, ledger)
    with cluster(options) as ray:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        least, most = _workers(ray, options)
        together = min(MOST_TOGETHER, max(1, len(rows) // (BLOCKS_PER_WORKER * most)))
        data = ray.data.from_items(
            [{"number": number, "row": json.dumps(row)} for number, row in enumerate(rows)],
            override_num_blocks=-(-len(rows) // together),
        ).map(
            Attempts,
            fn_constructor_args=(_with_memory(make), ledger, Path.cwd()),
            compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most),
            num_cpus=options.cpus_per_worker,
            num_gpus=options.gpus_per_worker or None,
            # Workers die at times; how often one row may kill them is counted by `Attempts`.
            max_restarts=-1,
            max_task_retries=-1,
        )
        try:
            with _silent():
                for row in data.iter_rows():
                    outcome = json.loads(row["outcome"])
                    if "stop" in outcome:
                        raise InputError(outcome["stop"])
                    done(int(row["number"]), outcome)
        except ray.exceptions.RayError as error:
            reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), "")
            raise InputError(
                f"The workers of Ray cannot go on ({reason.strip()}). What is done is kept: the "
                "same command with --resume goes on."
            ) from error
    _tidy(out, ledger)


def _tidy(out: Path, ledger: Path) -> None:
    """Remove what workers that died left, while none is at work."""
    clear(ledger)
    remove_unfinished(out)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what Ray Data logs out of the terminal; its files have it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _workers(ray: Any, options: SpreadOptions) -> tuple[int, int]:
    """Return the least and the greatest number of workers."""
    if options.workers is not None:
        return options.workers, options.max_workers or options.workers
    room = ray.cluster_resources()
    fits = int(room.get("CPU", 1) // options.cpus_per_worker)
    if options.gpus_per_worker:
        fits = min(fits, int(room.get("GPU", 0) // options.gpus_per_worker))
    if fits < 1 and options.max_workers is None:
        raise InputError(
            f"The cluster has {room.get('CPU', 0):g} CPUs and {room.get('GPU', 0):g} GPUs: too few "
            "for a worker. Ask for less by --cpus-per-worker and --gpus-per-worker."
        )
    least = max(fits, 1)
    return least, max(options.max_workers or least, least)


def _with_memory(make: Callable[[], Work]) -> Callable[[], Work]:
    """Let the process of a worker keep the memory that it frees, as the command line does."""

    def made() -> Work:
        keep_freed_memory()
        return make()

    return made
