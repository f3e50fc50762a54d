"""Tables: what a spreadsheet reads back is what was measured, in the units it says."""

import csv
import math

import pytest

from fissura.inspection.exporters.tables import (
    CRACK_COLUMNS,
    PHOTO_COLUMNS,
    cracks_table,
    photos_table,
    widths_table,
)
from fissura.inspection.records.totals import totals, verdict


def read(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def mixed(fake_photo, straight):
    scaled = [straight(10, 3.0, mm_per_pixel=0.5), straight(40, 6.0, 20.0, number=2)]
    return [
        fake_photo("a, with comma", scaled, mm_per_pixel=0.5),
        fake_photo('b "quoted"\nü', [straight(10, math.nan)]),
        fake_photo("clean", []),
    ]


class TestCracks:
    def test_columns_and_rows(self, write, tmp_path, mixed):
        write(cracks_table(tmp_path / "cracks.csv"), mixed)
        rows = read(tmp_path / "cracks.csv")
        assert list(rows[0]) == CRACK_COLUMNS
        assert [(row["photo"], row["crack"]) for row in rows] == [
            ("a, with comma", "1"),
            ("a, with comma", "2"),
            ('b "quoted"\nü', "1"),
        ]

    def test_mm_is_px_times_scale(self, write, tmp_path, mixed):
        write(cracks_table(tmp_path / "cracks.csv"), mixed)
        for row in read(tmp_path / "cracks.csv")[:2]:
            for name in ("length", "longest_path", "width_max", "width_p95", "width_error"):
                assert float(row[f"{name}_mm"]) == pytest.approx(
                    0.5 * float(row[f"{name}_px"]), rel=1e-4
                )
            assert float(row["area_mm2"]) == pytest.approx(0.25 * float(row["area_px2"]), rel=1e-4)

    def test_without_scale_mm_is_empty_and_px_is_not(self, write, tmp_path, mixed):
        write(cracks_table(tmp_path / "cracks.csv"), mixed)
        row = read(tmp_path / "cracks.csv")[2]
        assert {row[name] for name in CRACK_COLUMNS if "_mm" in name or "mm_" in name} == {""}
        assert float(row["length_px"]) == 40
        assert float(row["area_px2"]) == 1

    def test_unmeasured_is_empty(self, write, tmp_path, mixed):
        write(cracks_table(tmp_path / "cracks.csv"), mixed)
        row = read(tmp_path / "cracks.csv")[2]
        assert row["width_max_px"] == row["widest_row"] == row["widest_column"] == ""

    def test_places(self, write, tmp_path, fake_photo, straight):
        write(cracks_table(tmp_path / "cracks.csv"), [fake_photo("a", [straight(10, 3.0)])])
        (row,) = read(tmp_path / "cracks.csv")
        assert (float(row["widest_row"]), float(row["widest_column"])) == (10, 4)
        box = [int(row[f"box_{side}"]) for side in ("top", "left", "bottom", "right")]
        assert box == [8, 2, 13, 47]
        assert (float(row["orientation_deg"]), int(row["branches"])) == (12.5, 1)

    def test_widths(self, write, tmp_path, mixed):
        write(widths_table(tmp_path / "widths.csv"), mixed)
        rows = read(tmp_path / "widths.csv")
        assert len(rows) == 18
        assert {float(row["width_mm"]) for row in rows} == {1.5, 3.0}


class TestPhotos:
    def test_totals_and_verdicts(self, write, tmp_path, mixed, fake_photo):
        judged = [fake_photo("good", judged=True)]
        judged.append(fake_photo("bad", judged=True, failures=["Too wide.", "Too long."]))
        write(photos_table(tmp_path / "photos.csv"), [*mixed, *judged])
        rows = read(tmp_path / "photos.csv")
        assert list(rows[0]) == PHOTO_COLUMNS
        verdicts = ["not judged", "not judged", "not judged", "pass", "fail"]
        assert [row["verdict"] for row in rows] == verdicts
        assert rows[4]["reasons"] == "Too wide. Too long."
        first = rows[0]
        assert float(first["total_length_px"]) == 60
        assert float(first["total_length_mm"]) == 30
        assert float(first["area_m2"]) == pytest.approx(60 * 80 * 0.25e-6)
        assert float(first["length_mm_per_m2"]) == pytest.approx(25000, rel=1e-4)
        assert (float(first["width_max_mm"]), first["widest_crack"]) == (3, "2")
        assert float(first["area_percent"]) == pytest.approx(5)

    def test_without_scale_or_crack(self, write, tmp_path, mixed):
        write(photos_table(tmp_path / "photos.csv"), mixed)
        unscaled, clean = read(tmp_path / "photos.csv")[1:]
        assert unscaled["total_length_mm"] == unscaled["area_m2"] == unscaled["mm_per_pixel"] == ""
        assert unscaled["resolution_source"] == "unknown"
        assert unscaled["width_max_px"] == ""  # could not be measured
        assert (clean["cracks"], clean["total_length_px"], clean["width_max_px"]) == ("0", "0", "")

    def test_widest_leaves_unmeasured_out(self, fake_photo, straight):
        photo = fake_photo("a", [straight(9, math.nan), straight(20, 2.0, number=2)])
        widest = totals(photo).widest
        assert widest is not None
        assert widest.number == 2
        assert verdict(photo) == "not judged"


def test_a_failure_leaves_the_old_table(write, tmp_path, mixed):
    path = tmp_path / "cracks.csv"
    path.write_text("old")

    def photos():
        yield mixed[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(cracks_table(path), photos())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_not_unicode(write, tmp_path, fake_photo):
    write(photos_table(tmp_path / "photos.csv"), [fake_photo("bad \udcff name", [])])
    assert "bad \\xff name" in (tmp_path / "photos.csv").read_text(encoding="utf-8")
