"""`fissura serve`: the desk in a browser, and the HTTP API."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from fissura.cli.options import (
    MEASURE,
    PREDICT,
    RESOLUTION,
    SHIPPED,
    MeasureGroup,
    PredictGroup,
    ResolutionGroup,
    Switch,
)
from fissura.errors import extra
from fissura.serve.options import Served, ServeOptions

ServeGroup = Annotated[ServeOptions, Parameter(name="*", group=Group("Server"), negative="")]
SERVE = ServeOptions()
TOKEN = "FISSURA_TOKEN"
FOLDER = Path("desk")


def serve(
    folder: Path = FOLDER,
    *,
    model: Path = SHIPPED,
    limits: Path | None = None,
    growth: Path | None = None,
    api: Switch = False,
    predicting: PredictGroup = PREDICT,
    resolution: ResolutionGroup = RESOLUTION,
    measuring: MeasureGroup = MEASURE,
    serving: ServeGroup = SERVE,
) -> int:
    """Open the inspector's desk in a browser: look at photos, correct cracks, file the report.

    It is reached from this machine alone unless --host says otherwise. What is done at the desk is
    kept in FOLDER/fissura-desk at once; photos are never changed. Other programs have photos
    inspected by the HTTP API below /v1; docs/serve.md. Ctrl-C ends it.

    Args:
        folder: Folder of photos, to which more can be dragged in the browser; the one called desk
            is made where there is none.
        model: Run folder that `fissura train` wrote, or the name of a model that `fissura models`
            lists.
        limits: YAML file with rules such as `max_width_mm: 0.3`; see docs/inspection.md.
        growth: YAML file with rules such as `max_growth_mm_per_year: 5`, for comparisons with
            earlier inspections; see docs/compare.md.
        api: Serve the HTTP API alone, without a desk; nothing is kept.
    """
    with extra("serve", "fissura serve"):
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    from fissura.serve.server import run

    if serving.token is None and os.environ.get(TOKEN):
        serving = replace(serving, token=os.environ[TOKEN])
    if folder == FOLDER and not api:
        folder.mkdir(exist_ok=True)
    return run(
        Served(
            folder=None if api else folder,
            model=model,
            limits=limits,
            growth=growth,
            predicting=predicting,
            resolution=resolution,
            measuring=measuring,
            options=serving,
        )
    )
