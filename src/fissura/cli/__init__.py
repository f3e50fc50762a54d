"""The command line `fissura`; each command is a file beside this one.

`fissura COMMAND --help` is the manual. Nothing heavy is imported before a command runs, so that
help appears at once.
"""

from __future__ import annotations

import atexit
import io
import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError
from cyclopts.config import Dict

from fissura.cli.check import check
from fissura.cli.compare import compare
from fissura.cli.convert import convert
from fissura.cli.demo import demo
from fissura.cli.evaluate import evaluate
from fissura.cli.export import export
from fissura.cli.frames import frames
from fissura.cli.inspect import inspect
from fissura.cli.measure import measure
from fissura.cli.merge import merge
from fissura.cli.models import models
from fissura.cli.options import INPUT_ERROR, STOPPED
from fissura.cli.predict import predict
from fissura.cli.results import results
from fissura.cli.serve import serve
from fissura.cli.study import study
from fissura.cli.synth import synth
from fissura.cli.train import train
from fissura.errors import InputError
from fissura.memory import keep_freed_memory
from fissura.training.config_file import read_values
from fissura.version import __version__

if TYPE_CHECKING:
    from cyclopts.argument import ArgumentCollection

RAY_ADDRESS = re.compile(r"auto|local|ray://.+|[\w.-]+:\d+")


def _options_from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in what the file behind --config says and the command line does not."""
    for argument in arguments:
        if argument.name == "--config" and argument.tokens:
            values = read_values(Path(argument.tokens[0].value))
            given = {name: value for name, value in values.items() if value is not None}
            Dict(given, use_commands_as_keys=False)(app, commands, arguments)


app = App(
    name="fissura",
    help="Find cracks in images, pixel by pixel, and train the models that do it.",
    version=__version__,
    config=_options_from_file,
    suppress_keyboard_interrupt=False,
)
for command in (
    *(check, train, evaluate, predict, inspect, measure, compare, merge, serve),
    *(models, convert, export, frames, synth, study, results, demo),
):
    app.command(command)


def main() -> None:
    """Run the command line and end the process with its exit status."""
    keep_freed_memory()
    leave(run())


def run(arguments: list[str] | None = None) -> int:
    """Run a command; an error of the user is told in a sentence.

    Args:
        arguments: Words of the command line, without `fissura`; those of the process unless given.

    Returns:
        The exit status, 2 for an error of the user.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A console that lacks a letter of a file's name gets its number instead.
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if arguments is None else arguments
    # Of standard input cyclopts would say that it is no option; the path of both is the same.
    words = ["./-" if word == "-" else word for word in with_ray_address(words)]
    try:
        return app(words, result_action="return_value", exit_on_error=False) or 0
    except CycloptsError:  # which cyclopts has told of
        return INPUT_ERROR
    except InputError as error:
        print(f"fissura: {error}", file=sys.stderr)
        return INPUT_ERROR
    except OSError as error:
        # A full disk, a missing permission: the system's own words and the file.
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"fissura: {told}.", file=sys.stderr)
        return INPUT_ERROR
    except KeyboardInterrupt:
        print("fissura: stopped.", file=sys.stderr)
        return STOPPED


def with_ray_address(words: list[str]) -> list[str]:
    """Give `--ray` an address where none follows it.

    >>> with_ray_address(["inspect", "--ray", "photos"]), with_ray_address(["--ray", "local", "x"])
    (['inspect', '--ray=auto', 'photos'], ['--ray=local', 'x'])
    """
    given: list[str] = []
    for word in words:
        if given and given[-1] == "--ray":
            given[-1] = f"--ray={word}" if RAY_ADDRESS.fullmatch(word) else "--ray=auto"
            if given[-1] != "--ray=auto" or word == "auto":
                continue
        given.append(word)
    return [*given[:-1], "--ray=auto"] if given and given[-1] == "--ray" else given


def leave(status: int) -> None:
    """End the process without taking it apart.

    Python and torch's libraries would clear up object by object what the system frees at once:
    0.3 s and more, a good part of what `fissura predict` takes for a photo. Where threads are at
    work, or nobody could flush what was printed, Python ends it as ever.
    """
    if threading.active_count() > 1:
        sys.exit(status)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(status)
    os._exit(status)
