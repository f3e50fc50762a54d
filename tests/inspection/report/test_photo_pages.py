"""A report of many photos: an index, lists, a page for each photo; links lead somewhere."""

import re
from html import unescape
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from fissura.inspection.report import page as page_module
from fissura.inspection.report import photo_pages
from fissura.inspection.report.page import About, report
from fissura.inspection.rules.limits import Limits

ABOUT = About(model="m", settings={}, model_card=None, versions={}, created="today")
NAMES = ["deck/a", "deck/b & c", "pier/ü#1?", "d", "e"]


@pytest.fixture
def written(tmp_path, fake_photo, straight, write, monkeypatch):
    """Write a report of five photos; the fourth has the widest crack, the second has none."""
    monkeypatch.setattr(page_module, "ON_ONE_PAGE", 3)

    def build(*, listed, limits=None):
        monkeypatch.setattr(photo_pages, "LIST", listed)
        photos = []
        for number, name in enumerate(NAMES):
            width = 9.0 if name == "d" else 1.0 + number / 10
            cracks = [] if number == 1 else [straight(10, width)]
            fails = ["too wide"] if limits and name == "a" else []
            mm = 0.5 if name == "e" else None
            photos.append(fake_photo(name, cracks, mm_per_pixel=mm, failures=fails))
        overlay = tmp_path / "overlays" / "deck" / "a.jpg"
        overlay.parent.mkdir(parents=True)
        cv2.imwrite(str(overlay), np.zeros((70, 80, 3), np.uint8))
        photos[0] = fake_photo(
            NAMES[0], photos[0].cracks, files={"overlay": "overlays/deck/a.jpg"},
            failures=["too wide"] if limits else [], judged=limits is not None,
        )  # fmt: skip
        write(report(tmp_path / "report.html", ABOUT, limits=limits, expected=5), photos)
        return tmp_path

    return build


def text(file):
    return file.read_text(encoding="utf-8")


def links(file):
    """Files that a page leads to."""
    found = re.findall(r'(?:href|src)="([^"#][^"]*)"', text(file))
    return [
        (file.parent / unquote(unescape(link))).resolve()
        for link in found
        if not link.startswith("data:")
    ]


def rows(file):
    """Names of the photos in the table of photos."""
    return [
        unescape(name)
        for name in re.findall(r'<tr><td class="name"><a href="[^"]+">(.*?)</a>', text(file))
    ]


def test_every_link_leads_to_a_page(written):
    out = written(listed=2)
    pages = {file.resolve() for file in (out / "report").rglob("*.html")}
    assert len(pages) == 5 + 3
    seen, waiting = set(), [(out / "report.html").resolve()]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        assert page.is_file()
        waiting += [file for file in links(page) if file.suffix == ".html"] if page else []
    assert pages <= seen
    own = text(out / "report/photos/deck/a.html")
    assert (out / "overlays/deck/a.jpg").resolve() in links(out / "report/photos/deck/a.html")
    assert "img-src data: file:" in own
    assert 'width="80" height="70"' in own


def test_the_index_has_the_widest_first_and_lists_have_all(written):
    out = written(listed=2)
    assert rows(out / "report.html") == ["d", "pier/ü#1?"]
    listed = [rows(out / f"report/lists/{number}.html") for number in (1, 2, 3)]
    assert listed[:2] == [NAMES[:2], NAMES[2:4]]
    assert "No crack was found on this photo" in text(out / "report/photos/deck/b & c.html")
    index = text(out / "report.html")
    assert "The 2 photos" not in index
    assert "the 2 photos with the widest cracks" in index
    assert 'href="#photos"' not in index


def test_those_that_fail_come_first(written):
    out = written(listed=2, limits=Limits(max_width_px=100))
    assert rows(out / "report.html")[0] == "deck/a"


def test_an_index_with_room_has_all_in_their_order(written):
    out = written(listed=10)
    # The photo with a resolution has a table of its own, in millimeters.
    assert rows(out / "report.html") == ["e", *NAMES[:4]]
    assert not (out / "report/lists").exists()
