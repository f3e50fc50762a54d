"""Table I: twelve losses on DeepCrack-DB at 96×96."""

from fissura.experiments.datasets import DEEPCRACK
from fissura.experiments.rows import PaperFigures, Recipe, loss_rows
from fissura.experiments.tables import write_table

PAPER = {
    "bce": PaperFigures(60.67, 75.43, 66.98, 87.01),
    "dice": PaperFigures(67.49, 80.49, 77.44, 84.38),
    "fl": PaperFigures(56.38, 71.99, 63.14, 84.74),
    "afl": PaperFigures(61.94, 76.41, 73.41, 80.38),
    "tversky": PaperFigures(68.27, 81.05, 82.46, 80.16),
    "ft": PaperFigures(68.47, 81.19, 83.71, 79.26),
    "bce-dice": PaperFigures(68.33, 81.10, 80.17, 82.59),
    "hf": PaperFigures(69.32, 81.80, 82.82, 81.30),
    "auf": PaperFigures(68.91, 81.51, 80.55, 82.94),
    "ours-0.5": PaperFigures(69.75, 82.09, 83.57, 81.09),
    "ours-1.0": PaperFigures(69.62, 82.00, 83.71, 80.77),
    "ours-1.5": PaperFigures(69.38, 81.83, 82.98, 81.19),
}

RECIPE = Recipe(
    name="table1",
    title="Table I: losses on DeepCrack-DB, 96×96",
    rows=loss_rows(DEEPCRACK, PAPER),
    show=write_table,
)
