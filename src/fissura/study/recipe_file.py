"""`read_recipe`: a user's own recipe from a Python file or a YAML file."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path

from fissura.errors import InputError
from fissura.study.recipe import Recipe
from fissura.study.yaml_recipe import read_yaml

# Endings of recipes in YAML; those in Python end in .py.
YAML = (".yaml", ".yml")


def read_recipe(file: Path) -> Recipe:
    """Read a recipe: run a Python file that defines `RECIPE`, or read a YAML file.

    Args:
        file: The user's file; its name is the recipe's unless that has one. Endings of YAML are
            .yaml and .yml; `fissura.study.yaml_recipe` has its form.

    Raises:
        InputError: There is no such file, it fails, or its recipe cannot be used.
    """
    if not file.is_file():
        raise InputError(f"There is no file {file}.")
    if file.suffix.lower() in YAML:
        return checked(read_yaml(file), file)
    return checked(_run_python(file), file)


def _run_python(file: Path) -> Recipe:
    """Run a Python file and return the `RECIPE` that it defines."""
    try:
        defined = runpy.run_path(str(file), run_name="fissura_recipe").get("RECIPE")
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    except Exception as error:  # of the user's own program: any kind
        raise InputError(f"{file} fails with {type(error).__name__}: {error}") from error
    if not isinstance(defined, Recipe):
        raise InputError(
            f"{file} does not define RECIPE as a fissura.study.recipe.Recipe. docs/studies.md has "
            "an example."
        )
    return defined


def checked(recipe: Recipe, file: Path) -> Recipe:
    """Return a recipe with a name, or raise `InputError` where it cannot be trained.

    Args:
        recipe: The recipe.
        file: The file that it is from; its name is the recipe's unless that has one.
    """
    recipe = replace(recipe, name=recipe.name or file.stem)
    names = [row.name for row in recipe.rows]
    if not names:
        raise InputError(f"The recipe of {file} has no rows.")
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"The recipe of {file} has several rows named {', '.join(doubled)}.")
    if recipe.baseline is not None and recipe.baseline not in names:
        raise InputError(
            f"The baseline {recipe.baseline!r} of {file} is none of its rows: {', '.join(names)}."
        )
    for one in recipe.data_sets():
        if not re.fullmatch(r"[\w.-]+", one.name):
            raise InputError(
                f"The data set {one.name!r} of {file} gives its name to files. Take letters, "
                "digits, -, _ and . alone, and the path as its folder."
            )
    return recipe
