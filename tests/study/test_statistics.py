from __future__ import annotations

from itertools import product
from math import comb, isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t, ttest_1samp

from fissura.errors import InputError
from fissura.paper.data import CRACK500, DEEPCRACK
from fissura.study.experiment import experiment
from fissura.study.statistics import (
    compare,
    compare_differences,
    could_show,
    holm,
    seeds_needed,
    signed_rank,
    smallest_p,
)

A = experiment(DEEPCRACK, loss="hybrid-focal-margin", margin=0.5)
B = experiment(DEEPCRACK, loss="hybrid-focal")
C = experiment(CRACK500, loss="hybrid-focal-margin", margin=0.5)
D = experiment(CRACK500, loss="hybrid-focal")

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def pooled(run, images):
    """IoU of some images of a run, an image as often as it is named."""
    tp = fp = fn = 0
    for image in images:
        a, b, c = run.counts[image]
        tp, fp, fn = tp + a, fp + b, fn + c
    return tp / (tp + fp + fn)


def images_of(run, photos):
    return [image for photo in photos for image, group in enumerate(run.groups) if group == photo]


def all_resamples(a, b):
    """Every draw of seeds and photos, each as likely as the others, with the stretch of t."""
    n, photos = len(a), sorted(set(a[0].groups))
    everything = range(len(a[0].groups))
    whole = [pooled(x, everything) - pooled(y, everything) for x, y in zip(a, b, strict=True)]

    def stretch(size):
        return t.ppf(0.975, size - 1) / norm.ppf(0.975)

    means = []
    for drawn in product(photos, repeat=len(photos)):
        images = images_of(a[0], drawn)
        each = [pooled(x, images) - pooled(y, images) for x, y in zip(a, b, strict=True)]
        even = sum(each) / n
        for seeds in product(range(n), repeat=n):
            of_seeds = sum(each[seed] for seed in seeds) / n - even
            of_photos = even - sum(whole) / n
            means.append(sum(whole) / n + stretch(len(photos)) * of_photos + stretch(n) * of_seeds)
    return np.array(means)


def test_difference_is_paired_by_seed_and_others_are_left_out(with_ious):
    a = with_ious(A, [0.71, 0.74, 0.70], first_seed=1)
    b = with_ious(B, [0.50, 0.70, 0.71, 0.72])
    found = compare(a[::-1], b)
    assert found is not None
    assert found.seeds == (1, 2, 3)
    expected = [x.iou - y.iou for x, y in zip(a, b[1:], strict=True)]
    assert found.differences == pytest.approx(expected, abs=1e-12)
    assert found.mean == pytest.approx(np.mean(expected), abs=1e-12)
    assert found.sd == pytest.approx(np.std(expected, ddof=1), abs=1e-12)
    assert found.n == 3


def test_swapping_the_sides_mirrors_everything(with_ious):
    a, b = with_ious(A, [0.71, 0.74, 0.70]), with_ious(B, [0.70, 0.71, 0.72])
    one, other = compare(a, b), compare(b, a)
    assert one is not None
    assert other is not None
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
    assert one.p == other.p


def test_interval_is_that_of_all_resamples(with_ious):
    size = {"images": 6, "photos": 3}
    a, b = with_ious(A, [0.74, 0.70, 0.79], **size), with_ious(B, [0.70, 0.71, 0.69], **size)
    assert len(set(a[0].groups)) == 3
    reference = all_resamples(a, b)
    found = compare(a, b, resamples=200_000)
    assert found is not None
    # 729 equally likely values; 200,000 draws hit the quantile to within a few of them.
    low = np.quantile(reference, [0.021, 0.029])
    high = np.quantile(reference, [0.971, 0.979])
    assert low[0] <= found.low <= low[1]
    assert high[0] <= found.high <= high[1]


def test_interval_holds_the_truth_as_often_as_it_says(make_run):
    """Simulated: differences vary by seed, by photo, and by both."""
    generator = np.random.default_rng(0)
    truth, seeds, images, held, trials = 0.02, 5, 30, 0, 200
    runs = {one: [make_run(one, seed, images=images) for seed in range(seeds)] for one in (A, B)}
    for _ in range(trials):
        of_seed = generator.normal(0, 0.02, (seeds, 1))
        of_photo = generator.normal(0, 0.02, (1, images))
        of_both = generator.normal(0, 0.03, (seeds, images))
        gain = np.round(1000 * (truth + of_seed + of_photo + of_both)).astype(int)
        for one, better in ((A, gain), (B, 0 * gain)):
            for seed, run in enumerate(runs[one]):
                tp = 600 + better[seed]
                run.counts[:] = np.stack((tp, 1000 - tp, 0 * tp), axis=1).tolist()
                run.groups[:] = list(range(images))
        found = compare(runs[A], runs[B], resamples=400)
        assert found is not None
        held += found.low <= truth <= found.high
    # Three standard errors below 0.95, and not so wide as to be always right.
    assert 0.95 - 3 * sqrt(0.95 * 0.05 / trials) <= held / trials < 1


def test_photos_stay_together(make_run):
    """Copies of each image, in its photo's group, tell nothing new."""
    generator = np.random.default_rng(3)
    single, copied = [], []
    for one in (A, B):
        for seed in range(4):
            run = make_run(one, seed, images=8)
            run.groups[:] = list(range(8))
            tp = generator.integers(300, 600, 8)
            run.counts[:] = np.stack((tp, 700 - tp, 0 * tp), axis=1).tolist()
            single.append(run)
            twin = make_run(one, seed, images=24)
            twin.groups[:] = 3 * list(range(8))
            twin.counts[:] = 3 * run.counts
            copied.append(twin)
    once, thrice = compare(single[:4], single[4:]), compare(copied[:4], copied[4:])
    assert once is not None
    assert thrice is not None
    assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high), abs=1e-12)


def test_one_seed_has_no_interval(with_ious):
    found = compare(with_ious(A, [0.7]), with_ious(B, [0.6]))
    assert found is not None
    assert isnan(found.low)
    assert isnan(found.high)
    assert isnan(found.sd)
    assert found.p == found.smallest_p == 1


def test_one_photo_has_no_interval(with_ious):
    a, b = (with_ious(one, [0.7, 0.6, 0.5], photos=1) for one in (A, B))
    found = compare(a, b)
    assert found is not None
    assert isnan(found.low)
    assert not isnan(found.sd)


def test_nothing_to_compare(with_ious):
    assert compare([], with_ious(B, [0.6])) is None
    assert compare(with_ious(A, [0.7], first_seed=1), with_ious(B, [0.6])) is None
    pair = with_ious(A, [0.7]), with_ious(B, [0.6])
    assert compare_differences(pair, (with_ious(C, [0.7]), [])) is None


def test_images_without_crack_in_a_draw_are_no_division_by_zero(make_run):
    runs = []
    for one in (A, B):
        for seed in range(3):
            run = make_run(one, seed, images=3)
            run.groups[:] = [0, 1, 2]
            run.counts[:] = [[0, 0, 0], [0, 0, 0], [10 + seed, 5, 3]]
            runs.append(run)
    found = compare(runs[:3], runs[3:])
    assert found is not None
    assert found.mean == 0
    assert (found.p, found.test) == (1.0, "sign")


def test_different_images_are_refused_with_both_names(with_ious, make_run):
    a = with_ious(A, [0.7, 0.7])
    b = [make_run(B, 0), make_run(B, 1, test={"fingerprint": "another"})]
    with pytest.raises(InputError, match="same images") as caught:
        compare(a, b)
    assert b[1].key in str(caught.value)
    assert a[0].key in str(caught.value)


def test_difference_of_differences(with_ious):
    a, b = with_ious(A, [0.75, 0.74, 0.70, 0.72]), with_ious(B, [0.70, 0.71, 0.69, 0.70])
    c, d = with_ious(C, [0.60, 0.61, 0.62], 1), with_ious(D, [0.59, 0.60, 0.60], 1)
    found = compare_differences((a, b), (c, d))
    assert found is not None
    assert found.seeds == (1, 2, 3)
    expected = [
        (a[seed].iou - b[seed].iou) - (c[seed - 1].iou - d[seed - 1].iou) for seed in (1, 2, 3)
    ]
    assert found.differences == pytest.approx(expected, abs=1e-12)
    assert found.low < found.mean < found.high


def test_photos_of_two_data_sets_are_drawn_independently(with_ious):
    """The same numbers on both data sets: with common draws, nothing would be left to vary."""
    a, b = with_ious(A, [0.75, 0.74, 0.70]), with_ious(B, [0.70, 0.71, 0.69])
    found, alone = compare_differences((a, b), (a, b)), compare(a, b)
    assert found is not None
    assert alone is not None
    assert found.mean == 0
    assert found.high - found.low > 0.1 * (alone.high - alone.low)


def test_seeds_of_two_data_sets_are_drawn_together(make_run):
    """Seeds that gain alike on both data sets, on photos that are all alike: nothing varies."""

    def runs(one, tp_by_seed):
        found = [make_run(one, seed) for seed in range(len(tp_by_seed))]
        for run, tp in zip(found, tp_by_seed, strict=True):
            run.counts[:] = [[tp, 1000 - tp, 0]] * len(run.counts)
        return found

    first = runs(A, [700, 750, 800]), runs(B, [700, 700, 700])
    second = runs(C, [600, 650, 700]), runs(D, [600, 600, 600])
    found, alone = compare_differences(first, second), compare(*first)
    assert found is not None
    assert alone is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert alone.high - alone.low > 0.05


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=9, unique=True),
    st.lists(st.booleans(), min_size=9, max_size=9),
)
def test_wilcoxon_is_that_of_all_signs(sizes, above):
    differences = [
        size / 1000 if up else -size / 1000 for size, up in zip(sizes, above, strict=False)
    ]
    ranks = np.argsort(np.argsort(sizes)) + 1
    middle = ranks.sum() / 2
    observed = abs(sum(r for r, d in zip(ranks, differences, strict=True) if d > 0) - middle)
    extreme = [
        abs(sum(r for r, up in zip(ranks, signs, strict=True) if up) - middle) >= observed
        for signs in product((False, True), repeat=len(sizes))
    ]
    p, test = signed_rank(differences)
    assert test == "Wilcoxon"
    assert p == pytest.approx(np.mean(extreme))
    assert p >= smallest_p(len(sizes))


@given(st.lists(st.sampled_from([-0.1, 0.0, 0.1]), min_size=2, max_size=9))
def test_ties_and_zeros_are_left_to_the_sign_test(differences):
    p, test = signed_rank(differences)
    nonzero = [one for one in differences if one]
    n, above = len(nonzero), sum(one > 0 for one in nonzero)
    tail = sum(comb(n, k) for k in range(min(above, n - above) + 1)) / 2**n
    assert test == "sign"
    assert p == pytest.approx(min(1.0, 2 * tail))


def test_nearly_equal_differences_are_ties():
    assert signed_rank([0.3 - 0.2, 0.2 - 0.1, 0.25])[1] == "sign"


@pytest.mark.parametrize("n", range(1, 12))
def test_smallest_p_is_reached_where_all_point_one_way(n):
    assert signed_rank([0.1 * (k + 1) for k in range(n)])[0] == pytest.approx(smallest_p(n))


@given(p_lists, st.floats(0, 1))
def test_holm_rejects_step_by_step(p_values, alpha):
    rejected = [False] * len(p_values)
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        if (len(p_values) - rank) * p_values[index] > alpha:
            break
        rejected[index] = True
    # Where alpha is 1 everything is rejected; the adjusted values stop at 1.
    assert [p <= alpha for p in holm(p_values)] == (
        rejected if alpha < 1 else [True] * len(p_values)
    )


@given(p_lists, st.randoms())
def test_holm_keeps_order_and_bounds(p_values, random):
    adjusted = holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, adjusted, strict=True))
    in_order = [adjusted[index] for index in np.argsort(p_values, kind="stable")]
    assert in_order == sorted(in_order)
    shuffled = list(range(len(p_values)))
    random.shuffle(shuffled)
    assert holm([p_values[index] for index in shuffled]) == [adjusted[index] for index in shuffled]


def test_holm_of_none():
    assert holm([]) == []


# Sample sizes of the paired t test, two-sided 0.05, power 0.8, as G*Power gives them.
@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_needed(effect, n):
    assert seeds_needed(effect, 1.0) == seeds_needed(-2 * effect, 2.0) == n


def test_seeds_needed_at_its_ends():
    assert seeds_needed(10.0, 1.0) == seeds_needed(1.0, 0.0) == 6
    with pytest.raises(ValueError, match="no number"):
        seeds_needed(0.0, 1.0)


def test_a_difference_that_could_be_shown_is_shown_so_often():
    n, sd = 6, 0.7
    difference = could_show(n, sd)
    drawn = np.random.default_rng(0).normal(difference, sd, (4000, n))
    shown = ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05
    assert shown.mean() == pytest.approx(0.8, abs=0.03)
    assert np.isnan(could_show(1, sd))
    assert could_show(n, 0.0) == 0
