"""When a photo of an inspection was taken: what was told of it, else what its EXIF data hold."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fissura.comparison.folder import day_of
from fissura.inspection.records.facts import PhotoFacts
from fissura.inspection.records.record import Record


def record(file, **facts):
    return Record(
        file=Path(file),
        name="a.jpg",
        size_hw=(4, 4),
        cracks=[],
        mm_per_pixel=None,
        resolution_source="",
        preview=np.zeros((4, 4, 3), np.uint8),
        preview_scale=1.0,
        facts=PhotoFacts(**facts),
    )


def saved(file, taken):
    exif = Image.Exif()
    exif[0x8769] = {0x9003: taken}
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(file, exif=exif)
    return file


@pytest.fixture
def photo(tmp_path):
    return saved(tmp_path / "a.jpg", "2026:05:04 14:03:22")


@pytest.mark.parametrize(
    ("told", "day"),
    [
        ("", date(2026, 5, 4)),
        ("2025-03-02", date(2025, 3, 2)),
        ("2025-03-02T09:00:00+02:00", date(2025, 3, 2)),
        ("in spring", None),
    ],
)
def test_what_was_told_counts_before_exif(photo, told, day):
    assert day_of(record(photo, taken=told)) == day


@pytest.mark.parametrize(
    ("taken", "day"),
    [
        ("2026:05:04", date(2026, 5, 4)),
        ("2026:05:04 14:03", date(2026, 5, 4)),
        ("2026:05:04 24:61:00", date(2026, 5, 4)),
        ("2026:13:04 14:03:22", None),
        ("0000:00:00", None),
    ],
)
def test_a_camera_that_writes_no_time_or_a_wrong_one_has_a_day(tmp_path, taken, day):
    assert day_of(record(saved(tmp_path / "a.jpg", taken))) == day


def test_a_photo_that_is_gone_has_the_day_of_its_record(tmp_path):
    assert day_of(record(tmp_path / "gone.jpg", taken="2026-05-04T14:03:22")) == date(2026, 5, 4)
    assert day_of(record(tmp_path / "gone.jpg")) is None


def test_a_heic_photo_has_a_day(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x8769] = {0x9003: "2026:05:04 14:03:22"}
    heif.from_pillow(Image.new("RGB", (64, 64))).save(tmp_path / "a.heic", exif=exif.tobytes())
    assert day_of(record(tmp_path / "a.heic")) == date(2026, 5, 4)
