"""Photos predicted by the workers of a Ray cluster: the files of the serial run."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from fissura.errors import InputError
from fissura.files import OutputOptions
from fissura.files.failures import Failure, printable
from fissura.inference.files.folder_work import Done, Work
from fissura.inference.files.results import TableRow
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.spread.attempts import died
from fissura.spread.cluster import work_on_cluster
from fissura.spread.options import SpreadOptions
from fissura.spread.progress import shown_progress
from fissura.spread.stores import fetched, shown


@dataclass(frozen=True)
class _Making:
    """Makes in each worker what predicts a photo; `work` has no predictor until then."""

    work: Work
    model: Path
    options: PredictOptions
    output: OutputOptions

    def __call__(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Load the model, and return the function that does a row."""
        predictor = Predictor.load(self.model, **asdict(self.options))
        work = replace(self.work, predictor=predictor)
        return lambda row: _predict(work, self.model, self.output, row)


def _predict(work: Work, model: Path, output: OutputOptions, row: dict[str, Any]) -> dict[str, Any]:
    """Predict a photo, and return its row of the table as JSON holds it."""
    address, said = Path(row["file"]), io.StringIO()
    outcome: dict[str, Any] = {"reason": None}

    def done(file: Path, mask: str, found: Any, seconds: float) -> None:
        each = getattr(found, "fractions", ()) or (found.crack_fraction,)
        outcome.update(
            mask=mask,
            fractions=[float(one) for one in each],
            threshold=float(found.threshold),
            seconds=seconds,
        )

    try:
        with fetched(address) as file:
            one = replace(work, names={file: row["name"]}, console=Console(file=said), failures=[])
            if not one.predict_raster(file, model, output, done):
                one.predict_photos([file], done)
            lines = said.getvalue().replace(str(file), shown(address)).splitlines()
            outcome["said"] = [line for line in lines if not line.startswith("Left out: ")]
            for failed in one.failures:
                outcome["reason"] = failed.reason.replace(str(file), shown(address))
    except InputError as error:
        outcome["reason"] = printable(str(error))
    return outcome


def predict_on_cluster(
    work: Work,
    model: Path,
    options: PredictOptions,
    output: OutputOptions,
    spreading: SpreadOptions,
    done: Done,
) -> None:
    """Predict the photos of `work` on a cluster.

    Args:
        work: The photos, and how they are predicted; it learns which were left out.
        model: The model folder.
        options: How the model is applied.
        output: What to do with results that are there.
        spreading: The cluster.
        done: Called with each photo as it is done.
    """
    bare: Any = None  # the network does not travel: each worker loads it
    making = _Making(
        replace(work, predictor=bare, out=work.out.absolute(), names={}, console=bare, failures=[]),
        model.absolute(),
        options,
        output,
    )
    files = list(work.names)
    rows = [{"file": str(file), "name": name} for file, name in work.names.items()]
    failed: dict[int, str] = {}
    with shown_progress(work.console, "predicting", len(rows)) as advance:

        def ended(number: int, outcome: dict[str, Any]) -> None:
            file = files[number]
            reason = died(shown(file), outcome) or outcome["reason"]
            for line in outcome.get("said", ()):
                work.say(line)
            if reason is not None:
                failed[number] = printable(reason)
                work.say(f"Left out: {reason}", style="red")
            else:
                found = TableRow(tuple(outcome["fractions"]), outcome["threshold"])
                done(file, outcome["mask"], found, outcome["seconds"])
            advance()

        work_on_cluster(rows, making, work.out, spreading, ended)
    work.failures.extend(Failure(files[number], failed[number]) for number in sorted(failed))
