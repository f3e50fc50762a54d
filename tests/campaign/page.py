"""Write docs/reliability.md from what the campaign found last, and from nothing else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from fissura.files import replacing

from .mended import DISTURBED, INPUTS
from .targets.all_of_them import TARGETS

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks/results/campaign.json", ROOT / "docs/reliability.md"
INTRODUCTION = """\
# Reliability

What happens to Fissura on bad days: spoiled files, kills, full disks, lost permissions. `make
campaign` tries it for an hour and writes this page from `benchmarks/results/campaign.json`;
`make campaign OPTIONS="--minutes 10 --seed 3"` takes a share of it, and `--only inputs` one part.
The same seed gives the same faults, though not as many of them on a slower machine. A share of ten
minutes runs with every change to the code.

*Held* means: a right result, or one sentence that names the file and says what to do, with exit
status 2. Anything else is a find: a traceback, more than 10 seconds of computing without an answer,
a crash of the interpreter, more than 1 GB of memory, a file written or read outside of the folders
given, a process or a connection started, an object unpickled. *Mended* counts the finds of all
campaigns so far that the code no longer shows; each stays as a small input in
`tests/campaign/mended.py`.

A find in the lists below is found again by its seed and number: `python -m tests.campaign --seed 4
--input 1179`. What watches is in `tests/campaign/worker.py`, an audit hook of Python's interpreter
among it, and the disturbances are in `tests/campaign/faults.py`. The campaign needs Linux; small
disks are mounted where it is root, and changes of files fail by themselves elsewhere.
"""
PARTS = {
    "inputs": (
        "Spoiled inputs",
        "Files that are right are spoiled (bits, lengths, numbers in headers whose checksums are "
        "made right again, cells, keys and values, names that lead elsewhere, entities and aliases "
        "that grow) and read by the functions and commands that meet them. What is read without "
        "complaint is checked for its form alone: a flipped bit in a pixel is another photo.",
    ),
    "kills": (
        "Kills",
        "SIGKILL to all processes of a command, at a change of a file that is drawn, or at any "
        "time, up to two in a trial; then the command goes on, as its user would have it go on. "
        "Held: its results are those of an undisturbed run, file by file (times of the day and of "
        "computing aside).",
    ),
    "disks": (
        "Disks, permissions, clocks, neighbors",
        "The results lie on a disk that is too small; changes of files fail; the folder loses its "
        "permission in the midst of a run; the clock jumps and files have odd dates; the command "
        "is started twice in one folder. Held: a sentence and exit status 2 (or the end of the run "
        "where the fault came too late), and going on gives the results of an undisturbed run.",
    ),
    "properties": (
        "Whatever happens, the same cracks",
        "Tests with drawn examples: thirty of each in a share, three hundred in a whole campaign.",
    ),
}


def page() -> str:
    """Return the page as Markdown."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    parts = [INTRODUCTION]
    for name, (heading, words) in PARTS.items():
        parts.append(f"## {heading}\n\n{words}\n")
        parts.append(_part(name, results[name]) if name in results else "Not run yet.\n")
    return "\n".join(parts)


def mended_by_row() -> Counter[str]:
    """Return how many finds were mended, by row of the table."""
    rows = {target.name: target.row for target in TARGETS}
    return Counter([*(rows[one.target] for one in INPUTS), *(row for row, _ in DISTURBED)])


def _part(name: str, part: dict[str, Any]) -> str:
    """Return what a part of the campaign found."""
    mended = mended_by_row()
    versions = ", ".join(f"{package} {number}" for package, number in part["versions"].items())
    minutes = f"{part['minutes']:g} minutes"
    share = (
        "" if part["whole"] else f", a share of the {part['whole_minutes']:g} of a whole campaign"
    )
    lines = [
        f"Seed {part['seed']}, {minutes}{share}; {part['date']}, {part['machine']}; {versions}.\n",
        "| fault | tried | held | mended |",
        "|---|--:|--:|--:|",
    ]
    for row in part["rows"]:
        told = mended.get(row["fault"], 0)
        lines.append(f"| {row['fault']} | {row['tried']:,} | {row['held']:,} | {told or ''} |")
    tried, held = (sum(row[word] for row in part["rows"]) for word in ("tried", "held"))
    total = sum(mended.get(row["fault"], 0) for row in part["rows"])
    lines += [f"| **together** | {tried:,} | {held:,} | {total or ''} |", ""]
    if part.get("left_out"):
        lines.append(f"Left out: {', '.join(part['left_out'])}.\n")
    if part["finds"]:
        lines.append(f"Not held, {len(part['finds'])} kinds:\n")
        lines += [f"- {_told(find)}" for find in part["finds"]]
        lines.append("")
    return "\n".join(lines)


def _told(find: dict[str, Any]) -> str:
    """Return a find in a line, with the number by which it is found again."""
    where = find.get("target") or f"{find.get('fault')}, {find.get('scenario')}"
    kind = f"{find['outcome']}: " if "outcome" in find else ""
    told = " ".join(find["told"].split()).replace("`", "'").replace("<", "‹")
    return f"number {find['index']}, {where}: {kind}`{told[:200]}`"


def write_page() -> None:
    """Write the page."""
    with replacing(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(f"Written: {PAGE}")


if __name__ == "__main__":
    write_page()
