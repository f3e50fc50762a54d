"""Where a margin must matter, if it does: rare cracks, and few training images.

    fissura study recipes/studies/margin.py --out results/margin --estimate
    fissura study recipes/studies/margin.py --out results/margin

Ours with five margins (m = 0 is the hybrid focal loss) on drawn panels of 128×128 with 0.1 to 10 %
crack, 100 to train on; and with 25, 100 and 400 to train on, at 1 % crack. All see as many steps of
the optimizer, about 650. 100 other panels choose the threshold, 200 test it. The learning rate is
four times the usual one, so that so few steps are enough for rare cracks, too.

`--data UAV`, where UAV is what recipes/studies/uav_small.py wrote, is for
recipes/studies/margin_uav.py.
"""

from pathlib import Path

from fissura.paper.figures.fig3 import plot_margins
from fissura.paper.losses import ours
from fissura.study.data import DataSet, panels
from fissura.study.experiment import experiment
from fissura.study.outputs.exports import write_study
from fissura.study.recipe import Found, Recipe, Row

MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0)
FRACTIONS = (0.001, 0.003, 0.01, 0.03, 0.1)
# Training images, and the epochs that make about 650 steps of 8 of them.
EPOCHS = {25: 160, 100: 50, 400: 13}
BATCH, LEARNING_RATE = 8, 4e-3
DRAWN, VALIDATION = 800, 100  # a quarter of those drawn is to test
WIDTH = 8


def margin_rows(data: DataSet, epochs: int) -> list[Row]:
    """Return a row for each margin on a data set."""
    return [
        Row(
            f"{data.name}/m{margin:g}",
            f"m = {margin:g}",
            # Any fraction but 0 takes the folder's own validation images, all of them.
            experiment(
                data,
                **ours(margin),
                epochs=epochs,
                width=WIDTH,
                batch_size=BATCH,
                learning_rate=LEARNING_RATE,
                validation=0.2,
            ),
        )
        for margin in MARGINS
    ]


def show(recipe: Recipe, found: Found, folder: Path) -> list[Path]:
    """Write tables and comparisons, and draw each gain against the margin."""
    return [*write_study(recipe, found, folder), *plot_margins(recipe, found, folder)]


def drawn(fraction: float, images: int) -> DataSet:
    """Return panels with this fraction of crack, so many of them to train on."""
    return panels(fraction, DRAWN, training_images=images, validation_images=VALIDATION)


RECIPE = Recipe(
    title="The margin at rare cracks and with few training images: drawn panels",
    rows=[
        row
        for fraction, images in [
            *((fraction, 100) for fraction in FRACTIONS),
            *((0.01, images) for images in EPOCHS if images != 100),
        ]
        for row in margin_rows(drawn(fraction, images), EPOCHS[images])
    ],
    runs=5,
    show=show,
)
