"""Table III: twelve losses on a stand-in for PanelCrack, and on real industrial tiles.

The paper's PanelCrack is private. In its place: as many synthetic panels of the same size and
share of crack, and, beside them, magnetic tiles with and without cracks (Huang et al. 2018).
"""

from dataclasses import replace

from fissura.experiments.datasets import MAGNETIC_TILE, panels
from fissura.experiments.rows import PaperFigures, Recipe, loss_rows
from fissura.experiments.tables import write_table

# The paper has no figures for L_bce: it 'does not work'.
PAPER = {
    "dice": PaperFigures(23.22, 37.55, 57.26, 28.43),
    "fl": PaperFigures(4.88, 9.17, 5.06, 32.12),
    "afl": PaperFigures(11.83, 20.93, 13.46, 41.54),
    "tversky": PaperFigures(33.51, 50.00, 59.10, 43.63),
    "ft": PaperFigures(33.10, 49.56, 59.24, 42.87),
    "bce-dice": PaperFigures(32.09, 48.45, 49.58, 47.60),
    "hf": PaperFigures(34.64, 51.24, 56.60, 47.14),
    "auf": PaperFigures(32.72, 49.08, 51.19, 47.53),
    "ours-0.5": PaperFigures(34.94, 51.55, 56.87, 47.49),
    "ours-1.0": PaperFigures(34.85, 51.49, 57.57, 46.95),
    "ours-1.5": PaperFigures(35.08, 51.74, 57.61, 47.32),
}

TILES = [replace(row, name=f"tile/{row.name}") for row in loss_rows(MAGNETIC_TILE, {})]

RECIPE = Recipe(
    name="table3",
    title="Table III: losses on synthetic panels (for PanelCrack), 128×128, and magnetic tiles",
    rows=[*loss_rows(panels(), PAPER), *TILES],
    show=write_table,
)
