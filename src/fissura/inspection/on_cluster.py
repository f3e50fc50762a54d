"""Photos inspected by the workers of a Ray cluster: the records and files of the serial run.

A worker writes a photo's record where `--resume` looks for it, so that nothing is lost with a
worker, nor with the driver. A large raster is predicted chunk by chunk, by as many workers as there
are, before one of them measures it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from fissura.device import describe_machine
from fissura.errors import InputError
from fissura.files.failures import Failure, printable, say
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inference.rasters.opening import SUFFIXES, raster_of
from fissura.inference.rasters.raster import chunks_to_do, predict_chunk
from fissura.inference.rasters.raster_files import RasterFiles
from fissura.inspection.measuring import measure_photo
from fissura.inspection.photos.given_masks import GivenMask
from fissura.inspection.photos.photo import Inspector, InspectorOptions
from fissura.inspection.photos.sources import own_result, two_values
from fissura.inspection.steps import Earlier, Step
from fissura.spread.attempts import died
from fissura.spread.cluster import work_on_cluster
from fissura.spread.options import SpreadOptions
from fissura.spread.progress import shown_progress
from fissura.spread.stores import fetched, is_address, shown


@dataclass(frozen=True)
class Setup:
    """What a worker needs beside the options of the inspector.

    Attributes:
        predicting: How the model is applied.
        previous: Folder of an earlier inspection.
        predicts: Whether the model is needed.
    """

    predicting: PredictOptions
    previous: Path | None
    predicts: bool


@dataclass(frozen=True)
class _Making:
    """Makes in each worker what inspects a photo."""

    setup: Setup
    model: Path
    out: Path
    options: InspectorOptions
    masks: dict[str, GivenMask] = field(default_factory=dict)

    def __call__(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Load the model, and return the function that does a row."""
        predictor = None
        if self.setup.predicts:
            predictor = Predictor.load(self.model, **asdict(self.setup.predicting))
        options = replace(self.options, known=dict(self.options.known))
        return _Worker(
            Inspector(predictor, self.model, self.out, options),
            Earlier(self.out, self.setup.previous),
            self.masks,
        )


class _Worker:
    """Does rows: a photo, the chunks that a raster has, or one of them."""

    def __init__(self, inspector: Inspector, earlier: Earlier, masks: dict[str, GivenMask]) -> None:
        self.inspector, self.earlier, self.masks = inspector, earlier, masks

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the outcome of a row, as JSON holds it."""
        file, name = Path(row["file"]), row["name"]
        if row["do"] == "photo":
            return self._photo(Step(file, name, self.masks.get(name)))
        outcome: dict[str, Any] = {"chunks": []}
        # Whatever is wrong with the image is told when it is inspected.
        with suppress(Exception), raster_of(file, depth=self.inspector.options.depth) as raster:
            assert raster is not None
            assert self.inspector.predictor is not None
            files = RasterFiles.below(self.inspector.out, name)
            if row["do"] == "chunk":
                predict_chunk(self.inspector.predictor, raster, files, row["chunk"])
            elif own_result(file) is None and len(two_values(raster) or ()) != 2:
                outcome["chunks"] = chunks_to_do(
                    self.inspector.predictor,
                    raster,
                    files,
                    model=self.inspector.model,
                    overwrite=self.inspector.options.overwrite,
                )
        return outcome

    def _photo(self, step: Step) -> dict[str, Any]:
        """Inspect a photo."""
        inspector, said = self.inspector, io.StringIO()
        inspector.console = Console(file=said, soft_wrap=True)
        inspector.understood = {}
        reason, words = None, ""
        try:
            with fetched(step.file) as file:
                if file != step.file:
                    known: Any = inspector.options.known
                    if step.file in known:
                        known[file] = known[step.file]
                failed = measure_photo(inspector, step, self.earlier, fetched=file)
            if failed is not None:
                reason = failed.reason.replace(str(file), shown(step.file))
            words = said.getvalue().replace(str(file), shown(step.file))
        except InputError as error:
            reason = printable(str(error))
        predictor = inspector.predictor
        return {
            "reason": reason,
            "understood": list(inspector.understood),
            "said": words,
            "machine": None if predictor is None else describe_machine(predictor.device),
        }


def measure_on_cluster(
    inspector: Inspector,
    steps: list[Step],
    setup: Setup,
    spreading: SpreadOptions,
    console: Console,
) -> list[Failure]:
    """Inspect photos on a cluster; return those that could not be.

    Args:
        inspector: The inspector of a run on one machine; it learns what photos were taken for.
        steps: The photos that have no record, or an old one.
        setup: What workers need beside.
        spreading: The cluster.
        console: For progress and complaints.
    """
    masks = {step.name: step.mask for step in steps if step.mask is not None}
    making = _Making(setup, inspector.model, inspector.out, inspector.options, masks)
    if setup.predicts and inspector.options.kind == "photo":
        _predict_chunks(making, steps, spreading, console)
    rows = [{"do": "photo", "file": str(step.file), "name": step.name} for step in steps]
    outcomes: dict[int, dict[str, Any]] = {}
    with shown_progress(console, "Inspecting", len(rows)) as advance:

        def done(number: int, outcome: dict[str, Any]) -> None:
            outcomes[number] = outcome
            for line in outcome.get("said", "").splitlines():
                say(console, line)
            if (reason := _reason(steps[number].file, outcome)) is not None:
                say(console, f"Left out: {reason}", style="red")
            advance()

        work_on_cluster(rows, making, inspector.out, spreading, done)
    failures = []
    for number, outcome in sorted(outcomes.items()):
        file = steps[number].file
        if (reason := _reason(file, outcome)) is not None:
            failures.append(Failure(file, reason))
        for words in outcome.get("understood", ()):
            inspector.understood.setdefault(words, []).append(file)
        if outcome.get("machine"):
            inspector.machines.setdefault(outcome["machine"], None)
    return failures


def _predict_chunks(
    making: _Making, steps: list[Step], spreading: SpreadOptions, console: Console
) -> None:
    """Predict the chunks of large rasters; what fails here is done, or told, with its photo."""
    rasters = [
        {"do": "survey", "file": str(step.file), "name": step.name}
        for step in steps
        if step.mask is None
        and step.file.suffix.lower() in SUFFIXES
        and not is_address(step.file)  # each worker would fetch all of it
    ]
    chunks: list[dict[str, Any]] = []

    def survey(number: int, outcome: dict[str, Any]) -> None:
        waiting = outcome.get("chunks", [])
        if len(waiting) > 1:
            chunks.extend(rasters[number] | {"do": "chunk", "chunk": index} for index in waiting)

    work_on_cluster(rasters, making, making.out, spreading, survey)
    with shown_progress(console, "Predicting chunks", len(chunks)) as advance:
        work_on_cluster(chunks, making, making.out, spreading, lambda number, outcome: advance())


def _reason(file: Path, outcome: dict[str, Any]) -> str | None:
    """Return why a photo is left out, or None."""
    reason = died(shown(file), outcome) or outcome["reason"]
    return None if reason is None else printable(reason)
