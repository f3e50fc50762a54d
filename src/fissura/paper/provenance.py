"""The origin of the numbers on the page: runs, machines, dates, versions, data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from fissura.paper.budgets import written_threshold
from fissura.study.outputs.markdown import count, markdown
from fissura.study.results import RunResult


def provenance(results: Iterable[RunResult]) -> str:
    """Return the runs, the images and the software as Markdown.

    Args:
        results: All runs of the page, in any order.
    """
    runs = sorted(results, key=lambda run: run.key)
    if not runs:
        return "There are no runs yet."
    return "\n".join(
        (
            _trainings(runs),
            "Times are of single trainings, which may have shared their machine with others.\n",
            _images(runs),
            "A fingerprint is a hash of the prepared test images and masks.\n",
            _versions(runs),
        )
    )


def written_seconds(seconds: float) -> str:
    """Write a time.

    >>> written_seconds(75.2), written_seconds(480)
    ('75 s', '8.0 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _trainings(runs: list[RunResult]) -> str:
    """Return a table of the runs, those of one kind, machine and precision in a line."""
    groups: dict[tuple[str, ...], list[RunResult]] = {}
    for run in runs:
        groups.setdefault((*_kind(run), run.machine, run.precision), []).append(run)
    table = []
    for (data, network, epochs, machine, precision), group in sorted(groups.items()):
        dates = sorted({run.date[:10] for run in group})
        table.append(
            [
                data,
                network,
                epochs,
                machine,
                precision,
                dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
                str(len(group)),
                written_seconds(float(np.median([run.seconds["train"] for run in group]))),
            ]
        )
    head = ["Data", "Network", "Epochs", "Machine", "Precision", "Date", "Runs", "Median training"]
    return markdown(head, table, words=6)


def _kind(run: RunResult) -> tuple[str, str, str]:
    """Return data, network and epochs in words."""
    config = run.config
    if config["model"] == "crackseg":
        start = f"width {config['width']}"
    else:
        start = "ImageNet weights" if config["pretrained"] else "no pretrained weights"
    threshold = config["area_threshold"]
    masks = "" if threshold is None else f", {written_threshold(threshold)}"
    return f"{run.identity['data']}{masks}", f"{config['model']}, {start}", str(config["epochs"])


def _images(runs: list[RunResult]) -> str:
    """Return a table of the data sets: images, photos, fraction of crack, fingerprint."""
    table: dict[tuple[str, ...], None] = {}
    for run in runs:
        train, test = run.train, run.test
        line = (
            _kind(run)[0],
            f"{train['images']} / {test['images']}",
            f"{train['groups']} / {test['groups']}",
            f"{100 * train['crack_fraction']:.2f} % / {100 * test['crack_fraction']:.2f} %",
            str(test["fingerprint"])[:12],
        )
        table[line] = None
    head = ["Data", "Images, train / test", "Photos", "Crack", "Fingerprint"]
    return markdown(head, sorted(table))


def _versions(runs: list[RunResult]) -> str:
    """Return a list of the software by which the runs were made."""
    counted = Counter(
        ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
        for run in runs
    )
    return "\n".join(
        f"- {count(number, 'run')}: {software}" for software, number in sorted(counted.items())
    )
