"""Option groups, exit statuses and default folders that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from fissura.errors import InputError
from fissura.files import OutputOptions, free_folder
from fissura.inference.options import PredictOptions
from fissura.inspection.options import InspectOptions
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.shipped import DEFAULT
from fissura.spread.options import SpreadOptions

# Exit statuses: a photo could not be used, nothing could be done, a photo exceeds the limits.
PHOTOS_FAILED, INPUT_ERROR, LIMITS_EXCEEDED = 1, 2, 3
STOPPED = 128 + 2  # the shell's convention for a program that Ctrl-C ended

Switch = Annotated[bool, Parameter(negative="")]
PredictGroup = Annotated[PredictOptions, Parameter(name="*", group=Group("Model"), negative="")]
ResolutionGroup = Annotated[ResolutionOptions, Parameter(name="*", group=Group("Resolution"))]
MeasureGroup = Annotated[MeasureOptions, Parameter(name="*", group=Group("Measuring"))]
InspectGroup = Annotated[InspectOptions, Parameter(name="*", group=Group("Inspection"))]
SpreadGroup = Annotated[SpreadOptions, Parameter(name="*", group=Group("Many machines"))]
OutputGroup = Annotated[OutputOptions, Parameter(name="*", negative="")]
PREDICT, RESOLUTION, MEASURE = PredictOptions(), ResolutionOptions(), MeasureOptions()
OUTPUT, INSPECT, SPREAD = OutputOptions(), InspectOptions(), SpreadOptions()

SHIPPED = Path(DEFAULT)


@contextmanager
def resumable(out: Path) -> Iterator[None]:
    """Say on Ctrl-C how to go on with a command that writes into `out`."""
    try:
        yield
    except KeyboardInterrupt:
        print(
            f"\nfissura: stopped. Go on with the same command, and --out {out} --resume.",
            file=sys.stderr,
        )
        raise SystemExit(STOPPED) from None


def check_photos(
    photos: tuple[Path, ...],
    command: str,
    kinds: str = "photos",
    *,
    spreading: SpreadOptions = SPREAD,
) -> None:
    """Raise `InputError` where no photos are given, or where one of them is none but a model."""
    from fissura.shipped import MODELS

    for path in photos:
        if spreading.ray is None:
            refuse_address(path)
        if str(path) == "-":
            raise InputError(
                "- (standard input) is for one photo alone, and for `fissura predict -` and "
                f"`fissura inspect -`. Give files or folders to `fissura {command}`."
            )
        named = str(path) in MODELS and not path.exists()
        if named or _is_model(path) or (len(photos) > 1 and _holds_models(path)):
            others = " ".join(str(other) for other in photos if other != path) or "PHOTOS"
            raise InputError(
                f"{path} is a model or a folder of models, and {kinds} are expected here. Name the "
                f"model with --model, as in `fissura {command} {others} --model {path}`."
            )
    if not photos:
        raise InputError(f"Which {kinds}? Give files or folders.")


def refuse_address(path: Path) -> None:
    """Raise `InputError` for an address: nothing is fetched from the network.

    Args:
        path: What somebody gave for a file or folder.
    """
    scheme, colon, rest = path.as_posix().partition(":/")
    if colon and scheme.isalnum() and len(scheme) > 1 and not path.exists():
        raise InputError(
            f"{scheme}://{rest.lstrip('/')} is an address, and Fissura fetches nothing from the "
            "network. Download it and give the file; a single photo can come by standard input: "
            "`curl ADDRESS | fissura predict - > mask.png`."
        )


def _is_model(path: Path) -> bool:
    """Whether a path is a run folder, a model folder or a file of weights."""
    files = ("model.safetensors", "model/config.json", "metrics.jsonl", "config.yaml")
    return path.suffix == ".safetensors" or any((path / file).is_file() for file in files)


def _holds_models(path: Path) -> bool:
    """Whether a folder has run folders or model folders directly below it."""
    return path.is_dir() and any(_is_model(below) for below in path.iterdir() if below.is_dir())


def results_folder(stem: str, spreading: SpreadOptions) -> Path:
    """Return a folder for results that does not exist yet; that of a shard is named by it."""
    named = "" if spreading.shard is None else f"-{spreading.shard.replace('/', '-of-')}"
    return free_folder(stem + named)


def tell_failing(failing: list[str]) -> None:
    """Print which photos exceed the limits."""
    if failing:
        exceed = "exceeds" if len(failing) == 1 else "exceed"
        print(f"{counted(len(failing), 'photo')} {exceed} the limits: {', '.join(failing[:10])}")


def tell_shard(shard: str, photos: int, failures: int, out: Path) -> int:
    """Print what a shard did and how to go on; return the exit status."""
    left_out = f", {failures} left out" if failures else ""
    print(
        f"Shard {shard}: {counted(photos, 'photo')} done{left_out}, in {out}. When all shards are "
        "finished: fissura merge OUT SHARD…"
    )
    return PHOTOS_FAILED if failures else 0


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where there is not exactly one.

    >>> counted(1, "photo"), counted(2, "photo")
    ('1 photo', '2 photos')
    """
    return f"{number} {noun}" + "s" * (number != 1)
