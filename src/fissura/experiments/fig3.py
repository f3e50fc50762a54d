"""Fig. 3: which margin is best, against the share of crack pixels."""

from fissura.experiments.datasets import CRACK500, DEEPCRACK, panels
from fissura.experiments.margin_plot import plot_margins
from fissura.experiments.rows import HYBRID, PLAIN_HYBRID, Recipe, Row, experiment, ours

MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0)
SHARES = (0.01, 0.03, 0.05, 0.07, 0.10)
# Each with the parameters of L_ours that the paper gives it; most of these are runs of the tables.
DATA = [
    *((panels(share), HYBRID) for share in SHARES),
    (DEEPCRACK, HYBRID),
    (CRACK500, PLAIN_HYBRID),
]

RECIPE = Recipe(
    name="fig3",
    title="Fig. 3: margin against share of crack",
    rows=[
        Row(
            f"{data.name}/m{margin:g}",
            f"{data.title}, m = {margin:g}",
            experiment(data, **ours(margin, hybrid)),
        )
        for data, hybrid in DATA
        for margin in MARGINS
    ],
    show=plot_margins,
)
