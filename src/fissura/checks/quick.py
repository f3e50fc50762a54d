"""`quick_findings`: what a training can tell of its images at no noticeable cost."""

from __future__ import annotations

import numpy as np

from fissura.checks.alike import find_alike
from fissura.checks.finding import Finding
from fissura.checks.judge import cracks_findings
from fissura.checks.judge_alike import alike_findings
from fissura.checks.judge_labels import label_findings
from fissura.checks.photo import PhotoLook, glance_at, look_at
from fissura.data.preparation.prepared import PreparedSet

MOST = 1000  # images that are compared with each other
LOOKED_AT = 8  # images whose lines are looked at
LEAST = 1.0  # weight of a finding that is told
MOST_PIXELS = 600 * 600  # of an image whose lines are looked at; of larger ones the middle is


def quick_findings(train: PreparedSet, validation: PreparedSet | None = None) -> list[Finding]:
    """Return the weightiest findings that prepared images give away within about a second.

    Copies and photos of one place between and within the two sets, masks that are off, turned or
    of another width, and masks that fill an image. `fissura.check` looks at all photos, at their
    own size, and at the test photos too.

    Args:
        train: Training images.
        validation: Images that choose epoch and threshold, or None.
    """
    sets = {"train": train} | ({} if validation is None else {"val": validation})
    looks: list[PhotoLook] = []
    for part, images in sets.items():
        step = max(1, len(images) // LOOKED_AT)
        for index in range(min(len(images), MOST)):
            image, mask = images.images[index], np.asarray(images.masks[index] > 0)
            near = index % step == 0 and part == "train"
            if near:
                image, mask = _middle(image, mask)
            look = look_at if near else glance_at
            looks.append(look(images.names[index], part, image, mask))
    alike = find_alike([look.view for look in looks])
    parts = [look.split for look in looks]
    findings = alike_findings(alike, looks, parts) + label_findings(looks) + cracks_findings(looks)
    told = [finding for finding in findings if finding.weight >= LEAST]
    return sorted(told, key=lambda finding: -finding.weight)


def _middle(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle of a large image and its mask."""
    height, width = mask.shape
    scale = min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
    rows, columns = int(height * scale), int(width * scale)
    top, left = (height - rows) // 2, (width - columns) // 2
    window = (slice(top, top + rows), slice(left, left + columns))
    return np.ascontiguousarray(image[window]), np.ascontiguousarray(mask[window])
