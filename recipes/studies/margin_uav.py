"""The margin with few training images, on real photos of 1.4 % crack.

    python recipes/studies/uav_small.py DATA/uav_concrete UAV
    fissura study recipes/studies/margin_uav.py --data UAV --out results/margin

As recipes/studies/margin.py, on windows of 128×128 of the drone's photos.
"""

import runpy
from pathlib import Path

from fissura.study.data import DataSet, subset
from fissura.study.recipe import Recipe

PANELS = runpy.run_path(str(Path(__file__).with_name("margin.py")))
PHOTOS = DataSet("uav-small", "Concrete from a drone", folder=".")

RECIPE = Recipe(
    title="The margin with few training images: concrete from a drone",
    rows=[
        row
        for images, epochs in PANELS["EPOCHS"].items()
        for row in PANELS["margin_rows"](subset(PHOTOS, images, 100), epochs)
    ],
    runs=5,
    show=PANELS["show"],
)
