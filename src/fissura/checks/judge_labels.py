"""`label_findings`: masks that are off, turned, too wide, too narrow or weak."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fissura.checks.finding import Finding, shown
from fissura.checks.lines import Fit
from fissura.checks.photo import PhotoLook
from fissura.html.pages import counted

# See benchmarks/check.py for what these find, and how often they are wrong.
FEWEST = 5  # photos from which a set is judged as a whole
CLEAR = 0.8  # fit from which a photo has a say in where all masks of a set lie
ALL_OFF = 1.5  # pixels of the median shift of such photos from which a set is off
WIDE, WIDE_PART = 1.25, 1 / 6  # pixels, and part of the cracks' width, on each side
MANY_UNMARKED = 8  # median number of unmarked lines per photo
UNCLEAR = 0.25  # median fit below which masks are not on lines at all


def label_findings(looks: Sequence[PhotoLook]) -> list[Finding]:
    """Return findings on how masks lie on their photos.

    Args:
        looks: All photos; those with too little crack to tell have no say.
    """
    fits = [(look, look.fit) for look in looks if look.fit is not None]
    if not fits:
        return []
    findings = _off(fits) + _turned(fits)
    astray = sum(one.far or bool(one.turn) for _, one in fits)
    if any(one.kind == "all masks off" for one in findings) or 2 * astray > len(fits):
        return findings  # edges and lines say nothing where masks lie elsewhere
    judged = [look for look, _ in fits]
    findings += _widths(judged)
    middle = float(np.median([one.here for _, one in fits]))
    if len(fits) >= FEWEST and middle < UNCLEAR and not findings:
        findings.append(
            Finding(
                "unclear",
                1.0,
                "The masks lie neither on dark lines nor on light ones: cracks that hardly differ "
                "from what is beside them, or masks of other photos.",
                "Look at the overlays. If the masks are right, what follows on lines and edges "
                "says nothing.",
            )
        )
    unmarked = [look.unmarked for look in judged if look.unmarked is not None]
    if len(unmarked) >= FEWEST and np.median(unmarked) >= MANY_UNMARKED:
        most = sorted(judged, key=lambda look: -(look.unmarked or 0))
        files = tuple(look.name for look in most if (look.unmarked or 0) >= MANY_UNMARKED)
        findings.append(
            Finding(
                "weak labels",
                2.0,
                f"On half of the photos there are {np.median(unmarked):.0f} or more long "
                "lines as strong as the marked cracks, without a mask: cracks that were left "
                f"out, or joints, edges and shadows. Most on {shown(files)}.",
                "Look at the overlays, where they are drawn. Mark what is crack; a model learns "
                "to leave out what its masks leave out.",
                files,
            )
        )
    return findings


def _off(fits: list[tuple[PhotoLook, Fit]]) -> list[Finding]:
    """Masks that lie beside the cracks: of the whole set, or of single photos."""
    clear = [one.shift for _, one in fits if one.best > CLEAR and not one.turn]
    if len(clear) >= FEWEST:
        down, right = np.median(np.array(clear), axis=0)
        if np.hypot(down, right) >= ALL_OFF:
            return [
                Finding(
                    "all masks off",
                    3.0,
                    f"The masks of the whole set fit their photos better {_way(down, right)}.",
                    "Move all masks by that, and look for what moved them: a crop, a margin, "
                    "another lens correction.",
                    tuple(look.name for look, one in fits if one.far),
                )
            ]
    off = sorted(
        (each for each in fits if each[1].far), key=lambda each: each[1].here - each[1].best
    )
    if not off:
        return []
    files = tuple(look.name for look, _ in off)
    first = f"{files[0]} ({_way(*off[0][1].shift)})"
    return [
        Finding(
            "mask off",
            2.5,
            f"{counted(len(off), 'mask')} {'fits its' if len(off) == 1 else 'fit their'} "
            f"{'photo' if len(off) == 1 else 'photos'} better elsewhere: "
            f"{shown([first, *files[1:]])}.",
            "Look whether the mask belongs to this photo and is of the same crop.",
            files,
        )
    ]


def _turned(fits: list[tuple[PhotoLook, Fit]]) -> list[Finding]:
    """Masks that fit better turned or mirrored."""
    turned = sorted((each for each in fits if each[1].turn), key=lambda each: each[1].best)
    if not turned:
        return []
    files = tuple(look.name for look, _ in turned)
    told = [f"{look.name} ({one.turn})" for look, one in turned]
    return [
        Finding(
            "mask turned",
            2.8 if len(turned) > 1 else 2.4,
            f"{counted(len(turned), 'mask')} {'fits' if len(turned) == 1 else 'fit'} better "
            f"turned or mirrored: {shown(told)}.",
            "Look at the overlays; programs differ in whether they obey a photo's EXIF "
            "orientation.",
            files,
        )
    ]


def _widths(judged: list[PhotoLook]) -> list[Finding]:
    """Masks that are wider or narrower than what is dark below them."""
    known = [look for look in judged if look.wide is not None and look.thickness is not None]
    if len(known) < FEWEST:
        return []
    beyond = np.array([look.wide for look in known], float)
    width = np.array([look.thickness[1] for look in known if look.thickness], float)
    middle, typical = float(np.median(beyond)), float(np.median(width))
    if abs(middle) < max(WIDE, WIDE_PART * typical):
        return []
    order = np.argsort(-beyond * np.sign(middle))
    files = tuple(known[int(index)].name for index in order[:20])
    wide = middle > 0
    return [
        Finding(
            "too wide" if wide else "too narrow",
            1.5,
            f"Masks are drawn about {abs(middle):.1f} pixels "
            f"{'wider' if wide else 'narrower'} on each side than what is dark below them, at a "
            f"typical thickness of {typical:.0f}. Most on {shown(files)}.",
            "Crack widths measured with such a model come out "
            f"{'too large' if wide else 'too small'}; evaluate with --tolerance "
            f"{max(2, round(abs(middle)) + 1)}, or mend the masks.",
            files,
        )
    ]


def _way(down: float, right: float) -> str:
    """A shift in words."""
    parts = [
        f"{abs(by):.0f} pixel{'' if round(abs(by)) == 1 else 's'} {after if by > 0 else before}"
        for by, before, after in ((down, "up", "down"), (right, "to the left", "to the right"))
        if abs(by) >= 0.5
    ]
    return " and ".join(parts) or "nearly where it is"
