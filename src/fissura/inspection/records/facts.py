"""Facts of a photo that no pixel shows: when, where and with what it was taken, and of what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from fissura.data.images import HEIF, exif_of, register_heif
from fissura.errors import InputError
from fissura.pillow import opened_image

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
MAKE, MODEL, CHANGED, TAKEN, OFFSET, FOCAL_LENGTH = 0x010F, 0x0110, 0x0132, 0x9003, 0x9011, 0x920A
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, ALTITUDE_REF, ALTITUDE = range(1, 7)


@dataclass(frozen=True, kw_only=True)
class PhotoFacts:
    """Facts of a photo, each None or empty where it is not known.

    Attributes:
        taken: Date and time by the camera's clock, such as 2026-05-04T14:03:22; with the offset
            from UTC where the camera knew it.
        latitude: Degrees on WGS84, north is positive.
        longitude: Degrees on WGS84, east is positive.
        altitude_m: Meters above sea level.
        camera: Maker and model.
        focal_length_mm: Focal length of the lens.
        element: Part of the structure that the photo shows, as the table of photos says.
        note: A note, as the table says.
        others: Further columns of the table.
    """

    taken: str = ""
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    camera: str = ""
    focal_length_mm: float | None = None
    element: str = ""
    note: str = ""
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def point(self) -> tuple[float, float] | None:
        """Longitude and latitude, or None where either is not known."""
        if self.latitude is None or self.longitude is None:
            return None
        return self.longitude, self.latitude

    def words(self) -> list[str]:
        """Return what is known, in a few words each."""
        said = [self.element, local_date(self.taken), self.camera]
        if self.focal_length_mm is not None:
            said.append(f"{self.focal_length_mm:g} mm lens")
        if self.point is not None:
            said.append(f"{_degrees(self.point[1], 'NS')} {_degrees(self.point[0], 'EW')}")
        said += [self.note, *(f"{name}: {value}" for name, value in self.others.items())]
        return [text for text in said if text]


def known_of(told: PhotoFacts, exif: PhotoFacts) -> PhotoFacts:
    """Return the facts of a photo: what was told of it, and else what its EXIF data hold."""
    return replace(exif, **{name: value for name, value in vars(told).items() if value})


def local_date(taken: str) -> str:
    """Write a date, with its time where it has one, as a reader would; as it is where it is none.

    >>> local_date("2026-05-04T14:03:22"), local_date("2026-05-04"), local_date("spring")
    ('4 May 2026, 14:03', '4 May 2026', 'spring')
    """
    try:
        moment = datetime.fromisoformat(taken)
    except ValueError:
        return taken
    day = f"{moment.day} {moment:%B %Y}"
    if len(taken) <= len("2026-05-04"):
        return day
    zone = f" {moment:%Z}" if moment.tzinfo else ""
    return f"{day}, {moment:%H:%M}{zone}"


def read_exif(file: Path) -> PhotoFacts:
    """Read the facts that a photo's EXIF data hold; what is missing or damaged stays empty."""
    try:
        if file.suffix.lower() in HEIF:
            register_heif()
        with opened_image(file) as photo:
            exif = exif_of(photo)
            tags, inner, gps = dict(exif), exif.get_ifd(EXIF_IFD), exif.get_ifd(GPS_IFD)
    except InputError:
        return PhotoFacts()
    altitude = _number(gps.get(ALTITUDE))
    if altitude is not None and gps.get(ALTITUDE_REF) in (1, b"\x01"):
        altitude = -altitude
    latitude = _angle(gps.get(LATITUDE), gps.get(LATITUDE_REF), "S", 90)
    longitude = _angle(gps.get(LONGITUDE), gps.get(LONGITUDE_REF), "W", 180)
    if latitude == longitude == 0:  # what cameras write that have no position
        latitude = longitude = altitude = None
    focal = _number(inner.get(FOCAL_LENGTH))
    return PhotoFacts(
        taken=_date(inner.get(TAKEN) or tags.get(CHANGED), inner.get(OFFSET)),
        latitude=latitude,
        longitude=longitude,
        altitude_m=altitude,
        camera=_camera(_text(tags.get(MAKE)), _text(tags.get(MODEL))),
        focal_length_mm=focal if focal else None,
    )


def _text(value: object) -> str:
    """Return the text of a tag, without what cannot be shown."""
    return "".join(letter for letter in value if letter.isprintable()).strip() if isinstance(
        value, str
    ) else ""  # fmt: skip


def _camera(maker: str, model: str) -> str:
    """Join maker and model, which often begins with the maker's name."""
    if model.casefold().startswith(maker.casefold().split(" ")[0]) or not maker:
        return model
    return f"{maker} {model}".strip()


def _date(value: object, offset: object) -> str:
    """Return EXIF's 2026:05:04 14:03:22 in ISO 8601, or its day alone; empty if none."""
    text = _text(value)
    try:
        moment = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return _day(text)
    zone = _text(offset)
    try:
        return datetime.fromisoformat(f"{moment.isoformat()}{zone}").isoformat()
    except ValueError:
        return moment.isoformat()


def _day(text: str) -> str:
    """Return the day of EXIF's date and time where its time is missing or damaged; else nothing."""
    try:
        return datetime.strptime(text[:10], "%Y:%m:%d").date().isoformat()
    except ValueError:
        return ""


def _angle(value: Any, reference: object, negative: str, most: float) -> float | None:
    """Return degrees, minutes and seconds as degrees."""
    try:
        degrees, minutes, seconds = (float(part) for part in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    angle = degrees + minutes / 60 + seconds / 3600
    if not 0 <= angle <= most:
        return None
    return round(-angle if _text(reference).upper() == negative else angle, 7)


def _number(value: Any) -> float | None:
    """Return a tag's value where it is a finite number; rationals may be 0/0."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def _degrees(angle: float, letters: str) -> str:
    """Write an angle with its direction, to about a meter."""
    return f"{abs(angle):.5f}° {letters[angle < 0]}"
