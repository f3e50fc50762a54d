"""A recipe of your own: does a margin help on your photos?

    fissura study examples/compare_losses.py --data my_photos --out comparison

Any Python file that defines RECIPE will do. Each row is a training with the options of
`fissura train`; what a row leaves open is as in the paper. All rows are trained with the same
seeds, and compared with the first, seed by seed.
"""

from fissura.study.recipe import Recipe, cross

RECIPE = Recipe(
    title="Losses on my photos",
    rows=cross(
        {
            "BCE + Dice": {"loss": "bce-dice"},
            "hybrid focal margin": {"loss": "hybrid-focal-margin", "margin": 0.5},
        },
        epochs=40,
    ),
)
