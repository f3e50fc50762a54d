"""`judge`: the findings that follow from a survey, the weightiest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fissura.checks.classes import amounts, class_findings, overlaps
from fissura.checks.finding import Finding, shown
from fissura.checks.judge_alike import alike_findings
from fissura.checks.judge_labels import label_findings
from fissura.checks.photo import PhotoLook
from fissura.checks.survey import Survey
from fissura.data.splits import group_of
from fissura.data.walk import below
from fissura.html.pages import counted


def judge(found: Survey) -> list[Finding]:
    """Return what the owner of a set should know, the weightiest first.

    Args:
        found: What a look at every photo and mask told.
    """
    findings = [
        *_files(found),
        *_leaks(found),
        *alike_findings(found.alike, found.looks, found.planned),
        *label_findings(found.looks),
        *cracks_findings(found.looks, kind="class" if found.labels.classes else "crack"),
        *_classes(found),
        *_amounts(found),
    ]
    return sorted(findings, key=lambda finding: -finding.weight)


def _classes(found: Survey) -> list[Finding]:
    """Classes that lack, are few, or are the same as another."""
    told = amounts(found.looks, found.planned, found.labels)
    return class_findings(told, overlaps(found.looks, found.labels), found.planned)


def _files(found: Survey) -> list[Finding]:
    """Files that cannot be used, and files that nothing reads."""
    findings = []
    root = found.folder.root
    if found.skipped:
        reasons = defaultdict(list)
        for bad in found.skipped:
            reasons[bad.reason].append(below(bad.file, root))
        told = "; ".join(f"{shown(files)}: {reason}" for reason, files in list(reasons.items())[:4])
        more = f"; and {len(reasons) - 4} other reasons" if len(reasons) > 4 else ""
        findings.append(
            Finding(
                "files",
                2.0,
                f"{counted(len(found.skipped), 'file')} cannot be used: {told}{more}.",
                "Mend or remove them, or train with --skip-bad. Photos that show no crack need no "
                "mask below a folder good, or with --empty-if-missing.",
                tuple(below(bad.file, root) for bad in found.skipped),
            )
        )
    if found.unread:
        kinds = ", ".join(f"{count} {ending}" for ending, count in found.unread.items())
        findings.append(
            Finding(
                "unread",
                0.5,
                f"Nothing reads these files in the folder: {kinds}.",
                "If they are photos, save them as JPEG, PNG or TIFF.",
            )
        )
    return findings


def _leaks(found: Survey) -> list[Finding]:
    """Photos whose names tell that they belong together, in several of the folder's own splits."""
    if set(found.folder.splits) <= {"all"}:
        return []
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for look in found.looks:
        stem = look.name.rpartition("/")[2]
        group = group_of(stem)
        if group != stem or not stem.isdecimal():
            groups[group].setdefault(look.split, look.name)
    torn = {group: by_split for group, by_split in groups.items() if len(by_split) > 1}
    if not torn:
        return []
    files = tuple(" ~ ".join(by_split.values()) for by_split in torn.values())
    return [
        Finding(
            "leak by name",
            1.5,
            f"By their names, {counted(len(torn), 'photo')} {'has' if len(torn) == 1 else 'have'} "
            f"tiles or variants in several of the folder's splits: {shown(files)}.",
            "If they show one thing, put them into one split; metrics on the others are too good.",
            files,
        )
    ]


def cracks_findings(looks: Sequence[PhotoLook], *, kind: str = "crack") -> list[Finding]:
    """Photos without crack, and photos far more of which is crack than of the others.

    Args:
        looks: All photos.
        kind: What the masks mark: "crack", or "class" for several classes together.
    """
    findings = []
    empty = [look.name for look in looks if not look.crack]
    if empty:
        findings.append(
            Finding(
                "no crack",
                0.5 if len(empty) > 0.5 * len(looks) else 0.0,
                f"{counted(len(empty), 'photo')} of {len(looks)} "
                f"{'shows' if len(empty) == 1 else 'show'} no {kind}.",
                f"That teaches what is none, as long as no {kind} was left unmarked there.",
                tuple(empty),
            )
        )
    fractions = np.array([look.fraction for look in looks if look.crack])
    if len(fractions) >= 10:
        most = max(0.2, 4 * float(np.percentile(fractions, 95)))
        large = sorted(
            (look for look in looks if look.fraction > most), key=lambda one: -one.fraction
        )
        if large:
            what = "crack" if kind == "crack" else "marked"
            files = tuple(look.name for look in large)
            findings.append(
                Finding(
                    "large",
                    1.0,
                    f"On {counted(len(large), 'photo')} far more is {what} than on the others "
                    f"(up to {large[0].fraction:.0%}): {shown(files)}.",
                    "Look whether an area was filled in, or the mask is inverted.",
                    files,
                )
            )
    return findings


def _amounts(found: Survey) -> list[Finding]:
    """Few photos, and photos of different sizes."""
    findings = []
    train = found.planned.count("train")
    cracked = sum(
        1
        for look, part in zip(found.looks, found.planned, strict=True)
        if part == "train" and look.crack
    )
    if cracked < 20:
        findings.append(
            Finding(
                "few",
                0.5,
                f"Of {counted(train, 'training photo')} {cracked} "
                f"{'shows' if cracked == 1 else 'show'} a crack, which is few.",
                "Start from a trained model (--start fissura-general), and mark more photos.",
            )
        )
    sizes = {look.size_hw for look in found.looks}
    if len(sizes) > 1:
        smallest, largest = (min(sizes, key=np.prod), max(sizes, key=np.prod))
        findings.append(
            Finding(
                "sizes",
                0.0,
                f"Photos have {counted(len(sizes), 'size')}, from "
                f"{smallest[1]}×{smallest[0]} to {largest[1]}×{largest[0]} pixels.",
                "Training takes random crops of one size from them.",
            )
        )
    return findings
