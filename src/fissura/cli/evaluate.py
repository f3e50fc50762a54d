"""`fissura evaluate`: a report on how well a model finds the cracks of labeled photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from fissura.errors import InputError
from fissura.evaluation.options import EvaluateOptions

DEFAULTS = EvaluateOptions()


def evaluate(
    model: Path,
    data: Path,
    *more: Annotated[Path, Parameter(show=False)],
    out: Path | None = None,
    options: Annotated[
        EvaluateOptions, Parameter(name="*", group=Group("Options"), negative="")
    ] = DEFAULTS,
) -> int:
    """Tell how well a model finds the cracks of photos whose masks are known.

    Writes a report to read (report.html) and the same metrics for programs (report.json). Nothing
    is chosen on these photos: the metrics hold for the threshold 0.5, and for the one that training
    chose on its own validation images.

    Args:
        model: Run folder that `fissura train` wrote, or the name of a model that `fissura models`
            lists.
        data: Folder with photos and masks, in any layout that training takes.
        more: Nothing else.
        out: Folder for the report. It must not exist yet. [default: MODEL/evaluation-DATA-SPLIT, or
            evaluation-MODEL-DATA-SPLIT for a model that comes with Fissura]
    """
    if more:
        raise InputError(
            "One model and one folder of photos at a time: `fissura evaluate MODEL DATA`. Several "
            "models are evaluated one after the other; their report.json files can be compared."
        )
    from fissura.checkpoint import name_of_model
    from fissura.evaluation.evaluate import evaluate as run

    report = run(model, data, options=options, out=out)
    print(report.headline())
    print(f"Model: {name_of_model(model)}")
    return 0
