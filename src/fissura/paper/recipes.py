"""All recipes of the paper by the name that `fissura study` takes."""

from fissura.paper.figures.fig1 import FIG1
from fissura.paper.figures.fig3 import FIG3
from fissura.paper.figures.fig4 import FIG4
from fissura.paper.tables import TABLE1, TABLE2, TABLE3, TABLE4
from fissura.study.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (TABLE1, TABLE2, TABLE3, TABLE4, FIG1, FIG3, FIG4)
}
