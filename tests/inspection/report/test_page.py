"""The report: it holds everything, asks for nothing, escapes what users named, and its page works.

Scripts are tried in a headless Chromium where there is one.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fissura.files.failures import Failure
from fissura.inspection.report.page import About
from fissura.inspection.report.page import report as report_exporter
from fissura.inspection.report.tables import number_text
from fissura.inspection.rules.limits import Limits, find_failures, judge
from fissura.inspection.rules.severity import Classes, find_profile

EVIL = '<script>alert("1")</script>&\'x'
LIMITS = Limits(max_width_mm=0.2, max_width_px=2, max_cracks=3)
VOID = {"meta", "img", "input", "br", "hr", "link"}
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1200,900",
    "--virtual-time-budget=3000",
    "--dump-dom",
]


def judged(photos, limits=LIMITS):
    return [
        replace(
            photo,
            judged=True,
            failures=judge(
                limits, photo.cracks, size_hw=photo.size_hw, mm_per_pixel=photo.mm_per_pixel
            ),
        )
        for photo in photos
    ]


def report(path, photos, limits=LIMITS, expected=None, **changes):
    given = {
        "model": "general",
        "settings": {"model": "general", "threshold": 0.5, "tta": False},
        "model_card": "# Model\n\nFor *roads*.",
        "versions": {"fissura": "0.1.0"},
        "created": "24 November 2026, 12:00 CET",
    }
    about = About(**(given | changes))
    with report_exporter(path, about, limits=limits, expected=expected or 3) as add:
        for photo in photos:
            add(photo)
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Elements of a page, and whether they are well nested."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts, self.styles = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        kind = self.open[-1] if self.open else ""
        (self.styles if kind in ("style", "script") else self.texts).append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag, **attrs):
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key) == value for key, value in attrs.items())
        ]


@pytest.fixture(scope="module")
def photos(panel_photo, fake_photo, straight):
    scaled = [
        straight(10, 3.0, 40.0, mm_per_pixel=0.1),
        straight(25, 12.0, 30.0, number=2, mm_per_pixel=0.1),
        straight(40, float("nan"), 8.0, number=3, mm_per_pixel=0.1),
        straight(50, 1.0, 4.0, number=4, mm_per_pixel=0.1),
    ]
    return judged(
        [
            fake_photo(f"site/{EVIL}", scaled, mm_per_pixel=0.1, files={"mask": f"m/{EVIL}.png"}),
            panel_photo(4, (120, 160)),
            fake_photo("clean", [], mm_per_pixel=0.1),
        ]
    )


@pytest.fixture(scope="module")
def text(photos, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    settings = {EVIL: EVIL, "options": {"a": [1, True]}, "threshold": 0.123456789}
    return report(
        path,
        photos,
        settings=settings,
        model_card=f"# {EVIL}",
        created=EVIL,
        model=EVIL,
        failures=[Failure(Path(EVIL), EVIL)],
        edited=[EVIL],
    )


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


class TestPage:
    def test_well_formed(self, page):
        assert page.all("html")[0]["lang"] == "en"
        identities = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
        assert len(identities) == len(set(identities))
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))

    def test_asks_the_network_for_nothing(self, page):
        identities = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
        for tag, attrs in page.elements:
            assert tag not in ("link", "iframe", "object", "embed", "base", "audio", "video")
            for name in ("src", "href", "srcset", "action", "poster", "data", "background"):
                value = attrs.get(name)
                if value is None:
                    continue
                assert value.startswith(("data:image/", "#")), (tag, name, value[:60])
                assert not value.startswith("#") or value[1:] in identities
            assert not any(name.startswith("on") for name in attrs)
            assert "url(" not in attrs.get("style", "")
        code = "".join(page.styles)
        assert "url(" not in code
        assert not re.search(r"@import|import\(|fetch\(|XMLHttp|https?:|WebSocket|Beacon", code)

    def test_policy_forbids_requests(self, page):
        (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
        rules = dict(rule.split(maxsplit=1) for rule in policy["content"].split("; "))
        assert rules["default-src"] == "'none'"
        assert rules["img-src"] == "data:"
        first = [tag for tag, _ in page.elements if tag in ("meta", "style", "script")][:3]
        assert first == ["meta", "meta", "meta"]  # before anything that it rules

    def test_what_users_named_is_escaped(self, text, page):
        assert EVIL not in text
        assert text.count("<script>") == 1
        assert page.text.count(EVIL) >= 11
        for image in page.all("img"):
            assert image["alt"]

    def test_summary(self, page):
        assert "Crack inspection of 3 photos" in page.text
        assert "2 of 3 photos fail the limits:" in page.text
        assert "No resolution is known for 1 of 3 photos." in page.text
        assert "Widest crack 1.20 mm" in page.text
        assert "max_width_mm 0.2" in page.text

    def test_every_photo_and_crack_has_its_place(self, page, photos):
        for number, photo in enumerate(photos, start=1):
            assert page.all("section", id=f"photo-{number}")
            rows = [row for row in page.all("tr") if row.get("data-photo") == str(number)]
            assert len(rows) == len(photo.cracks)
            for failure in photo.failures:
                assert failure in page.text
        assert len(page.all("img")) == 6

    def test_box_is_in_widths_of_the_photo(self, page, photos):
        row = next(row for row in page.all("tr") if row.get("data-photo") == "1")
        top, left, bottom, right = photos[0].cracks[0].box
        shown = [float(value) for value in row["data-box"].split()]
        np.testing.assert_allclose(shown, np.array([left, top, right, bottom]) / 80, atol=1e-4)

    def test_units_are_not_mixed(self, page):
        assert "Photos with a resolution, in millimeters" in page.text
        assert "Length, mm" in page.text
        assert "Length, px" in page.text

    def test_above_the_limit_is_flagged(self, text):
        flagged = re.findall(r'<td class="n over" data-v="([\d.]+)"', text)
        assert {"0.3", "1.2"} <= set(flagged)

    def test_cautions(self, page):
        assert "Cracks were found automatically." in page.text
        assert "nowhere wider than 2 pixels" in page.text
        assert "1 of" in page.text
        assert "without a width" in page.text

    def test_settings(self, page):
        assert "options a: 1, yes" in page.text
        assert "0.123457" in page.text


class TestVariants:
    def test_without_limits_nothing_is_called_passed(self, tmp_path, fake_photo):
        page = Page(report(tmp_path / "r.html", [fake_photo("a")], limits=None, model_card=None))
        assert "No limits were given, so that no photo was judged." in page.text
        assert "Verdict" not in page.text
        assert "Pass" not in page.text
        assert "No resolution is known for this photo." in page.text
        assert "The model came without a description." in page.text

    def test_all_pass(self, tmp_path, fake_photo):
        photos = judged([fake_photo("a", mm_per_pixel=0.1)], Limits(max_cracks=9))
        page = Page(report(tmp_path / "r.html", photos, limits=Limits(max_cracks=9)))
        assert "The photo keeps the limits." in page.text
        assert "No resolution is known" not in page.text

    def test_no_photo_and_no_crack(self, tmp_path, fake_photo):
        assert "There are no photos." in Page(report(tmp_path / "r.html", [])).text
        page = Page(report(tmp_path / "r.html", [fake_photo("a", [])], limits=None))
        assert "No crack was found on any photo." in page.text

    def test_images_shrink_where_there_are_many(self, tmp_path, fake_photo):
        large = fake_photo("a", [], (900, 2400), preview=np.zeros((900, 2400, 3), np.uint8))
        sides = []
        for count in (1, 400, 500):
            page = Page(report(tmp_path / "r.html", [large], limits=None, expected=count))
            sides.append(int(page.all("img")[0]["width"]))
        assert sides == [1600, 800, 716]

    def test_files_left_out_and_edited_masks_are_named(self, tmp_path, fake_photo):
        failures = [Failure(Path(f"{n}.jpg"), f"{n}.jpg is damaged.") for n in range(14)]
        for count in (1, 14):
            text = report(
                tmp_path / "r.html", [fake_photo("a")], failures=failures[:count],
                edited=["masks/a.png was changed."],
            )  # fmt: skip
            page = Page(text)
            said = "1 file was left out" if count == 1 else "14 files were left out"
            assert said in page.text
            assert all(failure.reason in page.text for failure in failures[:count])
            assert "masks/a.png was changed." in page.text
        assert "2 more" in page.text

    def test_long_tables_and_photos_wait_in_files(self, tmp_path, fake_photo, monkeypatch):
        photos = [fake_photo(f"photo {number}") for number in range(4)]
        whole = report(tmp_path / "r.html", photos)
        monkeypatch.setattr("fissura.inspection.report.page.SPOOLED", 100)
        monkeypatch.setattr("fissura.inspection.report.page.CHUNK", 1000)
        assert report(tmp_path / "r.html", photos) == whole

    def test_a_failure_leaves_the_old_report(self, tmp_path, fake_photo):
        path = tmp_path / "r.html"
        path.write_text("old")

        def stream():
            yield fake_photo("a")
            raise RuntimeError

        with pytest.raises(RuntimeError):
            report(path, stream())
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_many_reasons_are_folded(self, tmp_path, fake_photo):
        failures = [f"Reason {number}." for number in range(9)]
        page = Page(report(tmp_path / "r.html", [fake_photo("a", judged=True, failures=failures)]))
        assert "4 more reasons" in page.text
        assert all(failure in page.text for failure in failures)

    def test_names_that_are_not_unicode(self, tmp_path, fake_photo):
        assert "bad \\xff" in report(tmp_path / "r.html", [fake_photo("bad \udcff", [])])


@pytest.mark.parametrize(
    ("value", "shown"),
    [(999.6, "1,000"), (0.00012345, "0.000123"), (-5.0, "-5.00"), (12.0, "12.0")],
)
def test_number_text(value, shown):
    assert number_text(value) == shown


def harness():
    """What is put in front of </body>."""
    script = Path(__file__).with_name("try_page.js").read_text(encoding="utf-8")
    return f'<pre id="result"></pre><script>{script}</script></body>'


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_scripts_in_a_browser(text, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(text.replace("</body>", harness()), encoding="utf-8")
    flags = [f"--user-data-dir={tmp_path / 'profile'}", *FLAGS]
    done = subprocess.run(
        [str(CHROMIUM), *flags, path.as_uri()],
        capture_output=True,
        timeout=60,
        check=True,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout.decode(), re.DOTALL)
    assert found, done.stderr.decode()[-2000:]
    said = json.loads(unescape(found[1]))

    # What could not be measured comes last, either way.
    assert said["down"] == ["descending", ["1.2", "0.3", "0.1", None]]
    assert said["up"] == ["ascending", ["0.1", "0.3", "1.2", None]]
    assert said["sorted"] == 1
    shown = [int(text.split()[0]) for text in said["filter"]]
    every = int(said["filter"][0].split()[2])
    assert shown[0] == shown[4] == every
    assert shown[3] == every - 4
    assert shown[1] > shown[2] > 0
    assert said["hash"] == "#photo-1"
    did = ("focus", "chosen", "zoomed", "inside", "page_scrolls", "wheel")
    assert {name: said[name] for name in did} == dict.fromkeys(did, True)
    np.testing.assert_allclose(said["off"], 0, atol=0.01)
    np.testing.assert_allclose(said["zooms"], [1, 1.6, 1, 2, 1, 1.4])
    np.testing.assert_allclose(said["dragged"], [-10, 5], atol=0.01)
    assert said["pinched"] == pytest.approx(2, abs=1e-3)
    assert said["toggled"] == "hidden"
    assert said["widths"][0] == pytest.approx(said["widths"][1], abs=1)


def test_classes_types_and_thumbnails_are_on_the_page(tmp_path, panel_photo):
    classes = Classes(find_profile("aashto-reinforced"))
    photo = replace(panel_photo(3, mm_per_pixel=0.5), classes=classes)
    found = find_failures(LIMITS, photo.cracks, size_hw=photo.size_hw, mm_per_pixel=0.5)
    photo = replace(
        photo,
        judged=True,
        failures=[reason for reason, _ in found],
        over=[number for _, number in found],
    )
    about = About(model="m", settings={}, model_card=None, versions={}, created="now")
    path = tmp_path / "r.html"
    with report_exporter(path, about, limits=LIMITS, expected=1, classes=classes) as add:
        add(photo)
    text = path.read_text(encoding="utf-8")
    assert "AASHTO, Manual for Bridge Element Inspection" in text
    assert "could not be read in it" in unescape(text)
    pictured = text.count('class="thumbnail"')
    assert 1 <= pictured <= 5
    for crack in photo.cracks:
        assert f'<td class="word">{photo.kind(crack)}</td>' in text
        assert f'<td class="word">{photo.severity(crack)}</td>' in text


def test_a_photo_that_the_model_does_not_know_is_marked_beside_its_verdict(tmp_path, fake_photo):
    photos = judged(
        [
            fake_photo("known", unfamiliarity=0.8),
            fake_photo("strange", unfamiliarity=1.4),
        ]
    )
    text = report(tmp_path / "r.html", photos)
    assert "1 photo is unlike the photos that the model was trained on" in unescape(
        re.sub(r"<[^>]+>", "", text)
    )
    sections = text.split('<section class="photo"')[1:]
    assert ["badge doubt" in section for section in sections] == [False, True]
    assert photos[1].domain_warning in unescape(sections[1])
