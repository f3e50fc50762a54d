"""Table II: twelve losses on CRACK500 at 128×128, ours with γ̂ = 0, δ = 0.5, γ = 1."""

from fissura.experiments.datasets import CRACK500
from fissura.experiments.rows import PLAIN_HYBRID, PaperFigures, Recipe, loss_rows
from fissura.experiments.tables import write_table

PAPER = {
    "bce": PaperFigures(54.10, 70.17, 64.99, 76.42),
    "dice": PaperFigures(59.34, 74.44, 75.24, 73.78),
    "fl": PaperFigures(46.95, 63.84, 55.33, 75.74),
    "afl": PaperFigures(52.89, 69.15, 68.36, 70.16),
    "tversky": PaperFigures(57.47, 72.95, 82.45, 65.55),
    "ft": PaperFigures(57.33, 72.84, 82.67, 65.21),
    "bce-dice": PaperFigures(60.65, 75.47, 76.37, 74.73),
    "hf": PaperFigures(59.10, 74.25, 81.90, 68.01),
    "auf": PaperFigures(59.35, 74.45, 79.42, 70.18),
    "ours-0.5": PaperFigures(60.66, 75.48, 77.40, 73.79),
    "ours-1.0": PaperFigures(60.54, 75.38, 77.66, 73.38),
    "ours-1.5": PaperFigures(60.60, 75.43, 77.86, 73.28),
}

RECIPE = Recipe(
    name="table2",
    title="Table II: losses on CRACK500, 128×128",
    rows=loss_rows(CRACK500, PAPER, PLAIN_HYBRID),
    show=write_table,
)
