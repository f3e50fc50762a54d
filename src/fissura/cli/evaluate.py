"""`fissura evaluate`: a report on how well models find the cracks of labeled photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from fissura.errors import InputError
from fissura.evaluation.options import EvaluateOptions

DEFAULTS = EvaluateOptions()


def evaluate(
    model: Path,
    *more: Annotated[Path, Parameter(negative="")],
    data: Path | None = None,
    out: Path | None = None,
    options: Annotated[
        EvaluateOptions, Parameter(name="*", group=Group("Options"), negative="")
    ] = DEFAULTS,
) -> int:
    """Tell how well a model finds the cracks of photos whose masks are known, or compare models.

    `fissura evaluate MODEL DATA` writes a report to read (report.html) and the same metrics for
    programs (report.json). Nothing is chosen on these photos: the metrics hold for the threshold
    0.5, and for the one that training chose on its own validation images.

    `fissura evaluate MODEL MODEL --data DATA` compares two models or more on the same photos: each
    difference with its interval, image by image, and the images where they differ most
    (comparison.html, comparison.json).

    Args:
        model: Run folder that `fissura train` wrote, or the name of a model that `fissura models`
            lists.
        more: The folder of photos and masks, in any layout that training takes; with --data,
            further models to compare.
        data: Folder of the photos and masks, where several models are named.
        out: Folder for the report. It must not exist yet. [default: of one model
            MODEL/evaluation-DATA-SPLIT, or evaluation-MODEL-DATA-SPLIT for a model that comes with
            Fissura; of several comparison-DATA-SPLIT]
    """
    models = [model, *more]
    if data is None:
        if len(more) != 1:
            raise InputError(
                "Which photos? `fissura evaluate MODEL DATA` evaluates one model on a folder of "
                "photos; `fissura evaluate MODEL MODEL --data DATA` compares several."
            )
        models, data = [model], more[0]
    if len(models) > 1:
        from fissura.evaluation.compare import compare_models

        print(compare_models(models, data, options=options, out=out).headline())
        return 0
    from fissura.checkpoint import name_of_model
    from fissura.evaluation.evaluate import evaluate as run

    report = run(model, data, options=options, out=out)
    print(report.headline())
    print(f"Model: {name_of_model(model)}")
    return 0
