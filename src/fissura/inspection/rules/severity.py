"""Severity of cracks: named sets of width classes with their sources, or a set of one's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fissura.errors import InputError
from fissura.files.documents import read_yaml
from fissura.measurement.crack import Crack

WIDTHS = {
    "mean": "width_mean",
    "median": "width_median",
    "p95": "width_p95",
    "max": "width_max",
}
WIDTH_WORDS = {
    "mean": "mean width",
    "median": "median width",
    "p95": "95th percentile of the widths",
    "max": "greatest width",
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A set of classes by width.

    Attributes:
        name: Its name.
        title: What it is, in a few words.
        classes: Name of each class and the width in millimeters from which on it holds, the least
            severe first, which begins at 0.
        width: Width of a crack that counts, a key of `WIDTHS`.
        source: Where the bounds are from.
        caution: What was not verified, or is not covered; in sentences.
    """

    name: str
    title: str
    classes: Mapping[str, float]
    width: str = "p95"
    source: str
    caution: str = ""

    def of(self, crack: Crack, mm_per_pixel: float | None) -> str:
        """Return the class of a crack; empty where its width in millimeters is not known."""
        width = getattr(crack, WIDTHS[self.width])
        if mm_per_pixel is None or math.isnan(width):
            return ""
        held = [name for name, begin in self.classes.items() if width * mm_per_pixel >= begin]
        return held[-1]

    def bounds(self) -> dict[str, str]:
        """Return the bounds of each class in words.

        >>> PROFILES["astm-d6433"].bounds()
        {'low': 'below 10 mm', 'medium': '10 to 75 mm', 'high': '75 mm and more'}
        """
        begins = [*self.classes.values(), math.inf]
        told = {}
        for (name, begin), end in zip(self.classes.items(), begins[1:], strict=True):
            if math.isinf(end):
                told[name] = f"{begin:g} mm and more"
            else:
                told[name] = f"{begin:g} to {end:g} mm" if begin else f"below {end:g} mm"
        return told


_MBEI = (
    "AASHTO, Manual for Bridge Element Inspection, 1st edition 2013 with 2015 interim revisions, "
    "defect 1130 (cracking of reinforced concrete) and 1110 (of prestressed concrete)"
)
_MBEI_CAUTION = (
    "The bounds are as this program's authors know them; the manual is not free, and they could "
    "not be read in it. Check them against your copy. The manual's condition states look at "
    "spacing, sealing and pattern as well, which are not judged here."
)
PROFILES: dict[str, Profile] = {
    "aashto-reinforced": Profile(
        name="aashto-reinforced",
        title="AASHTO bridge elements, reinforced concrete",
        classes={"insignificant": 0.0, "moderate": 0.3, "wide": 1.27},
        source=f"{_MBEI}: 0.012 and 0.05 inches.",
        caution=_MBEI_CAUTION,
    ),
    "aashto-prestressed": Profile(
        name="aashto-prestressed",
        title="AASHTO bridge elements, prestressed concrete",
        classes={"insignificant": 0.0, "moderate": 0.1, "wide": 0.23},
        source=f"{_MBEI}: 0.004 and 0.009 inches.",
        caution=_MBEI_CAUTION,
    ),
    "astm-d6433": Profile(
        name="astm-d6433",
        title="Longitudinal, transverse and block cracks of asphalt roads, not filled",
        classes={"low": 0.0, "medium": 10.0, "high": 75.0},
        width="mean",
        source=(
            "ASTM D6433, Standard Practice for Roads and Parking Lots Pavement Condition Index "
            "Surveys: 10 mm (3/8 inch) and 75 mm (3 inches), as the FAA's PAVEAIR quotes them "
            "(faapaveair.faa.gov/Help/Documents/severitylevels40.htm, read in November 2026)."
        ),
        caution=(
            "The standard itself is not free and was not read. It raises the severity where a "
            "crack is surrounded by random cracking or broken edges, and lowers it where a crack "
            "is filled: neither is seen here. Alligator cracking is not judged by width there."
        ),
    ),
    "din-1076-like": Profile(
        name="din-1076-like",
        title="Widths at which German inspections of concrete bridges commonly part",
        classes={
            "under 0.2 mm": 0.0,
            "0.2–0.3 mm": 0.2,
            "0.3–0.4 mm": 0.3,
            "from 0.4 mm": 0.4,
        },
        source=(
            "The limits of the calculated crack width in EN 1992-1-1:2004, table 7.1N: 0.2 mm for "
            "prestressed, 0.3 mm for reinforced members outdoors, 0.4 mm in dry air, as SCIA's "
            "manual quotes them (help.scia.net/25.0/en, Crack width national annexes, read in "
            "November 2026)."
        ),
        caution=(
            "Not a standard's own classes: DIN 1076 asks for inspections and names no widths, and "
            "RI-EBW-PRÜF, which grades damage by stability, traffic safety and durability, could "
            "not be read. No grade follows from a width alone."
        ),
    ),
}


@dataclass(frozen=True)
class Classes:
    """How cracks are told apart in the results, beside their measurements.

    Attributes:
        profile: Classes by width; None for none.
        axis: Direction in degrees of the road or member on the photos, as `Crack.orientation`.
    """

    profile: Profile | None = None
    axis: float = 90.0

    def fields(self) -> dict[str, Any]:
        """Return them as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Classes:
        """Return the ones whose `fields` these are."""
        stored = fields.get("profile")
        return cls(None if stored is None else Profile(**stored), fields.get("axis", 90.0))


def find_profile(name: str | Path) -> Profile:
    """Return the profile of a name, or read one's own from a YAML file.

    The file has title, source, width (mean, median, p95 or max) and classes: the name of each and
    the millimeters from which on it holds, the first from 0.

    Raises:
        InputError: There is no such profile, or the file cannot be read or is none.
    """
    if str(name) in PROFILES:
        return PROFILES[str(name)]
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"--severity {name} is neither a file nor one of {', '.join(PROFILES)}. "
            "docs/inspection.md shows a file of one's own classes."
        )
    try:
        values = read_yaml(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as classes of severity ({error}).") from error
    return _own(path, values)


def _own(path: Path, values: Any) -> Profile:
    """Return the profile that a file of one's own holds."""
    known = ("title", "source", "width", "classes")
    if not isinstance(values, dict) or not isinstance(values.get("classes"), dict):
        raise InputError(
            f"{path} holds no classes. Write a line 'classes:' and below it a line for each, such "
            "as 'fine: 0' and 'wide: 0.3', in millimeters."
        )
    if unknown := [str(key) for key in values if key not in known]:
        raise InputError(
            f"{path} holds {', '.join(unknown)}, which Fissura does not know. It knows "
            f"{', '.join(known)}."
        )
    width = values.get("width", "p95")
    if not isinstance(width, str) or width not in WIDTHS:
        raise InputError(f"{path}: width is {width}; it must be one of {', '.join(WIDTHS)}.")
    classes = {str(name): _bound(path, name, begin) for name, begin in values["classes"].items()}
    begins = list(classes.values())
    if not begins:
        raise InputError(f"{path}: there is nothing below 'classes:'. Write a line for each class.")
    if begins[0] != 0 or begins != sorted(set(begins)):
        raise InputError(
            f"{path}: the classes begin at {', '.join(f'{one:g}' for one in begins)} mm; the first "
            "must begin at 0, and each at more than the one before."
        )
    return Profile(
        name=path.name,
        title=str(values.get("title", path.stem)),
        classes=classes,
        width=width,
        source=str(values.get("source", f"{path.name}, without a source.")),
    )


def _bound(path: Path, name: Any, value: Any) -> float:
    """Return the width from which on a class holds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InputError(
            f"{path}: {name} is {value!r}; it must be a width in millimeters, 0 or more."
        )
    return float(value)
