"""The verdicts on the paper's claims by the runs of one budget, by a rule fixed beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from fissura.paper.budgets import describe
from fissura.paper.claims import CLAIMS, EQUAL_WITHIN, Claim, Contrast
from fissura.study.options import Budget
from fissura.study.outputs.markdown import count, number, written_interval, written_p
from fissura.study.recipe import at_budget
from fissura.study.results import Index, RunResult, index, runs_of
from fissura.study.statistics import Comparison, Pair, compare, compare_differences, holm

ALPHA = 0.05

Outcome = Literal["supported", "contradicted", "undecided", "not run yet"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

RULE = (
    "A claimed difference is *supported* where its 95 % interval lies above 0 and the test's p is "
    f"at most {ALPHA} after Holm's correction over all claimed differences that have runs at the "
    "budget; *contradicted* where the interval lies below 0 with such a p; else *undecided*. The "
    "claim that two losses are equal is supported where the interval lies within "
    f"±{EQUAL_WITHIN} points of IoU, contradicted where it lies wholly outside, else undecided. A "
    "verdict is about the direction, not about the size that the paper prints."
)


@dataclass(frozen=True)
class Evidence:
    """The runs that tell about a claim.

    Attributes:
        contrast: The experiments compared, at the budget.
        sides: Their runs, a pair of lists or two.
        comparison: Their difference over paired seeds, as a fraction of 1.
    """

    contrast: Contrast
    sides: tuple[Pair, ...]
    comparison: Comparison

    @property
    def budget(self) -> str:
        """The budget in words, such as "100 epochs, width 16"."""
        return describe(one for pair in self.contrast.pairs for one in pair)

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the runs."""
        return frozenset(run.key for pair in self.sides for side in pair for run in side)


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim by the runs of one budget.

    Attributes:
        claim: The claim.
        outcome: The verdict.
        sentence: The verdict with its numbers, budget and reasons.
        evidence: The runs behind it; None where there are none.
        p: After Holm's correction; None for a claim of equality, or without runs.
    """

    claim: Claim
    outcome: Outcome
    sentence: str
    evidence: Evidence | None = None
    p: float | None = None


def judge(results: Mapping[str, RunResult], budget: Budget) -> list[Verdict]:
    """Judge every claim by the runs at a budget; all claimed differences are corrected together.

    Args:
        results: By key, as `read_results` gives them.
        budget: Epochs, width and so on; runs at other budgets are left out.

    Returns:
        A verdict on each of `CLAIMS`, in their order.

    Raises:
        InputError: Two runs to compare were not tested on the same images.
    """
    indexed = index(results.values())
    found = [(claim, gather(claim, budget, indexed)) for claim in CLAIMS]
    adjusted = iter(
        holm([one.comparison.p for claim, one in found if one and claim.within is None])
    )
    return [
        _verdict(claim, one, next(adjusted) if one and claim.within is None else None)
        for claim, one in found
    ]


def gather(claim: Claim, budget: Budget, indexed: Index) -> Evidence | None:
    """Compare the first of a claim's contrasts of which some seed has all runs.

    Args:
        claim: The claim.
        budget: Epochs, width and so on.
        indexed: All results.

    Returns:
        The comparison with its runs; None where no contrast has any.

    Raises:
        InputError: Two runs to compare were not tested on the same images.
    """
    for contrast in claim.contrasts:
        pairs = tuple((at_budget(a, budget), at_budget(b, budget)) for a, b in contrast.pairs)
        sides = tuple((runs_of(indexed, a), runs_of(indexed, b)) for a, b in pairs)
        comparison = compare(*sides[0]) if len(sides) == 1 else compare_differences(*sides)
        if comparison is not None:
            return Evidence(Contrast(contrast.text, pairs), sides, comparison)
    return None


def decide(comparison: Comparison, p: float | None, within: float | None = None) -> Outcome:
    """Apply `RULE` to a difference with its p after Holm's correction, or (`within`) to equality.

    Args:
        comparison: The difference.
        p: After Holm's correction.
        within: Points of IoU up to which two losses count as equal; then p does not matter.
    """
    low, high = 100 * comparison.low, 100 * comparison.high
    if within is not None:
        if -within <= low and high <= within:
            return "supported"
        return "contradicted" if low > within or high < -within else "undecided"
    if p is not None and p <= ALPHA:
        if low > 0:
            return "supported"
        if high < 0:
            return "contradicted"
    return "undecided"


def _verdict(claim: Claim, evidence: Evidence | None, p: float | None) -> Verdict:
    """Return the verdict by the evidence, with its sentence."""
    if evidence is None:
        return Verdict(claim, "not run yet", f"Not run yet at this budget: {claim.says}")
    outcome = decide(evidence.comparison, p, claim.within)
    return Verdict(claim, outcome, _sentence(claim, evidence, p, outcome), evidence, p)


def _sentence(claim: Claim, evidence: Evidence, p: float | None, outcome: Outcome) -> str:
    """Say a verdict in a sentence: numbers, budget, what the paper says, why it is undecided."""
    comparison = evidence.comparison
    difference = 100 * comparison.mean
    size = number(abs(difference))
    by = f"{size} points {'above' if difference > 0 else 'below'}"
    if size == "0.00":
        by = "level with"
    sample = f"{count(comparison.n, 'seed')}, {evidence.budget}"
    begin = (
        f"{outcome.capitalize()} at this budget ({sample}): "
        f"{evidence.contrast.text.format(by=by)}{_chance(comparison, p)}"
    )
    paper = "" if claim.paper is None else number(claim.paper, signed=True) + claim.paper_on
    if outcome != "undecided":
        return f"{begin}; the paper {f'says {paper}' if paper else 'gives no number'}."
    if claim.within is None:
        way = "the paper's way" if difference > 0 else "against the paper"
        way = "neither way" if size == "0.00" else way
        begin += f", which points {way}" + (f" ({paper})" if paper else "")
    else:
        begin += f", where the paper says {paper}"
    return f"{begin}, but {_reasons(claim, comparison, p)}."


def _chance(comparison: Comparison, p: float | None) -> str:
    """Return interval and p in brackets, or nothing where there is no interval."""
    if math.isnan(comparison.low):
        return ""
    tested = "" if p is None else f"; {written_p(p)} after Holm's correction"
    return f" (95 % interval {written_interval(comparison)}{tested})"


def _reasons(claim: Claim, comparison: Comparison, p: float | None) -> str:
    """Say why a verdict is undecided."""
    if comparison.n == 1:
        return "one seed gives neither an interval nor a test"
    reasons = []
    if math.isnan(comparison.low):
        reasons.append("one photo gives no interval")
    elif claim.within is not None:
        reasons.append(f"the interval reaches beyond ±{claim.within} points")
    elif comparison.low <= 0 <= comparison.high:
        reasons.append("the interval holds 0")
    if p is not None and comparison.smallest_p > ALPHA:
        lowest = f"{comparison.smallest_p:.2g}"
        reasons.append(f"with {comparison.n} seeds the test cannot give a p below {lowest}")
    elif p is not None and p > ALPHA:
        reasons.append(f"p is above {ALPHA}")
    return " and ".join(reasons)
