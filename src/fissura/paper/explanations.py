"""Possible reasons why our metrics differ from the paper's: seeds, masks, the choice of epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from fissura.paper.budgets import PAPER_RUNS, Reached, describe_reached
from fissura.paper.losses import parameters
from fissura.paper.verdicts import Evidence, Verdict
from fissura.study.outputs.markdown import NONE, count, markdown, number
from fissura.study.recipe import Row
from fissura.study.results import Index, RunResult, runs_of
from fissura.study.statistics import seeds_needed

# With two, a standard deviation says next to nothing.
FEWEST_SEEDS = 3

SEEDS = f"""\
The paper prints means of {PAPER_RUNS} runs without their spread. *By chance*: the standard
deviation that the difference of two such means has if both losses are equally good, from the
spread of our runs. *Seeds needed*: how many paired seeds show a true difference of the paper's size
at p ≤ 0.05 four times out of five, from the spread of our paired differences. A standard deviation
from three seeds is itself uncertain by about half, from ten by about a quarter."""

MASKS = """\
Photos are shrunk to training size. A shrunken pixel counts as crack here where at least 1/8 of its
area is; the paper doesn't say which fraction it takes. Below, the same predictions are judged by
test masks made with 1/2 instead."""

EPOCHS = """\
The paper doesn't say which epoch it reports; ours is always the last. The test IoU of some epochs
is recorded in each run, and nothing is chosen by it. *Best*: what each run would get if its epoch
were chosen by the very images that it is tested on."""


def explanations(verdicts: Sequence[Verdict], tables: Sequence[Reached], indexed: Index) -> str:
    """Return the section on possible explanations, in Markdown.

    Args:
        verdicts: Those whose noise is of interest, of any budget.
        tables: The tables whose masks and epochs are of interest.
        indexed: All results.
    """
    sections = [
        ("Seed noise", SEEDS, _seeds(verdicts)),
        ("Mask threshold", MASKS, "\n".join(_masks(table, indexed) for table in tables)),
        ("The last epoch", EPOCHS, "\n".join(_epochs(table) for table in tables)),
    ]
    return "\n".join(
        f"### {title}\n\n{text}\n\n{body.strip() or 'There are no runs yet that tell.'}\n"
        for title, text, body in sections
    )


def swaps(before: Sequence[float], after: Sequence[float]) -> tuple[int, int]:
    """Count the pairs of rows whose order differs between two columns; and all pairs.

    Args:
        before: A number of each row.
        after: Another of each.

    Returns:
        The number of pairs whose order differs, and that of all pairs.

    >>> swaps([1, 2, 3], [1, 3, 2])
    (1, 3)
    """
    pairs = list(combinations(range(len(before)), 2))
    changed = [(before[i] - before[j]) * (after[i] - after[j]) < 0 for i, j in pairs]
    return sum(changed), len(pairs)


def _seeds(verdicts: Sequence[Verdict]) -> str:
    """Return the table of seed noise, and how many printed differences it could make."""
    table, by_chance = [], []
    for verdict in verdicts:
        claim, evidence = verdict.claim, verdict.evidence
        if evidence is None or evidence.comparison.n < FEWEST_SEEDS:
            continue
        # Equality, and differences whose size the paper doesn't print, need no number of seeds.
        if claim.paper is None or claim.within is not None:
            continue
        first, second = _spreads(evidence)
        paired = 100 * evidence.comparison.sd
        by_chance.append((abs(claim.paper), float(np.hypot(first, second)) / PAPER_RUNS**0.5))
        table.append(
            [
                claim.says,
                f"{count(evidence.comparison.n, 'seed')}, {evidence.budget}",
                number(claim.paper, signed=True),
                number(by_chance[-1][1]),
                f"{number(first)}, {number(second)}",
                number(paired),
                str(seeds_needed(claim.paper, paired)),
            ]
        )
    if not table:
        return ""
    head = ["Claim", "Rests on", "Paper", "By chance", "Sd of each", "Sd of paired differences"]
    small = sum(printed < 2 * chance for printed, chance in by_chance)
    said = "No printed difference is so small that seeds alone could well make or hide it."
    if small:
        which, them = f"{small} of these {len(table)} printed differences", "them"
        if len(table) == 1:
            which, them = "This printed difference", "it"
        said = (
            f"{which} {'is' if small == 1 else 'are'} less than twice what chance gives, so that "
            f"seeds alone could make or hide {'it' if small == 1 else them}."
        )
    return f"{markdown([*head, 'Seeds needed'], table, words=2)}\n{said}\n"


def _spreads(evidence: Evidence) -> tuple[float, float]:
    """Return the standard deviations of both sides over the paired seeds, in points."""
    seeds = evidence.comparison.seeds
    first, second = (
        100 * float(np.std([run.iou for run in side if run.seed in seeds], ddof=1))
        for side in evidence.sides[0]
    )
    return first, second


def _masks(reached: Reached, indexed: Index) -> str:
    """Return the table of a recipe's IoU by both kinds of test masks, and a sentence on it."""
    rows, own, other, table = [], [], [], []
    for row in reached.recipe.rows:
        runs = [run for run in reached.found.get(row.name, []) if run.other_masks]
        if not runs:
            continue
        rows.append(row)
        own.append(_mean(run.iou for run in runs))
        other.append(_mean(run.other_masks["iou"] for run in runs if run.other_masks))
        stricter = runs_of(indexed, row.experiment.at(area_threshold=0.5))
        table.append(
            [
                row.label,
                parameters(row),
                str(len(runs)),
                number(own[-1]),
                number(other[-1]),
                number(other[-1] - own[-1], signed=True),
                number(_mean(run.iou for run in stricter)) if stricter else NONE,
            ]
        )
    if not table:
        return ""
    head = ["Loss", "Parameters", "Runs", "IoU", "IoU, masks at 1/2", "Shift"]
    head.append("IoU, trained too at 1/2")
    if all(line[-1] == NONE for line in table):
        head, table = head[:-1], [line[:-1] for line in table]
    said = (
        f"With masks at 1/2 the IoU moves by {_range(own, other)} points; {_order(own, other)}"
        f"{_distances(rows, own, other)}."
    )
    return f"{_title(reached)}\n\n{markdown(head, table, words=2)}\n{said}\n"


def _distances(rows: list[Row], own: list[float], other: list[float]) -> str:
    """Say how far both columns lie from what the paper prints, on average over its rows."""
    known = [position for position, row in enumerate(rows) if row.published]
    # The metrics of synthetic panels don't compare with those of the paper's private set.
    if not known or rows[0].experiment.data.panels is not None:
        return ""
    printed = np.mean([row.published.iou for row in rows if row.published])
    ours, theirs = (
        number(float(np.mean([column[position] for position in known]) - printed), signed=True)
        for column in (own, other)
    )
    return f"; the rows lie {ours} points from the paper's on average, with masks at 1/2 {theirs}"


def _epochs(reached: Reached) -> str:
    """Return the table of a recipe's IoU at the last, late and best epochs, and a sentence."""
    table, lasts, bests, lates = [], [], [], []
    for row in reached.recipe.rows:
        curves = [curve for run in reached.found.get(row.name, []) if len(curve := _curve(run)) > 1]
        if not curves:
            continue
        last = _mean(curve[-1] for curve in curves)
        late = _mean(float(np.mean(curve[-5:])) for curve in curves)
        best = _mean(max(curve) for curve in curves)
        lasts.append(last)
        lates.append(late)
        bests.append(best)
        table.append(
            [row.label, parameters(row), str(len(curves)), *map(number, (last, late, best))]
        )
    if not table:
        return ""
    head = ["Loss", "Parameters", "Runs", "IoU, last epoch", "Mean of last five recorded", "Best"]
    said = (
        f"The best recorded epoch would add {_range(lasts, bests)} points; "
        f"{_order(lasts, bests)}; the mean of the last five recorded epochs lies "
        f"{_range(lasts, lates)} points from the last."
    )
    return f"{_title(reached)}\n\n{markdown(head, table, words=2)}\n{said}\n"


def _curve(run: RunResult) -> list[float]:
    """Return the test IoU of the recorded epochs, the last epoch's last."""
    values = [value for _, value in run.test_curve]
    ended = bool(run.test_curve) and run.test_curve[-1][0] == run.config["epochs"]
    return values if ended else [*values, run.iou]


def _title(reached: Reached) -> str:
    """Return data set and budget of a table, as its heading."""
    return f"**{reached.recipe.rows[0].experiment.data.title}**, {describe_reached(reached)}"


def _mean(values: Iterable[float]) -> float:
    """Average fractions, in percent."""
    return 100 * float(np.mean(list(values)))


def _range(before: Sequence[float], after: Sequence[float]) -> str:
    """Say by how much the values change, from the lowest to the highest."""
    change = np.subtract(after, before)
    low, high = (number(float(one), signed=True) for one in (change.min(), change.max()))
    return low if low == high else f"{low} to {high}"


def _order(before: Sequence[float], after: Sequence[float]) -> str:
    """Say how many pairs of rows change their order from one column to the other."""
    changed, pairs = swaps(before, after)
    if not pairs:
        return "there is one row only, so that no order can change"
    if not changed:
        return "no two rows change their order"
    of_pairs = "the two rows change" if pairs == 1 else f"{changed} of {pairs} pairs of rows change"
    return f"{of_pairs} their order"
