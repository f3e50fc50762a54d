"""Changes: cracks of two registered photos matched, and what has become of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from fissura.comparison.centerlines import Centerlines, centerlines
from fissura.comparison.options import CompareOptions
from fissura.comparison.registration import Registration
from fissura.measurement.crack import Crack

VERDICTS = {
    "new": "on the new photo only",
    "grown": "longer or wider by more than the uncertainty",
    "unchanged": "no longer, shorter, wider or narrower by more than the uncertainty",
    "reduced": "shorter or narrower by more than the uncertainty",
    "closed": "on the old photo only",
    "unclear": "on one photo only, and too short to be told from noise",
    "not compared": "where only one of the photos looks",
}
NEAR, WIDTH_FRACTION = 3.0, 0.5  # pixels, and fraction of its width, that two lines may be apart
SURELY = 1.5  # pixels: a line that leaves another one has left it here
LINKED, LINKED_FRACTION = 8.0, 0.3  # pixels that cracks share, or fraction of the shorter one
PIECE = 8.0  # pixels: no crack has grown by shorter pieces alone
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What has become of a crack, or of several that have met or parted.

    Lengths and widths are in pixels of the old photo (of the mean one where its surface is
    slanted), what both photos show alone counts; points are rows and columns of the old photo. NaN
    where something was not measured.

    Attributes:
        number: From 1, on its pair of photos.
        verdict: A key of `VERDICTS`.
        old: Numbers of its cracks in the old inspection.
        new: Numbers of its cracks in the new inspection.
        old_length: Length on the old photo.
        new_length: Length on the new photo.
        length: Growth: the length of the pieces that have come, less that of those that are gone.
        length_error: Its uncertainty, one standard deviation, with that of the registration.
        old_width: Mean width on the old photo, where both have one.
        new_width: Mean width on the new photo, at the same points.
        width: Growth of the mean width.
        width_error: Its uncertainty, one standard deviation, with that of the registration.
        box: Top, left, bottom, right.
        lines: Centerlines by what they are: "both", "come", "gone".
    """

    number: int
    verdict: str
    old: tuple[int, ...]
    new: tuple[int, ...]
    old_length: float
    new_length: float
    length: float
    length_error: float
    old_width: float
    new_width: float
    width: float
    width_error: float
    box: tuple[float, float, float, float]
    lines: dict[str, list[NDArray[np.float64]]]


def find_changes(
    old: Sequence[Crack],
    new: Sequence[Crack],
    registration: Registration,
    options: CompareOptions,
    least: float = 10.0,
    flat: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
) -> list[Change]:
    """Match the cracks of two photos, and tell what has become of each.

    Cracks are matched by where their centerlines run together: as a crack may be whole on one photo
    and in pieces on the other, a change has all cracks that share a line, of both. Its growth is
    the length of the pieces of the new line that are not beside the old one, less that of the
    pieces of the old line that are not beside the new one. So it does not matter how finely the
    line winds that both have.

    The variance of the growth is n·(tip² + r²) + s² + length_error²·L/100: n ends of pieces (at
    least two), each found to `tip_error` pixels and placed to the registration's r; s, the standard
    deviation of the length over the resampled registrations; and L, the crack's length, the mean of
    both photos, along which branches and gaps come and go. That of the width is the sum of the
    squares of the measured widths' ±, of `width_error`, of `width_fraction` times the width and of
    the standard deviation over the registrations: as if all widths of a crack were wrong alike.

    Args:
        old: Cracks of the old photo.
        new: Cracks of the new photo.
        registration: Position of the new photo in the old one.
        options: How changes are told from noise.
        least: Length in pixels from which on both inspections have cracks.
        flat: Turns points of the old photo into those of its slanted surface, in pixels of the mean
            size; None where it is seen squarely.
    """
    matching = _Matching(old, new, registration, flat)
    changes = [_change(matching, group, old, new, options, least) for group in matching.groups()]
    order = list(VERDICTS)
    changes.sort(key=lambda change: (order.index(change.verdict), -_size(change)))
    return [
        Change(**{**change.__dict__, "number": number}) for number, change in enumerate(changes, 1)
    ]


class _Matching:
    """Centerlines of both photos in the old one's frame, and where they run together."""

    def __init__(
        self,
        old: Sequence[Crack],
        new: Sequence[Crack],
        registration: Registration,
        flat: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None,
    ) -> None:
        self.registration = registration
        self.count = len(old)
        self.cracks = len(old) + len(new)
        self.old = centerlines(old, flat=flat)
        self.new = centerlines(new, registration.to_old, registration.scale, flat)
        self.old_seen = registration.on_new(self.old.seen)
        self.new_seen = registration.on_old(self.new.seen)
        slack = NEAR * max(1.0, registration.scale) + 2 * registration.error
        self.old_nearest, self.gone = _apart(self.old, self.new, slack)
        self.new_nearest, self.come = _apart(self.new, self.old, slack)
        # Of a piece at the edge of the other photo nobody knows whether it is there.
        self.gone &= self.old_seen
        self.come &= self.new_seen
        self.coarser = max(1.0, registration.scale)
        # What lengths and widths would be with other registrations that are as likely.
        place = flat or (lambda points: points)
        self.moved = [
            self.new.moved(lambda points, by=sample: place(registration.to_old(points, by)))
            for sample in registration.samples[::3]
        ]

    def groups(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return the cracks that belong together: positions of old ones, and of new ones."""
        size = (self.count, self.cracks - self.count)
        beside = ~self.gone & (self.old_nearest >= 0)
        there = self.new.crack[self.old_nearest[beside]]
        one = coo_array((self.old.weights[beside], (self.old.crack[beside], there)), size)
        beside = ~self.come & (self.new_nearest >= 0)
        there = self.old.crack[self.new_nearest[beside]]
        other = coo_array((self.new.weights[beside], (there, self.new.crack[beside])), size)
        shared = one.tocsr().maximum(other.tocsr()).tocoo()
        lengths = [
            np.bincount(lines.crack, lines.weights, count)
            for lines, count in zip((self.old, self.new), size, strict=True)
        ]
        row, column = shared.coords
        shorter = np.minimum(lengths[0][row], lengths[1][column])
        linked = shared.data > np.minimum(LINKED, LINKED_FRACTION * shorter)
        pairs = row[linked], column[linked] + self.count
        graph = coo_array((np.ones(len(pairs[0])), pairs), (self.cracks, self.cracks))
        _, group = connected_components(graph, directed=False)
        order = np.argsort(group, kind="stable")
        found = np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else []
        return [(all_[all_ < self.count], all_[all_ >= self.count] - self.count) for all_ in found]


def _apart(lines: Centerlines, others: Centerlines, slack: float) -> tuple[NDArray[np.int64], Mask]:
    """Return the nearest point of other lines, -1 where it is far, and which points have none.

    A point has left the other line where it is too far from it, or beyond its free end. Where a
    line goes away, it has left from where it is clearly beside it.
    """
    if not len(lines.points) or not len(others.points):
        return np.full(len(lines.points), -1), np.ones(len(lines.points), bool)
    distance, nearest = KDTree(others.points).query(lines.points)
    width = np.fmax(lines.widths, others.widths[nearest])
    reach = slack + WIDTH_FRACTION * np.nan_to_num(width)
    away = lines.points - others.points[nearest]
    outward = others.outward[nearest]
    with np.errstate(invalid="ignore"):
        beyond = (away * outward).sum(1) > 0.5
    far = (distance > reach) | beyond
    left = far | (distance > np.minimum(SURELY + 0.5 * (slack - NEAR), reach))
    # Runs of points that have left, with one that is far among them.
    begins = np.flatnonzero(
        np.diff(left.astype(np.int8), prepend=0) | np.diff(lines.branch, prepend=-1)
    )
    run = np.cumsum(np.isin(np.arange(len(left)), begins)) - 1
    apart = left & (np.bincount(run, far) > 0)[run]
    return np.where(distance <= reach, nearest, -1), apart


def _change(
    matching: _Matching,
    group: tuple[NDArray[np.int64], NDArray[np.int64]],
    old: Sequence[Crack],
    new: Sequence[Crack],
    options: CompareOptions,
    least: float,
) -> Change:
    """Tell what has become of the cracks of a group."""
    registration = matching.registration
    before, after = matching.old, matching.new
    ours, theirs = np.isin(before.crack, group[0]), np.isin(after.crack, group[1])
    gone, come = ours & matching.gone, theirs & matching.come
    seen_before, seen_after = ours & matching.old_seen, theirs & matching.new_seen
    lost, won = float(before.weights[gone].sum()), float(after.weights[come].sum())
    pieces = [*_pieces(before, gone), *_pieces(after, come)]
    tip = math.hypot(options.tip_error * matching.coarser, registration.error)
    bend = _spread([float(weights[seen_after].sum()) for weights, _ in matching.moved])
    seen = [
        float(lines.weights[chosen].sum())
        for lines, chosen in ((before, seen_before), (after, seen_after))
    ]
    # A crack of one photo alone has its whole length there.
    long = sum(seen) / max(1, sum(length > 0 for length in seen))
    segmented = options.length_error**2 * matching.coarser * long / 100
    length_error = math.sqrt(max(2, len(pieces)) * tip**2 + bend**2 + segmented)
    old_width, new_width, width_error = _width(matching, ours, theirs, options)
    known = {
        "old_length": seen[0],
        "new_length": seen[1],
        "length": won - lost,
        "length_error": length_error,
        "old_width": old_width,
        "new_width": new_width,
        "width": new_width - old_width,
        "width_error": width_error,
    }
    longest = max((length for length, _ in pieces), default=0.0)
    least_here = least * matching.coarser
    points = np.concatenate([before.seen[ours], after.seen[theirs]])
    return Change(
        number=0,
        verdict=_verdict(known, longest, (len(group[0]), len(group[1])), options, least_here),
        old=tuple(old[at].number for at in group[0]),
        new=tuple(new[at].number for at in group[1]),
        box=(*points.min(0).tolist(), *points.max(0).tolist()) if len(points) else (0, 0, 0, 0),
        lines={
            "both": [line for _, line in _pieces(before, ours & ~matching.gone)],
            "come": [line for _, line in _pieces(after, come)],
            "gone": [line for _, line in _pieces(before, gone)],
        },
        **known,
    )


def _verdict(
    known: dict[str, float],
    longest: float,
    count: tuple[int, int],
    options: CompareOptions,
    least: float,
) -> str:
    """Return the verdict; `longest` is the longest piece that has come or gone."""
    sure_length = options.sigmas * known["length_error"]
    if not count[0] or not count[1]:
        seen = known["old_length"] if count[0] else known["new_length"]
        if seen < PIECE:
            return "not compared"
        if seen <= least + sure_length:
            return "unclear"
        return "closed" if count[0] else "new"
    if known["old_length"] < PIECE and known["new_length"] < PIECE:
        return "not compared"
    length = known["length"] if longest >= PIECE else 0.0
    wider = known["width"] / known["width_error"] if known["width_error"] else 0.0
    wider = 0.0 if math.isnan(wider) else wider
    if length > sure_length or wider > options.sigmas:
        return "grown"
    if length < -sure_length or wider < -options.sigmas:
        return "reduced"
    return "unchanged"


def _width(
    matching: _Matching, ours: Mask, theirs: Mask, options: CompareOptions
) -> tuple[float, float, float]:
    """Return the mean width before and after, at the same points, and the error of the growth."""
    before, after = matching.old, matching.new
    nearest = matching.old_nearest
    both = ours & ~matching.gone & (nearest >= 0) & np.isfinite(before.widths)
    at = np.flatnonzero(both)
    at = at[theirs[nearest[at]] & np.isfinite(after.widths[nearest[at]])]
    if not len(at):
        return math.nan, math.nan, math.nan
    there = nearest[at]
    moved = [float(widths[there].mean()) for _, widths in matching.moved]
    mean = float(before.widths[at].mean() + after.widths[there].mean()) / 2
    error = math.hypot(
        float(np.median(before.errors[at])),
        float(np.median(after.errors[there])),
        options.width_error * matching.coarser,
        options.width_fraction * mean,
        _spread(moved),
    )
    return float(before.widths[at].mean()), float(after.widths[there].mean()), error


def _spread(values: Sequence[float]) -> float:
    """Return the standard deviation of values."""
    return float(np.std(values)) if len(values) else 0.0


def _pieces(lines: Centerlines, chosen: Mask) -> list[tuple[float, NDArray[np.float64]]]:
    """Return the connected pieces of the chosen points: length, and points (k, 2)."""
    at = np.flatnonzero(chosen)
    if not len(at):
        return []
    cuts = np.flatnonzero((np.diff(at) > 1) | (np.diff(lines.branch[at]) > 0)) + 1
    return [(float(lines.weights[piece].sum()), lines.seen[piece]) for piece in np.split(at, cuts)]


def _size(change: Change) -> float:
    """Return what a change is sorted by: its growth, or its length where it is whole."""
    return max(abs(change.length), change.new_length if change.verdict == "unchanged" else 0.0)
