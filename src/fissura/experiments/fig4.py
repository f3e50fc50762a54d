"""Fig. 4: what six losses make of the same photos."""

from dataclasses import replace

from fissura.experiments.datasets import DEEPCRACK
from fissura.experiments.grid_plot import draw_grid
from fissura.experiments.rows import Recipe, loss_rows

TITLES = {
    "afl": "AsyFocal",
    "ft": "FocalTversky",
    "bce-dice": "BceDice",
    "hf": "HybridFocal",
    "auf": "UnifiedFocal",
    "ours-0.5": "Ours, m = 0.5",
}

ROWS = {row.name: row for row in loss_rows(DEEPCRACK, {})}

RECIPE = Recipe(
    name="fig4",
    title="Fig. 4: predictions on DeepCrack-DB",
    rows=[replace(ROWS[name], label=title) for name, title in TITLES.items()],
    show=draw_grid,
    needs_weights=True,
)
