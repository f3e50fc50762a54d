"""Table IV: four losses under three networks on DeepCrack-DB at 96×96."""

from fissura.experiments.datasets import DEEPCRACK
from fissura.experiments.rows import BASELINES, PaperFigures, Recipe, Row, experiment, ours
from fissura.experiments.tables import write_grid

NETWORKS = {
    "crackseg": "CrackSeg",
    "efficient_unet": "EfficientUNet-B7",
    "transunet": "TransUNet-R50-ViT-B/16",
}
LOSSES = {
    "bce-dice": ("L_bcedice", BASELINES["bce-dice"]),
    "hf": ("L_HF", BASELINES["hf"]),
    "auf": ("L_aUF", BASELINES["auf"]),
    "ours-0.5": ("L_ours", ours(0.5)),
}
PAPER_IOU = {
    "crackseg": (68.33, 69.32, 68.91, 69.75),
    "efficient_unet": (67.28, 67.43, 67.39, 67.73),
    "transunet": (64.21, 68.02, 64.24, 68.84),
}

RECIPE = Recipe(
    name="table4",
    title="Table IV: networks on DeepCrack-DB, 96×96, IoU",
    rows=[
        Row(
            f"{model}/{name}",
            f"{NETWORKS[model]}, {symbol}",
            # CrackSeg's cells are runs of Table I.
            experiment(DEEPCRACK, **options, **({} if model == "crackseg" else {"model": model})),
            PaperFigures(iou),
        )
        for model in NETWORKS
        for (name, (symbol, options)), iou in zip(LOSSES.items(), PAPER_IOU[model], strict=True)
    ],
    show=write_grid,
)
