"""What is known of photos beside their pixels: EXIF, a table, scale.yaml; carried into results."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fissura.errors import InputError
from fissura.inspection.export import export
from fissura.inspection.exporters.photo_points import photo_points
from fissura.inspection.exporters.side_by_side import side_by_side
from fissura.inspection.photo_table import known_photos
from fissura.inspection.records.facts import PhotoFacts, known_of, read_exif
from fissura.inspection.records.store import save_record
from fissura.measurement.options import ResolutionOptions


def photo(path, gps=True, offset=None):
    """A gray JPEG with EXIF data."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "NIKON CORPORATION", "NIKON D850"
    inner = exif[0x8769] = {0x9003: "2026:05:04 14:03:22", 0x920A: 35.0}
    if offset:
        inner[0x9011] = offset
    if gps:
        south, east = (33.0, 51.0, 30.0), (151.0, 12.0, 36.0)
        exif[0x8825] = {1: "S", 2: south, 3: "E", 4: east, 5: b"\x01", 6: 12.5}
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8), 90, np.uint8)).save(path, exif=exif)
    return path


def test_exif_is_read(tmp_path):
    facts = read_exif(photo(tmp_path / "a.jpg", offset="+02:00"))
    assert facts.taken == "2026-05-04T14:03:22+02:00"
    assert facts.camera == "NIKON D850"
    assert facts.focal_length_mm == 35
    assert facts.point == (pytest.approx(151.21), pytest.approx(-33.8583333))
    assert facts.altitude_m == -12.5
    assert any("33.85833° S 151.21000° E" in text for text in facts.words())


def test_damaged_or_missing_exif_is_nothing(tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    assert read_exif(tmp_path / "b.jpg") == PhotoFacts()
    assert read_exif(tmp_path / "none.jpg") == PhotoFacts()
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (99.0, 0.0, 0.0), 4: (200.0, 0.0, 0.0)}
    exif[0x8769] = {0x9003: "0000:00:00 00:00:00"}
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "c.jpg", exif=exif)
    assert read_exif(tmp_path / "c.jpg") == PhotoFacts()


def files_of(tmp_path, *names):
    return [photo(tmp_path / "in" / name, gps=False) for name in names]


def table(tmp_path, text, name="photos.csv", encoding="utf-8-sig"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("file,mm_per_pixel,element,note,span\na.jpg,0.2,Pfeiler 1,naß,3\nb.jpg,,,,\n", "utf-8"),
        ("File;mm per pixel;Element;Note;Span\na;0,2;Pfeiler 1;naß;3\n", "cp1252"),
        ("photo\tMM_PER_PIXEL\telement\tremark\tspan\nin/a.jpg\t0.2\tPfeiler 1\tnaß\t3\n", "utf-8"),
    ],
)
def test_tables_of_any_spreadsheet(tmp_path, text, encoding):
    a, b = files_of(tmp_path, "a.jpg", "b.jpg")
    path = table(tmp_path, text, encoding=encoding)
    known = known_photos([a, b], [tmp_path / "in"], path).of_photo
    assert known[a].resolution == ResolutionOptions(mm_per_pixel=0.2)
    facts = known[a].facts
    assert (facts.element, facts.note, facts.others) == ("Pfeiler 1", "naß", {"span": "3"})
    assert known.get(b) is None or known[b].resolution is None


def test_a_workbook_says_the_same(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    (a,) = files_of(tmp_path, "a.jpg")
    book = openpyxl.Workbook()
    for row in (["file", "distance m", "element"], ["a.jpg", 1.5, "deck"]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    known = known_photos([a], [tmp_path / "in"], tmp_path / "t.xlsx").of_photo[a]
    assert known.resolution == ResolutionOptions(distance_mm=1500)
    assert known.facts.element == "deck"


def test_the_nearest_scale_counts_and_the_table_before_it(tmp_path):
    a, b, c = files_of(tmp_path, "a.jpg", "deck/b.jpg", "deck/c.jpg")
    (tmp_path / "in/scale.yaml").write_text("mm_per_pixel: 0.5\nelement: bridge\n")
    (tmp_path / "in/deck/scale.yaml").write_text("distance_mm: 900\n")
    path = table(tmp_path, "file,mm_per_pixel\nc.jpg,0.1\n")
    known = known_photos([a, b, c], [tmp_path / "in"], path)
    assert known.of_photo[a].resolution == ResolutionOptions(mm_per_pixel=0.5)
    assert known.of_photo[a].facts.element == "bridge"
    assert known.of_photo[b].resolution == ResolutionOptions(distance_mm=900)
    assert known.of_photo[c].resolution == ResolutionOptions(mm_per_pixel=0.1)
    assert any("deck/scale.yaml" in said and "2 photos" in said for said in known.said)
    assert any("2 have no row" in said for said in known.said)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no rows"),
        ("name of it,mm_per_pixel\na.jpg,0.2\n", "no column 'file'"),
        ("file,mm_per_pixel\na.jpg,wide\n", r"row 2: mm_per_pixel is 'wide'"),
        ("file,mm_per_pixel\na.jpg,-1\n", "above 0"),
        ('file,distance_mm\na.jpg,"1,500"\n', "1500 or 1.500"),
        ("file,mm_per_pixel\na.jpg,0.2\na.jpg,0.3\n", "twice, in rows 2 and 3"),
        ("file,mm_per_pixel,mm per pixel\na.jpg,0.2,0.3\n", "two columns"),
        ("file,mm_per_pixel,distance_mm\na.jpg,0.2,90\n", "both tell the resolution"),
        ("file,focal_length_mm\na.jpg,35\n", "alone tells no resolution"),
        ("file,note\nb.jpg,x\n", r"may be .*b\.jpg or .*b\.jpg"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_row(tmp_path, text, reason):
    files = files_of(tmp_path, "a.jpg", "x/b.jpg", "y/b.jpg")
    with pytest.raises(InputError, match=reason) as refused:
        known_photos(files, [tmp_path / "in"], table(tmp_path, text))
    assert "photos.csv" in str(refused.value)


def test_a_misspelt_scale_is_refused(tmp_path):
    (a,) = files_of(tmp_path, "a.jpg")
    (tmp_path / "in/scale.yaml").write_text("mm_per_pixl: 0.5\n")
    with pytest.raises(InputError, match=r"scale\.yaml holds mm_per_pixl"):
        known_photos([a], [tmp_path / "in"], None)


def test_what_was_told_comes_before_exif(tmp_path):
    file = photo(tmp_path / "a.jpg")
    facts = known_of(PhotoFacts(taken="2026-05-05", element="pier"), read_exif(file))
    assert (facts.taken, facts.element, facts.camera) == ("2026-05-05", "pier", "NIKON D850")


def test_points_of_photos(tmp_path, write, fake_photo):
    here = PhotoFacts(latitude=50.0, longitude=8.5, element="pier", camera="X")
    records = [fake_photo("a", facts=here, mm_per_pixel=0.5), fake_photo("b")]
    write(photo_points(tmp_path / "photos.geojson"), records)
    content = json.loads((tmp_path / "photos.geojson").read_text(encoding="utf-8"))
    (feature,) = content["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [8.5, 50.0]}
    assert feature["properties"]["element"] == "pier"
    assert feature["properties"]["width_max_mm"] == 1.5


def test_photos_lie_side_by_side(tmp_path):
    sizes = {tmp_path / str(index): (30 + index, 40 - index) for index in range(7)}
    places = side_by_side(sizes)
    boxes = [
        (place[2], place[5] - sizes[file][0], place[2] + sizes[file][1], place[5])
        for file, place in places.items()
    ]
    assert boxes[0][0] == boxes[0][3] == 0
    for index, (left, bottom, right, top) in enumerate(boxes):
        for x0, y0, x1, y1 in boxes[:index]:
            assert right <= x0 or left >= x1 or top <= y0 or bottom >= y1


def test_facts_and_places_are_in_the_results(tmp_path, fake_photo):
    stored = {}
    for name in ("a", "b"):
        file = photo(tmp_path / f"{name}.jpg", gps=name == "a")
        record = fake_photo(name, file=file, files={"mask": f"masks/{name}.png"})
        save_record(tmp_path / "measured" / f"{name}.npz", record)
        stored[file] = tmp_path / "measured" / f"{name}.npz"
    told = {tmp_path / "b.jpg": PhotoFacts(note="wet")}
    out = tmp_path / "out"
    failures = []
    export(out, stored, failures, told=told)
    assert failures == []
    with (out / "photos.csv").open(encoding="utf-8-sig", newline="") as rows:
        a, b = csv.DictReader(rows)
    assert (a["latitude"], a["longitude"]) == ("-33.8583333", "151.21")
    assert (b["note"], b["camera"], b["latitude"]) == ("wet", "NIKON D850", "")
    features = json.loads((out / "cracks.geojson").read_text(encoding="utf-8"))["features"]
    lefts = {
        feature["properties"]["photo"]: feature["geometry"]["coordinates"][0][0][0]
        for feature in features
    }
    assert lefts["b"] - lefts["a"] == 84  # 80 pixels, and 5 % of them
    points = json.loads((out / "photos.geojson").read_text(encoding="utf-8"))["features"]
    assert [point["properties"]["photo"] for point in points] == ["a"]
