"""Write docs/performance.md from the JSONs in benchmarks/results/, and from nothing else.

python benchmarks/page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from side_by_side import RESULTS, Goal, Result, milliseconds, rate, situations_table, verdict

from fissura.files import replacing

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
# Script and heading, in the order of the page.
SECTIONS = {
    "loss": "Losses",
    "train": "Training",
    "predict": "Prediction",
    "engines": "Exported models",
    "startup": "Start-up",
}
DEVICES = {"cpu": "CPU", "cuda": "GPU", "mps": "Apple GPU"}
INTRODUCTION = """\
# Performance

`make bench` measures ours beside what people use today, all in turn within one process per
question, and writes this page from `benchmarks/results/*.json`; a script each in `benchmarks/`,
whose head says what is compared. Times are medians of the repetitions, their range in brackets.
Equality of what is computed was checked before timing. A ratio above 1 means that ours is faster
than the peer; beside a bound, ratios are the time of ours by the bound's. What ours loses is here
as well as what it wins. Runs per hour of a whole study: `benchmarks/study.py`,
[studies.md](studies.md).
"""


def page(results: Path = RESULTS) -> str:
    """The page as Markdown."""
    parts = [INTRODUCTION]
    for script, heading in SECTIONS.items():
        path = results / f"{script}.json"
        parts.append(f"## {heading}\n")
        if not path.exists():
            parts.append(f"Not measured yet: `python benchmarks/{script}.py`.\n")
            continue
        for device, entry in json.loads(path.read_text(encoding="utf-8")).items():
            parts += section(script, DEVICES.get(device, device), entry)
    return "\n".join(parts)


def section(script: str, device: str, entry: dict[str, Any]) -> list[str]:
    """What one script found on one kind of device."""
    result = Result(
        entry["question"], entry["unit"], entry["work"], entry["seconds"],
        [Goal(**goal) for goal in entry["goals"]], entry["checked"], entry["notes"],
        entry.get("situations", {}),
    )  # fmt: skip
    versions = ", ".join(f"{name} {number}" for name, number in entry["versions"].items())
    parts = [
        f"### {device}: {result.question}\n",
        f"`python benchmarks/{script}.py`, {entry['date']}: {entry['machine']}, "
        f"{entry['threads']} threads; {versions}.\n",
    ]
    if result.judged():
        parts += ["| case | ours | against | ratio |", "|---|---|---|---|"]
        parts += [
            f"| {goal.case} | {goal.ours} | {goal.peer} | {verdict(result, goal)} |"
            for goal in result.judged()
        ]
        parts.append("")
    for case, ways in result.seconds.items():
        speed = case in result.work
        parts += [f"| {case} | time |" + (f" {result.unit}/s |" if speed else "")]
        parts += ["|---|--:|" + ("--:|" if speed else "")]
        for way, seconds in ways.items():
            per_second = rate(result, case, seconds).removesuffix(f"{result.unit}/s").strip()
            parts.append(
                f"| {way} | {milliseconds(seconds)} |" + (f" {per_second} |" if speed else "")
            )
        parts.append("")
    for case, situations in result.situations.items():
        parts += [*situations_table(case, situations, result.pairs(case)), ""]
    parts += [f"- {sentence}" for sentence in (*result.checked, *result.notes)]
    return [*parts, ""]


if __name__ == "__main__":
    with replacing(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(f"Written: {PAGE}")
