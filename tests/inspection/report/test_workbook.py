"""The workbook: sheets, headings with units, numbers as numbers, images of cracks."""

from dataclasses import replace

import pytest

from fissura.inspection.exporters.tables import CRACK_COLUMNS, PHOTO_COLUMNS
from fissura.inspection.report.workbook import heading, workbook
from fissura.inspection.rules.limits import Limits
from fissura.inspection.rules.severity import Classes, find_profile

openpyxl = pytest.importorskip("openpyxl")
CLASSES = Classes(find_profile("aashto-reinforced"))


@pytest.fixture
def book(write, panel_photo, fake_photo, tmp_path):
    photos = [
        replace(photo, classes=CLASSES)
        for photo in (
            panel_photo(1, mm_per_pixel=0.5),
            panel_photo(2),
            fake_photo('=HYPERLINK("http://x")', [], mm_per_pixel=0.5),
        )
    ]
    write(workbook(tmp_path / "r.xlsx", Limits(max_width_mm=0.3), CLASSES), photos)
    return photos, openpyxl.load_workbook(tmp_path / "r.xlsx")


def test_every_crack_and_photo_has_its_row_with_numbers(book):
    photos, read = book
    assert read.sheetnames == ["Photos", "Cracks", "About"]
    cracks = read["Cracks"]
    heads = [cell.value for cell in cracks[1]]
    assert len(heads) == len(CRACK_COLUMNS) + 1
    assert heads[2:5] == ["Image", "Length [mm]", "Longest path [mm]"]
    rows = list(cracks.iter_rows(min_row=2, values_only=True))
    all_of = [crack for photo in photos for crack in photo.cracks]
    assert len(rows) == len(all_of) == cracks.max_row - 1
    for row, crack in zip(rows, all_of, strict=True):
        length = row[heads.index("Length [pixels]")]
        assert isinstance(length, float | int)
        assert length == pytest.approx(crack.length, rel=1e-4)
    assert rows[-1][heads.index("Length [mm]")] is None
    assert rows[0][heads.index("Severity")] in CLASSES.profile.classes
    assert cracks.freeze_panes == "C2"
    assert cracks.auto_filter.ref.startswith("A1:")
    assert len(list(read["Photos"].iter_rows())) == 4


def test_cracks_have_their_images(book):
    photos, read = book
    images = read["Cracks"]._images
    assert len(images) == sum(min(30, len(photo.cracks)) for photo in photos)
    assert {image.anchor._from.col for image in images} == {2}
    assert all(image.height == 72 for image in images)


def test_a_name_is_no_formula(book):
    _, read = book
    last = read["Photos"].cell(row=4, column=1)
    assert last.data_type == "s"
    assert last.value.startswith("'=")


def test_the_last_sheet_says_how(book):
    told = {row[0]: row[1] for row in book[1]["About"].iter_rows(values_only=True)}
    assert "limit max_width_mm = 0.3" in told
    assert "0.012 and 0.05 inches" in told["source"]
    assert "neither the resolution" in told["±"]


def test_every_heading_has_a_unit_or_needs_none():
    for column in (*CRACK_COLUMNS, *PHOTO_COLUMNS):
        if column.endswith(("_mm", "_px", "_mm2", "_deg", "_percent", "_m", "_m2")):
            assert heading(column).endswith("]"), column
