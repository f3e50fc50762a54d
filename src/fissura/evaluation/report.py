"""A report: its metrics, and the folder that holds them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.evaluation.figures import draw_curve
from fissura.evaluation.literature import FIGURES
from fissura.evaluation.page import HEADLINE, page
from fissura.evaluation.score import Scores
from fissura.files import new_folder
from fissura.files.spreadsheet import plain
from fissura.html.pages import counted


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of an evaluation.

    Attributes:
        summary: All metrics and where they come from, as in `report.json`.
        scores: Arrays per image, from which the metrics follow.
        folder: Folder that the report was written into.
    """

    summary: dict[str, Any]
    scores: Scores
    folder: Path

    def headline(self) -> str:
        """Return the most important metrics in a few lines, for a terminal."""
        point = self.summary[self.summary["headline"]]
        level = f"{self.summary['bootstrap']['level']:.0%}"
        lines = [f"Warning: {text}" for text in self.summary["warnings"]]
        lines += [
            f"{counted(self.summary['images'], 'image')}, threshold {point['threshold']:.3g} "
            f"({point['source_in_words']}); in brackets: {level} interval",
            *(f"  {name:<24} {text}" for name, text in headline_metrics(self.summary)),
            *(["  " + text] if (text := false_alarms(point)) else []),
            *literature_lines(self.summary),
            f"The report is {self.folder / 'report.html'}",
        ]
        return "\n".join(lines)


def false_alarms(point: dict[str, Any]) -> str:
    """Say on how many images without crack one was found, or nothing where there are none."""
    alarms = point["false_alarms"]
    if not alarms["images"]:
        return ""
    return (
        f"{'False alarms':<24} on {alarms['with_alarm']:,} of "
        f"{counted(alarms['images'], 'image')} without crack"
    )


def literature_lines(summary: dict[str, Any]) -> list[str]:
    """Return the figures of `--literature` as lines for a terminal, under a line of their own."""
    block = summary.get("literature")
    if block is None:
        return []
    lines = ["As the literature computes them, thresholds chosen on these very images:"]
    for path, name, _ in FIGURES:
        lines.append(f"  {name:<24} {_with_interval(block[path[0]][path[1]])}")
    return lines


def write_report(scores: Scores, summary: dict[str, Any], folder: Path) -> None:
    """Write report.json, report.html, per_image.csv, pr_curve.svg and pr_curve.png.

    The folder appears whole or not at all.

    Raises:
        InputError: The folder exists and holds anything.
    """
    refuse_existing(folder)
    with new_folder(folder) as temporary:
        curve = draw_curve(scores)
        for suffix, content in curve.items():
            (temporary / f"pr_curve.{suffix}").write_bytes(content)
        text = json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False)
        (temporary / "report.json").write_text(text + "\n", encoding="utf-8")
        html = page(scores, summary, curve["svg"].decode())
        (temporary / "report.html").write_text(html, encoding="utf-8")
        write_per_image(temporary, summary["per_image"])


def write_per_image(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write per_image.csv.

    Args:
        folder: The folder of the report.
        rows: A line of each image, all with the columns of the first.
    """
    with (folder / "per_image.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({name: plain(cell) for name, cell in row.items()} for row in rows)


def refuse_existing(folder: Path) -> None:
    """Raise `InputError` where a folder or file of this name holds anything already."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(
            f"{folder} exists already and is never overwritten. Give another --out, or move it."
        )


def headline_metrics(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the most important metrics as (name, value with its interval)."""
    point = summary[summary["headline"]]
    lines = []
    for path, name, _ in HEADLINE:
        metric = point
        for step in path:
            metric = metric[step]
        text = _with_interval(metric)
        lines.append((name.format(tolerance=f"{summary['tolerance_px']:g}"), text))
    return lines


def _with_interval(metric: dict[str, float | None]) -> str:
    """Write a metric with its interval, where there is one."""
    if metric["value"] is None:
        return "undefined"
    if metric["low"] is None:
        return f"{metric['value']:.4f}"
    return f"{metric['value']:.4f}  ({metric['low']:.4f} to {metric['high']:.4f})"
