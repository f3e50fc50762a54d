"""`fissura study`: the trainings behind a comparison, your own or the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from fissura.errors import InputError
from fissura.study.options import Budget, StudyOptions

if TYPE_CHECKING:
    from fissura.study.recipe import Recipe

BudgetGroup = Annotated[Budget, Parameter(name="*", group=Group("Budget"), negative="")]
OptionsGroup = Annotated[StudyOptions, Parameter(name="*", consume_multiple=True, negative="")]
AS_THE_RECIPE_SAYS, DEFAULTS = Budget(), StudyOptions()


def study(
    recipe: str,
    *,
    out: Path,
    options: OptionsGroup = DEFAULTS,
    budget: BudgetGroup = AS_THE_RECIPE_SAYS,
) -> int:
    """Compare losses, networks or data: train what a recipe lists and is missing, then show it.

    Each training leaves a small file in OUT/runs. A training that has its file is not repeated, so
    a study that was stopped or killed goes on with the same command, and studies in one folder
    share trainings. The table shows each row with its spread over the seeds, and each row against
    the first with an interval. docs/studies.md has examples of recipes. Before it starts, the
    study tells what it will cost on this machine; --estimate tells that alone.

    Args:
        recipe: YAML file, or Python file that defines RECIPE; or a table or figure of the paper:
            table1, table2, table3, table4, fig1, fig3, fig4, for which --data holds deepcrack,
            crack500 and magnetic_tile, as far as it needs them. `fissura results` judges the
            paper's claims by them.
        out: Folder for everything. It may hold earlier studies.
    """
    from fissura.study.runner import study as run

    ended = run(find_recipe(recipe), out, budget=budget, options=options)
    if ended.stopped_by is not None:
        return 128 + ended.stopped_by
    return 1 if ended.failed else 0


def find_recipe(name: str) -> Recipe:
    """Return the recipe in a Python file, or the paper's of this name.

    Raises:
        InputError: There is neither.
    """
    from fissura.paper.recipes import RECIPES
    from fissura.study.recipe_file import YAML, read_recipe

    if name.lower().endswith((".py", *YAML)):
        return read_recipe(Path(name))
    if name not in RECIPES:
        raise InputError(
            f"There is no study {name!r}. Name a YAML file, a Python file that defines RECIPE, or "
            f"one of: {', '.join(RECIPES)}."
        )
    return RECIPES[name]
