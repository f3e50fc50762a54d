"""The inspector's job by the browser alone, and by files alone: the same numbers.

Ten dropped photos, three corrections, two scales, a comparison with last year, a filed PDF. Then
the same by commands, on the same photos and with the same three masks.
"""

import csv
import json
import re
import shutil

import cv2
import pytest

from fissura.cli import run
from fissura.inspection.report.pdf import find_browser

pytestmark = pytest.mark.slow  # the model has to look at photos

# It finds the cracks of walls that are drawn, which the model by default has for no photos.
MODEL = ("--model", "crackseg-small")
SIZE = (300, 400)
SCALES = {f"wall{number}.jpg": 0.2 if number < 5 else 0.4 for number in range(10)}
GROWN = ("wall0", "wall5")  # on these the crack was shorter last year
DAYS = ("2025-11-20", "2026-11-20")
LIMITS = "max_width_mm: 1.5\nmax_length_mm: 60\nmin_length_mm: 4\n"
HEADING = {"title": "Wall 7, yearly", "inspector": "A. Muster", "object": "Wall 7",
           "client": "City of Musterstadt"}  # fmt: skip
CORRECTED = ("wall1", "wall2", "wall7")
FILES = {"mask", "resolution_source"}
STATUSES = {"found", "corrected", "added", "rejected"}
TABLES = ("cracks.csv", "photos.csv", "widths.csv", "corrections.csv")


def rows(file):
    with file.open(newline="", encoding="utf-8-sig") as table:
        return list(csv.DictReader(table))


def fissura(*words):
    return run([str(word) for word in words])


@pytest.fixture(scope="module")
def job(kit, tmp_path_factory):
    """Ten walls of two years; last year's are inspected."""
    root = tmp_path_factory.mktemp("job")
    for number, name in enumerate(SCALES):
        surface = kit.wall(number, SIZE)
        crack = kit.line((60 + 7 * number, 30), (180, 370), 4 + number % 3, number)
        other = kit.line((270, 40), (230, 250), 4, number + 50)
        before = [crack[:200] if name[:5] in GROWN else crack, other]
        turned = kit.tilt(number, SIZE, 0.015)
        kit.save(root / "2025" / name, kit.photograph(surface, before, seed=number))
        kit.save(
            root / "sent" / name, kit.photograph(surface, [crack, other], turned, seed=90 + number)
        )
    (root / "limits.yaml").write_text(LIMITS, encoding="utf-8")
    (root / "growth.yaml").write_text("max_growth_mm_per_year: 10\n", encoding="utf-8")
    table = "".join(f"{name},{scale}\n" for name, scale in SCALES.items())
    (root / "scales.csv").write_text(f"file,mm_per_pixel\n{table}", encoding="utf-8")
    last = (*MODEL, "--out", root / "inspected 2025", "--limits", root / "limits.yaml")
    assert fissura("inspect", root / "2025", *last, "--table", root / "scales.csv") in (0, 3)
    (root / "2026").mkdir()
    return root


def test_by_the_browser_alone_and_by_files_alone(browser, real_desk, job):
    rules = (*MODEL, "--limits", job / "limits.yaml", "--growth", job / "growth.yaml")
    with (
        real_desk.running(job / "2026", *rules) as address,
        real_desk.opened(browser, address) as page,
    ):
        drop(page, job)
        scale(page, real_desk)
        correct(page, real_desk)
        finished = file_it(page)
        assert finished["compared"][0].startswith("Compared with inspected 2025: 10 pairs")
        look_at_results(page, address, finished)
    report = job / "2026" / "fissura-desk" / "report"
    told = {name: [row["status"] for row in rows(report / "corrections.csv")
                   if row["photo"] == name] for name in CORRECTED}  # fmt: skip
    assert "rejected" in told["wall1"]
    assert "added" in told["wall2"]
    assert "corrected" in told["wall7"]
    grown = {row["photo_new"] for row in rows(report / "comparison" / "changes.csv")
             if row["verdict"] == "grown"}  # fmt: skip
    assert set(GROWN) <= grown
    by_files(job)


def drop(page, job):
    """Put the photos on the desk, and wait for the model."""
    page.set_input_files("#files", [str(job / "sent" / name) for name in SCALES])
    for name in SCALES:
        page.wait_for_selector(f".photo-list li:has-text('{name}'):has-text('crack')")
        assert (job / "2026" / name).read_bytes() == (job / "sent" / name).read_bytes()


def scale(page, real_desk):
    """Type the scale of each photo."""
    for name, value in SCALES.items():
        real_desk.show(page, name)
        page.fill("[name=mm_per_pixel]", str(value))
        answer = real_desk.edited(page, lambda: page.keyboard.press("Enter"))
        assert answer["mm_per_pixel"] == value


def correct(page, real_desk):
    """Reject a crack on one photo, draw one on another, lengthen one on a third."""
    real_desk.show(page, "wall1.jpg")
    page.locator(".cracks .row").first.click()
    answer = real_desk.edited(page, lambda: page.keyboard.press("x"))
    assert answer["cracks"][0]["status"] == "rejected"
    real_desk.show(page, "wall2.jpg")
    page.keyboard.press("b")
    answer = real_desk.edited(page, lambda: real_desk.drag(page, (330, 20), (350, 45), (380, 55)))
    assert answer["cracks"][0]["status"] == "added"
    real_desk.show(page, "wall7.jpg")
    crack = page.evaluate(
        "() => import('/page/state.js').then(({ state }) => state.photo.cracks[0].lines[0])"
    )
    x, y = max(crack)
    before = min(crack)
    far = (x + 14, y + 6) if x < SIZE[1] - 20 else (before[0] - 14, before[1] + 6)
    near = [x, y] if x < SIZE[1] - 20 else before
    answer = real_desk.edited(page, lambda: real_desk.drag(page, near, far))
    assert answer["cracks"][0]["status"] == "corrected"


def file_it(page):
    """File the report with PDF and comparison; return what the desk tells of it."""
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    for name, text in HEADING.items():
        page.fill(f"[name={name}]", text)
    choice = page.locator("#earlier option", has_text="inspected 2025 · 10 photos")
    page.select_option("#earlier", choice.get_attribute("value"))
    page.fill("[name=old_date]", DAYS[0])
    page.fill("[name=new_date]", DAYS[1])
    page.click("#finish-go")
    page.wait_for_selector("#finish-result .results")
    return page.evaluate("() => fetch('/v1/desk').then((answer) => answer.json())")["finished"]


def look_at_results(page, address, finished):
    """Follow the links: the report, its PDF, and the comparison with its slider."""
    links = {link.inner_text(): link for link in page.locator("#finish-result a").all()}
    assert "Wall 7, yearly" in page.request.get(
        address.rstrip("/") + links["Open the report"].get_attribute("href")
    ).text()  # fmt: skip
    if find_browser() is None:
        assert any("No PDF was printed" in sentence for sentence in finished["said"])
    else:
        path = links["Open the PDF"].get_attribute("href")
        pdf = page.request.get(address.rstrip("/") + path).body()
        assert pdf.startswith(b"%PDF")
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 10  # a photo each, at the least
    with page.context.expect_page() as shown:
        links["Open the comparison"].click()
    comparison = shown.value
    comparison.wait_for_selector(".compare .divider", state="attached")
    slider = comparison.locator(".compare input[type=range]").first
    slider.fill("80")
    split = comparison.locator(".compare .images").first.evaluate(
        "images => images.style.getPropertyValue('--split')"
    )
    assert split == "80%"
    assert comparison.locator(".badge.grown").count() >= len(GROWN)
    comparison.close()


def by_files(job):
    """Do it all again by commands, with the masks that were corrected, and compare the files."""
    home, done = job / "2026" / "fissura-desk", job / "by files"
    asked = (*MODEL, "--out", done, "--limits", job / "limits.yaml", "--table", job / "scales.csv")
    assert fissura("inspect", job / "2026", *asked) in (0, 3)
    for name in map("wall{}.png".format, range(10)):
        own, found = (cv2.imread(str(one / "masks" / name), 0) for one in (done, home / "model"))
        assert (own == found).all(), name
    for name in CORRECTED:
        shutil.copy(home / "masks" / f"{name}.png", done / "masks" / f"{name}.png")
    assert fissura("inspect", job / "2026", *asked, "--resume", "--report",
                   home / "report.yaml") in (0, 3)  # fmt: skip
    mine, theirs = home / "report", done
    for name in TABLES:
        assert numbers(theirs / name) == numbers(mine / name), name
    growth = ("--limits", job / "growth.yaml", "--old-date", DAYS[0], "--new-date", DAYS[1])
    out = job / "growth"
    assert fissura("compare", job / "inspected 2025", done, "--out", out, *growth) in (0, 3)
    assert rows(out / "changes.csv") == rows(mine / "comparison" / "changes.csv")
    told = [json.loads((one / "comparison.json").read_text()) for one in (out, mine / "comparison")]
    assert told[0]["pairs"] == told[1]["pairs"]


def numbers(table):
    """The rows of a table, without the files that figures are from.

    The desk files each mask as a corrected one, so that cracks of untouched photos count as found.
    """
    kept = []
    for row in rows(table):
        touched = row["photo"] in CORRECTED
        if touched or table.name != "corrections.csv":
            left_out = FILES if touched or table.name != "photos.csv" else {*FILES, *STATUSES}
            kept.append({name: text for name, text in row.items() if name not in left_out})
    return kept
