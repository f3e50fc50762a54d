"""The command line. `fissura COMMAND --help` is the manual; each command is a function in here.

Nothing heavy is imported before a command runs, so that help appears at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App
from cyclopts.config import Yaml

from fissura import __version__
from fissura.cli.finding import inspect, measure, models, predict
from fissura.cli.learning import evaluate, train
from fissura.cli.options import INPUT_ERROR
from fissura.cli.studying import demo, results, study, synth
from fissura.errors import InputError
from fissura.memory import keep_freed_memory

if TYPE_CHECKING:
    from cyclopts.argument import ArgumentCollection


def _options_from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in what the file behind --config says and the command line does not."""
    for argument in arguments:
        if argument.name == "--config" and argument.tokens:
            path = Path(argument.tokens[0].value)
            if not path.is_file():
                raise InputError(f"There is no configuration file {path}.")
            Yaml(path, use_commands_as_keys=False)(app, commands, arguments)


app = App(
    name="fissura",
    help="Find cracks in pictures, pixel by pixel, and train the models that do it.",
    version=__version__,
    config=_options_from_file,
)
for command in (train, evaluate, predict, inspect, measure, models, synth, study, results, demo):
    app.command(command)


def main() -> None:
    """Run the command line; what the user can mend is told in sentences, with exit status 2."""
    keep_freed_memory()
    try:
        sys.exit(app(result_action="return_value"))
    except InputError as error:
        print(f"fissura: {error}", file=sys.stderr)
        sys.exit(INPUT_ERROR)
    except OSError as error:
        # A full disk, a missing permission: the system's own words and the file.
        print(f"fissura: {error}.", file=sys.stderr)
        sys.exit(INPUT_ERROR)


if __name__ == "__main__":
    main()
