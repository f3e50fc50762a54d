"""Options of an inspection beyond finding and measuring; they need no numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fissura.data.annotation_options import check_line_width
from fissura.errors import InputError


@dataclass(frozen=True, kw_only=True)
class InspectOptions:
    """What an inspector adds: corrected masks, what photos show, the heading of the report."""

    masks: Path | None = None
    """Corrected masks that take the place of the model's: a folder of mask files named as the
    photos, or annotations of a labeling tool (COCO, CVAT and others; docs/formats.md). Photos
    without one go through the model."""

    previous: Path | None = None
    """Folder of an earlier inspection of these photos, whose cracks corrected masks are compared
    with. By default the one that the masks lie in, or that --resume goes on with."""

    table: Path | None = None
    """A table with a row per photo (.csv, or .xlsx with the extra fissura[xlsx]): file, and any of
    mm_per_pixel, distance_mm, focal_length_mm, sensor_width_mm, marker_mm, corners with
    rectangle_width_mm and rectangle_height_mm (a slanted surface), element, note. Other
    columns are carried into the report. A scale.yaml in a folder says the same of its photos."""

    report: Path | None = None
    """A report.yaml with what heads the report: title, object, inspector, client, date, notes,
    signatures; see docs/inspection.md."""

    severity: str | None = None
    """Classes of severity by width: aashto-reinforced, aashto-prestressed, astm-d6433,
    din-1076-like, or a YAML file of your own; see docs/inspection.md."""

    axis: float = 90.0
    """Direction of the road or member on the photos in degrees, from which longitudinal,
    transverse and diagonal cracks are told: 90 is upright, 0 level, 45 rises to the right."""

    xlsx: bool = False
    """Write report.xlsx, too, with photos, cracks and their images, units in the headings; with
    the extra fissura[xlsx]."""

    pdf: bool = False
    """Print the report as report.pdf, too, by a browser that is installed (Chromium, Chrome or
    Edge)."""

    labels: str | None = None
    """Labels of annotations that count as crack, with commas between them; by default the only
    one, or those with a word for crack in their names."""

    line_width: float | None = None
    """Width in pixels of lines that were annotated along cracks; by default it is measured in the
    photo beneath them."""

    def __post_init__(self) -> None:
        check_line_width(self.line_width)
        if not 0 <= self.axis <= 180:
            raise InputError(f"--axis is {self.axis:g}; it must be from 0 to 180 degrees.")
        for name in ("masks", "previous", "table", "report"):
            path = getattr(self, name)
            if path is not None and not Path(path).exists():
                raise InputError(f"--{name} {path} does not exist.")
