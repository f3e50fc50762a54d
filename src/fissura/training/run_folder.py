"""The run folder: the files that a training writes, and from which it goes on.

config.yaml      every option; replayable
data.json        the training images: folder layout, mask rule, split, fraction of crack
skipped.csv      files left out, where --skip-bad was given
metrics.jsonl    a line per epoch
curves.png       loss and validation metrics by epoch
validation.png   some validation images: as they are, with the truth, with the errors
state/state.pt   everything needed to resume; the file that commits an epoch
model/           config.json and model.safetensors, for `fissura predict`
events.out.*     TensorBoard
"""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import torch

from fissura.errors import InputError, first_line
from fissura.files import naming, remove_unfinished, replacing
from fissura.files.documents import parse_json
from fissura.files.spreadsheet import plain
from fissura.training.config_file import write_config
from fissura.training.inputs import Inputs
from fissura.training.options import TrainOptions


def free_folder(out: Path | None, data: Path, config: TrainOptions) -> Path:
    """Name the folder for a new run.

    Args:
        out: Folder that the user wants, or None for a new one, `runs/DATA-LOSS`, with a number
            where that exists.
        data: Folder of the images.
        config: The loss is taken from here.

    Returns:
        A path that does not exist yet or is an empty folder.

    Raises:
        InputError: `out` exists and holds anything.
    """
    if out is None:
        stem = f"{data.resolve().name}-{config.loss}"
        names = [Path("runs", stem), *(Path("runs", f"{stem}-{n}") for n in range(2, 10_000))]
        return next(path for path in names if not path.exists())
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists already and is never overwritten. Choose another --out, or go on with "
            f"that training by `fissura train --resume {out}`."
        )
    return out


def open_run(run: Path, data: Path, config: TrainOptions, inputs: Inputs, *, epochs: int) -> None:
    """Make the folder of a run, with the files that come before the first step.

    Args:
        run: Folder of the run.
        data: Folder of the images.
        config: Options, for `config.yaml`.
        inputs: Images, for `data.json` and `skipped.csv`.
        epochs: Epochs that a resumed run has done already; later lines of metrics are dropped.
    """
    run.mkdir(parents=True, exist_ok=True)
    remove_unfinished(run)
    write_config(run / "config.yaml", data.absolute(), config)
    with replacing(run / "data.json") as temporary:
        temporary.write_text(json.dumps(inputs.record(), indent=2) + "\n", encoding="utf-8")
    if inputs.train.skipped:
        with (
            replacing(run / "skipped.csv") as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["file", "reason"])
            writer.writerows(
                [plain(str(bad.file)), plain(bad.reason)] for bad in inputs.train.skipped
            )
    keep_metrics(run / "metrics.jsonl", epochs)


def append_metrics(path: Path, line: dict[str, Any]) -> None:
    """Add the line of an epoch to `metrics.jsonl`.

    Args:
        path: The file; it is made where it is missing.
        line: Metrics of the epoch.
    """
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_metrics(path: Path, *numbers: str) -> list[dict[str, Any]]:
    """Read `metrics.jsonl`, without a last line that a kill cut short.

    Args:
        path: The file.
        *numbers: Names of numbers that each line must have beside its epoch.

    Returns:
        A dictionary for each epoch; none where the file is missing.

    Raises:
        InputError: A line is not that of an epoch, or lacks one of the numbers.
    """
    lines = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for number, one in enumerate(text.splitlines(), start=1):
        try:
            line = parse_json(one)
        except ValueError:
            break
        if not isinstance(line, dict) or type(line.get("epoch")) is not int:
            raise InputError(
                f"{path} is damaged: line {number} is not that of an epoch. Delete that line."
            )
        for name in numbers:
            if type(line.get(name)) not in (int, float):
                raise InputError(
                    f"{path} is damaged: line {number} has no number `{name}`. Start that training "
                    "again in another folder."
                )
        lines.append(line)
    return lines


def keep_metrics(path: Path, epochs: int) -> None:
    """Drop the lines of `metrics.jsonl` that come after the last saved state.

    Args:
        path: The file.
        epochs: Epochs done in that state.
    """
    kept = [line for line in read_metrics(path) if line["epoch"] <= epochs]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


class StateWriter:
    """Writes `state/state.pt`, so often that a kill costs little and saving costs at most 5 %.

    Attributes:
        path: The file.
        cost: Seconds that the latest writing took.
        written: `time.monotonic()` at the end of it.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / "state" / "state.pt"
        self.cost = 0.0
        self.written = time.monotonic()

    def due(self, least: float = 0.0) -> bool:
        """Return whether it is time to write again.

        Args:
            least: Shortest interval between two writings, in seconds.
        """
        return time.monotonic() - self.written >= max(20 * self.cost, least)

    def write(self, state: dict[str, Any]) -> None:
        """Replace the file, whole or not at all.

        Args:
            state: State that `Session.state` returned.
        """
        start = time.monotonic()
        # Through memory, since torch's own writer says of a full disk 'unexpected pos 704 vs 598'.
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            packed = io.BytesIO()
            torch.save(state, packed)
            file.write(packed.getbuffer())
        self.written = time.monotonic()
        self.cost = self.written - start


def load_state(run: Path) -> dict[str, Any] | None:
    """Read `state/state.pt` of a run.

    Args:
        run: Folder of the run.

    Returns:
        The state, or None where the training was stopped before it saved any.

    Raises:
        InputError: The file is damaged.
    """
    path = run / "state" / "state.pt"
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise damaged_state(run, error) from error


def damaged_state(run: Path, error: Exception) -> InputError:
    """Say that the state of a run cannot be gone on from.

    Args:
        run: Folder of the run.
        error: What reading it, or taking it over, raised.
    """
    reason = first_line(error)
    return InputError(
        f"{run / 'state' / 'state.pt'} is damaged and the training cannot go on from it "
        f"({reason}). Start again with another --out: "
        f"`fissura train --config {run / 'config.yaml'} --out NEW_RUN`."
    )
