"""The metrics of a run that tables show, by the titles of their columns."""

from __future__ import annotations

from fissura.study.results import RunResult

# Title of the column, and the names that lead to the metric in `RunResult.metrics`.
METRICS = {
    "IoU": ("iou",),
    "F1": ("f1",),
    "Recall": ("recall",),
    "Precision": ("precision",),
    "IoU, mean of images": ("per_image_mean", "iou"),
    "F1 within 2 px": ("tolerant", "f1"),
    "clDice": ("cldice",),
    "Average precision": ("average_precision",),
}


def metric(result: RunResult, title: str) -> float | None:
    """Return a metric of a run; None where it is undefined.

    Args:
        result: The run.
        title: One of `METRICS`.
    """
    value = result.metrics
    for step in METRICS[title]:
        value = value[step]
    return value  # pyright: ignore[reportReturnType]


def column(title: str) -> str:
    """Return the name that the column of a metric has in CSV files.

    >>> column("IoU, mean of images")
    'iou_mean_of_images'
    """
    return title.lower().replace(",", "").replace(" ", "_")
