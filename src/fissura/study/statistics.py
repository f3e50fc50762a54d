"""Paired comparison of runs: bootstrap intervals, exact tests, Holm's correction, seeds needed.

Runs of the same seed are a pair: they have the same initial weights, batches and augmentation, and
differ by the loss and by noise. The interval covers both kinds of chance that a mean of a few runs
hides: other seeds, and other photos of the same kind. The test is about the seeds alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fissura.errors import InputError
from fissura.study.results import RunResult

LEVEL = 0.95
# Two lists of results whose difference is in question; the first minus the second.
Pair = tuple[Sequence[RunResult], Sequence[RunResult]]


@dataclass(frozen=True)
class Comparison:
    """A difference of pooled IoU over paired seeds; all differences are fractions of 1.

    Attributes:
        seeds: The seeds that all sides have.
        differences: One per seed.
        mean: Of the differences.
        sd: Standard deviation of the differences, with n − 1 below; NaN with one seed.
        low: Lower end of the 95 % interval of the mean; NaN with one seed, or one photo.
        high: Its upper end.
        p: Two-sided, of the test named in `test`.
        test: "Wilcoxon" (signed rank, exact) or "sign".
    """

    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float
    p: float
    test: str

    @property
    def n(self) -> int:
        """Number of paired seeds."""
        return len(self.seeds)

    @property
    def smallest_p(self) -> float:
        """The smallest p that the test can give with so many seeds."""
        return smallest_p(self.n)


def compare(
    a: Sequence[RunResult], b: Sequence[RunResult], *, resamples: int = 2000, seed: int = 0
) -> Comparison | None:
    """Compare a − b in pooled IoU at threshold 0.5, paired by seed.

    Two-level bootstrap: seeds are drawn with replacement, and the photos of the test set with all
    their images, the same draws for both sides and (photos) for all seeds; each seed's IoU is
    computed anew from the summed counts, and the differences are averaged over the drawn seeds.
    The interval's ends are percentiles. n values drawn from themselves vary less than n new ones
    would. So the variation by the draw of seeds is stretched by t/z, the 97.5 % quantiles of
    Student's t with n − 1 degrees of freedom and of the normal distribution, and the variation by
    the draw of G photos by the same with G − 1 (after Hesterberg, What Teachers Should Know About
    the Bootstrap, The American Statistician 2015, section 5.3, where one level is stretched).

    Args:
        a: Runs of one experiment.
        b: Runs of the other.
        resamples: Number of draws of the bootstrap.
        seed: Of the draws; the same seed gives the same interval.

    Returns:
        The comparison; None where no seed has runs on both sides.

    Raises:
        InputError: The sides were not tested on the same images.
    """
    return _contrast([(a, b)], resamples, seed)


def compare_differences(
    first: Pair, second: Pair, *, resamples: int = 2000, seed: int = 0
) -> Comparison | None:
    """Compare (a₁ − b₁) − (a₂ − b₂), paired by seed: is a difference larger here than there?

    The two pairs are of two data sets; the photos of each are drawn independently, the seeds
    together. Everything else is as in `compare`.

    Args:
        first: Runs a₁ and b₁ on one data set.
        second: Runs a₂ and b₂ on the other.
        resamples: Number of draws of the bootstrap.
        seed: Of the draws.

    Returns:
        The comparison; None where no seed has all four runs.

    Raises:
        InputError: The two sides of a pair were not tested on the same images.
    """
    return _contrast([first, second], resamples, seed)


def signed_rank(differences: Sequence[float]) -> tuple[float, str]:
    """Test whether differences scatter evenly around 0.

    Wilcoxon's signed-rank test; where differences are 0 or two have one size, so that its exact
    distribution does not hold, the sign test on those that are not 0. Source: Wilcoxon, Individual
    Comparisons by Ranking Methods, Biometrics Bulletin 1945.

    Args:
        differences: One per pair.

    Returns:
        The exact two-sided p, and the name of the test: "Wilcoxon" or "sign".

    >>> signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    (0.03125, 'Wilcoxon')
    >>> signed_rank([0.1, 0.1, 0.0])
    (0.5, 'sign')
    """
    # Rounded, lest the last bits tell apart what is equal.
    rounded = np.round(np.array(differences, np.float64), 12)
    nonzero = rounded[rounded != 0]
    if len(np.unique(np.abs(rounded))) == len(nonzero) == len(rounded):
        result: Any = stats.wilcoxon(rounded, alternative="two-sided", method="exact")
        return float(result.pvalue), "Wilcoxon"
    if not len(nonzero):
        return 1.0, "sign"
    above = int(np.count_nonzero(nonzero > 0))
    return float(stats.binomtest(above, len(nonzero)).pvalue), "sign"


def smallest_p(n: int) -> float:
    """Return the smallest p that a two-sided test of n signs or signed ranks can give: 2/2ⁿ.

    Args:
        n: Number of pairs.

    >>> smallest_p(3), smallest_p(6)
    (0.25, 0.03125)
    """
    return min(1.0, 2.0 ** (1 - n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values of tests judged together, so that any false alarm is as rare as of one test.

    The i-th smallest of m becomes the largest of (m − j + 1)·p over the j ≤ i smallest, at most 1.
    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 1979.

    Args:
        p_values: One per test, 0 to 1.

    Returns:
        The adjusted values, in the same order.

    >>> holm([0.5, 0.25, 0.125])
    [0.5, 0.5, 0.375]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, largest)
    return adjusted


def seeds_needed(difference: float, sd: float, *, power: float = 0.8) -> int:
    """Return how many paired seeds show a true difference at p ≤ 0.05 with this probability.

    By the paired t test, and never below 6, the fewest with which a test of ranks can give
    p ≤ 0.05.

    Args:
        difference: The true difference.
        sd: Standard deviation of the paired differences, in the same unit.
        power: The probability, 0 to 1.

    Raises:
        ValueError: The difference is 0, or the standard deviation negative.

    >>> seeds_needed(0.5, 1.0)
    34
    """
    if not (difference and sd >= 0):
        raise ValueError(f"There is no number of seeds for {difference} with the sd {sd}.")
    if sd == 0:
        return 6
    effect = abs(difference) / sd
    # The normal approximation is never above the exact number, and near it.
    n = max(6, math.floor(((stats.norm.ppf(0.975) + stats.norm.ppf(power)) / effect) ** 2))
    while _power(n, effect) < power:
        n += 1
    return n


def could_show(n: int, sd: float, *, power: float = 0.8) -> float:
    """Return the smallest true difference that n paired seeds show at p ≤ 0.05 so often.

    By the paired t test: the other way round from `seeds_needed`.

    Args:
        n: Number of paired seeds.
        sd: Standard deviation of the paired differences.
        power: Fraction of studies that shall show it, 0 to 1.

    Returns:
        The difference, in the unit of `sd`; NaN for fewer than two seeds.

    >>> [round(could_show(n, 1.0), 1) for n in (3, 5, 34)]
    [3.3, 1.7, 0.5]
    """
    if n < 2 or math.isnan(sd):
        return math.nan
    low, high = 0.0, 1.0
    while _power(n, high) < power:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(n, middle) < power else (low, middle)
    return high * sd


def _power(n: int, effect: float) -> float:
    """Return the power of the paired t test with n pairs; effect is the difference by its sd."""
    bound = stats.t.ppf(0.975, n - 1)
    shifted = stats.nct(n - 1, effect * math.sqrt(n))
    # The lower tail is nothing, and NaN in SciPy, where the upper one is nearly 1.
    return float(shifted.sf(bound) + np.nan_to_num(shifted.cdf(-bound)))


def _contrast(pairs: Sequence[Pair], resamples: int, seed: int) -> Comparison | None:
    """Compare the first pair's difference, less the second's where there is one."""
    sides = [[{run.seed: run for run in side} for side in pair] for pair in pairs]
    seeds = sorted(set.intersection(*(set(side) for pair in sides for side in pair)))
    if not seeds:
        return None
    n = len(seeds)
    generator = np.random.default_rng(seed)
    drawn_seeds = generator.multinomial(n, np.full(n, 1 / n), resamples) / n
    differences, moved_by_photos = np.zeros(n), np.zeros(resamples)
    under_draws = np.zeros((resamples, n))
    for sign, (a, b) in zip((1, -1), sides, strict=False):
        sums = _photo_sums([[side[number] for number in seeds] for side in (a, b)])
        photos = sums.shape[-2]
        found = np.subtract(*_iou(sums.sum(axis=-2)))
        drawn_photos = generator.multinomial(photos, np.full(photos, 1 / photos), resamples)
        drawn = np.tensordot(drawn_photos.astype(np.float64), sums, axes=(1, 2))
        redrawn = np.subtract(*np.moveaxis(_iou(drawn), 1, 0))
        differences += sign * found
        moved_by_photos += sign * _stretch(photos) * (redrawn.mean(axis=1) - found.mean())
        under_draws += sign * redrawn
    moved_by_seeds = _stretch(n) * ((drawn_seeds - 1 / n) * under_draws).sum(axis=1)
    means = differences.mean() + moved_by_photos + moved_by_seeds
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    p, test = signed_rank(differences.tolist())
    return Comparison(
        seeds=tuple(seeds),
        differences=tuple(differences.tolist()),
        mean=float(differences.mean()),
        sd=float(differences.std(ddof=1)) if n > 1 else math.nan,
        low=float(low),
        high=float(high),
        p=p,
        test=test,
    )


def _photo_sums(sides: list[list[RunResult]]) -> NDArray[np.float64]:
    """Sum the counts of each photo's images: (sides, seeds, photos, 2), intersection and union."""
    first = sides[0][0]
    _, photo = np.unique(np.array(first.groups), return_inverse=True)
    sums = np.zeros((len(sides), len(sides[0]), photo.max() + 1, 2))
    for side, runs in enumerate(sides):
        for position, run in enumerate(runs):
            _demand_same_images(first, run)
            counts = run.counts_array()
            table = np.stack((counts[:, 0], counts.sum(axis=1)), axis=1)
            np.add.at(sums[side, position], photo, table)
    return sums


def _demand_same_images(a: RunResult, b: RunResult) -> None:
    """Raise InputError unless two runs were tested on the same images of the same photos."""
    if (a.test["fingerprint"], a.groups) != (b.test["fingerprint"], b.groups):
        raise InputError(
            f"{a.key} and {b.key} were not tested on the same images, so that they cannot be "
            "compared. Remove the result that was made with the wrong data, and train it anew."
        )


def _iou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return IoU from (..., 2), intersection and union; 1 where neither mask has a crack."""
    return np.divide(
        sums[..., 0], sums[..., 1], out=np.ones(sums.shape[:-1]), where=sums[..., 1] > 0
    )


def _stretch(n: int) -> float:
    """Return t/z, by which n values drawn from themselves vary too little; NaN for one value."""
    if n < 2:
        return math.nan
    return float(stats.t.ppf((1 + LEVEL) / 2, n - 1) / stats.norm.ppf((1 + LEVEL) / 2))
