"""The page of the desk, in Chromium: from dropped photos to a filed report."""

import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

import fissura

pytestmark = pytest.mark.slow  # a browser

# Where points of a photo of 900 x 600 lie on the screen.
WHERE = """([x, y]) => import('/page/camera.js').then(({ toScreen }) => {
  const box = document.querySelector('#stage').getBoundingClientRect(), at = toScreen([x, y]);
  return [box.left + at[0], box.top + at[1]];
})"""


def png(size=(60, 40)):
    stream = io.BytesIO()
    Image.new("RGB", size, "gray").save(stream, "png")
    return stream.getvalue()


def screen(page, point):
    return page.evaluate(WHERE, list(point))


def click(page, point):
    page.mouse.click(*screen(page, point))


def drag(page, points):
    page.mouse.move(*screen(page, points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*screen(page, point), steps=4)
    page.mouse.up()


def until(page, holds, seconds=20):
    """Wait until a condition holds; the page's policy forbids to ask by `wait_for_function`."""
    for _ in range(seconds * 20):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never held")


def saved(page):
    page.wait_for_selector("#saved[data-state=saved]")


def middle(photo, number=0):
    """Return a point on the center line of a crack."""
    return photo.cracks[number]["lines"][0][45]


def rows(page):
    return page.locator(".cracks > li")


def test_photos_are_listed_and_the_first_is_open(page):
    assert page.locator("#photo-list li").count() == 3
    assert page.inner_text("#photo-name") == "pier 1 north.jpg"
    assert page.inner_text("#desk-name") == "Bridge 12 · fissura-base"
    assert "4 open" in page.inner_text("#panel")


def test_from_drop_to_filed_report(page, desk):
    files = [
        {"name": "new.png", "mimeType": "image/png", "buffer": png()},
        {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"nothing"},
    ]
    data = page.evaluate_handle(
        """(files) => { const data = new DataTransfer();
        for (const [name, bytes] of files) data.items.add(new File([new Uint8Array(bytes)], name));
        return data; }""",
        [[file["name"], list(file["buffer"])] for file in files],
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": data})
    assert page.is_visible("#drop")
    page.dispatch_event("body", "drop", {"dataTransfer": data})
    assert not page.is_visible("#drop")
    page.wait_for_selector("#uploads .error")
    assert "not an image" in page.inner_text("#uploads .error")
    page.wait_for_selector("[data-photo=p4]:has-text('open')")
    page.click("[data-photo=p4] button")
    page.wait_for_selector("#photo-name:has-text('new.png')")
    page.click("text=Accept all open")
    saved(page)
    page.click("[data-command=finish]")
    assert "cracks are still open" in page.inner_text("#finish-open")
    page.fill("[name=title]", "Bridge 12, spring")
    page.fill("[name=inspector]", "A. Person")
    page.check("[name=training]")
    page.click("#finish-go")
    page.wait_for_selector("#finish-result .results")
    assert desk.filed["title"] == "Bridge 12, spring"
    assert desk.filed["pdf"] is True
    assert desk.filed["training"] is True
    links = page.locator("#finish-result a")
    addresses = [link.get_attribute("href") for link in links.all()]
    assert addresses == ["/v1/results/report.html", "/v1/results/report.pdf"]
    assert "fissura-desk/training" in page.inner_text("#finish-result")
    assert "earlier" not in desk.filed


def test_the_report_is_compared_with_an_earlier_inspection(page, desk):
    page.click("[data-command=finish]")
    assert not page.is_visible("[name=old_date]")
    page.select_option("#earlier", label="pier 2025/report · 3 photos · Nov 20, 2025")
    page.fill("[name=old_date]", "2025-11-19")
    page.click("#finish-go")
    page.wait_for_selector("#finish-result .results")
    asked = {name: desk.filed.get(name) for name in ("earlier", "old_date", "new_date")}
    assert asked == {"earlier": "e1", "old_date": "2025-11-19", "new_date": None}
    link = page.locator("#finish-result a", has_text="Open the comparison")
    assert link.get_attribute("href") == "/v1/results/comparison/comparison.html"
    assert "Compared with pier 2025" in page.inner_text("#finish-result")
    page.click("#finish [data-close] >> nth=0")
    desk.earlier = []
    page.click("[data-command=finish]")
    page.wait_for_selector("#earlier-none")
    assert page.is_disabled("#earlier")


def test_a_report_waits_for_the_edits_that_are_on_their_way(page, desk):
    desk.delay = 1.5
    page.keyboard.press(".")
    page.keyboard.press("a")
    page.click("[data-command=finish]")
    page.click("#finish-go")
    page.wait_for_selector("#finish-result .results")
    paths = [path for path, _ in desk.asked]
    assert paths == ["/v1/photos/p1/edits", "/v1/finish"]
    assert desk.photos["p1"].cracks[0]["status"] == "accepted"
    assert not page.is_visible("#finish-error")


def test_a_report_is_not_filed_without_edits_that_cannot_be_saved(page, desk, complaints):
    complaints += ["Failed to load resource", "net::ERR"]
    desk.down = True
    page.keyboard.press(".")
    page.keyboard.press("a")
    page.wait_for_selector("#saved[data-state=lost]")
    page.click("[data-command=finish]")
    page.click("#finish-go")
    page.wait_for_selector("#finish-error:has-text('1 edit is not saved yet.')")
    assert desk.filed is None


def test_a_click_selects_and_hover_shows_figures(page, desk):
    photo = desk.photos["p1"]
    page.mouse.move(*screen(page, middle(photo, 1)))
    page.wait_for_selector("#tip:not([hidden])")
    assert "Length" in page.inner_text("#tip")
    click(page, middle(photo, 1))
    chosen = page.locator(".cracks > li[aria-current=true]")
    assert chosen.get_attribute("data-crack") == "c2"
    page.click("button.accept")
    saved(page)
    assert photo.cracks[1]["status"] == "accepted"
    page.click("button.accept")  # the same again takes it back
    page.wait_for_selector(".cracks > li[data-crack=c2] .dot.found")
    page.fill("#crack-class", "seam")
    page.keyboard.press("Enter")
    page.fill("[name=crack-note]", "at the bearing")
    page.keyboard.press("Tab")
    saved(page)
    assert photo.cracks[1]["class"] == "seam"
    offered = page.locator("#classes option").all()
    assert [one.get_attribute("value") for one in offered] == ["crack", "joint", "seam"]
    assert photo.cracks[1]["note"] == "at the bearing"
    assert photo.cracks[1]["status"] == "found"


def test_a_click_counts_though_it_ends_the_typing_of_a_note(page, desk):
    photo = desk.photos["p1"]
    page.keyboard.press(".")
    page.fill("[name=crack-note]", "at the bearing")
    box = page.locator("button.accept").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.wait_for_timeout(300)  # the note is saved and its answer here before the button is let go
    page.mouse.up()
    until(page, lambda: photo.cracks[0]["status"] == "accepted")
    assert photo.cracks[0]["note"] == "at the bearing"


def test_brush_and_eraser_change_the_mask_and_undo_takes_it_back(page, desk):
    photo = desk.photos["p1"]
    before = photo.mask.getbbox(), photo.mask.getpixel((450, 560))
    page.keyboard.press("b")
    drag(page, [(300, 560), (450, 560), (600, 560)])
    saved(page)
    assert photo.mask.getpixel((450, 560)) == 255
    assert rows(page).count() == 5
    page.keyboard.press("e")
    drag(page, [(280, 560), (620, 560)])
    until(page, lambda: page.locator(".cracks > li").count() == 4)
    page.keyboard.press("Control+z")
    until(page, lambda: page.locator(".cracks > li").count() == 5)
    page.keyboard.press("Control+z")
    until(page, lambda: page.locator(".cracks > li").count() == 4)
    saved(page)
    assert (photo.mask.getbbox(), photo.mask.getpixel((450, 560))) == before
    page.keyboard.press("Control+Shift+Z")
    until(page, lambda: page.locator(".cracks > li").count() == 5)
    page.reload()
    page.wait_for_selector(".cracks > li:nth-child(5)")
    assert photo.mask.getpixel((450, 560)) == 255


def painted(page, point):
    """Return whether the mask's canvas shows crack at a point of the photo."""
    return page.evaluate(
        """([x, y]) => import('/page/camera.js').then(({ toScreen }) => {
        const at = toScreen([x, y]).map((value) => Math.round(value * devicePixelRatio));
        const canvas = document.querySelector('#mask').getContext('2d');
        return canvas.getImageData(...at, 1, 1).data[3] > 99; })""",
        list(point),
    )


def test_the_mask_shows_a_stroke_at_once_and_the_saved_one_after(page):
    page.keyboard.press("b")
    page.mouse.move(*screen(page, (300, 560)))
    page.mouse.down()
    page.mouse.move(*screen(page, (500, 560)), steps=5)
    page.wait_for_timeout(60)
    assert painted(page, (400, 560))  # before anything was sent
    page.mouse.up()
    saved(page)
    page.wait_for_timeout(300)
    assert painted(page, (400, 560))
    page.keyboard.press("Control+z")
    page.wait_for_timeout(500)
    assert not painted(page, (400, 560))


def test_the_line_tool_snaps_and_goes_on(page, desk):
    page.keyboard.press("l")
    click(page, (200, 550))
    page.mouse.move(*screen(page, (400, 560)), steps=3)
    page.wait_for_timeout(300)
    assert any(path.endswith("/path") for path, _ in desk.asked)
    click(page, (400, 560))
    saved(page)
    click(page, (600, 540))
    until(page, lambda: page.locator(".cracks > li").count() == 6)
    edits = [body for path, body in desk.asked if path.endswith("/edits")]
    assert [body["kind"] for body in edits] == ["line", "line"]
    assert edits[0]["width"] == 5.0
    assert edits[1]["points"][0] == edits[0]["points"][-1]
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.get_attribute("#stage", "data-tool") == "hand"


def test_scale_from_a_length_and_from_corners(page, desk):
    page.keyboard.press("s")
    click(page, (100, 100))
    click(page, (300, 100))
    page.fill("#options [name=true_length]", "50")
    page.select_option("#options [name=unit]", "cm")
    page.keyboard.press("Enter")
    saved(page)
    assert desk.photos["p1"].mm_per_pixel == pytest.approx(2.5, rel=0.02)
    assert "mm" in page.inner_text(".cracks > li")
    page.keyboard.press("r")
    for point in [(100, 100), (300, 110), (310, 300), (90, 290)]:
        click(page, point)
    drag(page, [(310, 300), (330, 320)])  # a corner is moved before it counts
    page.fill("#options [name=wide]", "-3")
    page.fill("#options [name=high]", "100")
    page.click("#options [type=submit]")
    assert page.locator("#options").is_visible()
    page.fill("#options [name=wide]", "100")
    page.click("#options [type=submit]")
    page.wait_for_selector("#options", state="hidden")
    saved(page)
    last = [body for path, body in desk.asked if path.endswith("/edits")][-1]
    assert (last["width_mm"], last["height_mm"]) == (100, 100)
    assert last["corners"][2] == pytest.approx([330, 320], abs=3)


def test_a_scale_is_carried_to_the_next_photo_by_a_click(page, desk):
    assert page.locator("[data-focus=same-scale]").count() == 0
    page.fill("[name=mm_per_pixel]", "0.25")
    page.keyboard.press("Enter")
    saved(page)
    page.click("[data-photo=p2] button")
    page.wait_for_selector("#photo-name:has-text('pier 2')")
    page.click("text=As set before: 0.25 mm per pixel")
    until(page, lambda: desk.photos["p2"].mm_per_pixel == 0.25)
    page.wait_for_selector("[data-focus=same-scale]", state="detached")


def test_zoom_keeps_the_point_under_the_pointer(page):
    before = [round(edge) for edge in screen(page, (350, 250))]  # wheels know whole pixels
    point = page.evaluate(
        """([x, y]) => import('/page/camera.js').then(({ toPhoto }) => {
        const box = document.querySelector('#stage').getBoundingClientRect();
        return toPhoto(x - box.left, y - box.top); })""",
        before,
    )
    page.mouse.move(*before)
    for _ in range(3):
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(250)
    assert screen(page, point) == pytest.approx(before, abs=1.5)
    assert int(re.sub(r"\D", "", page.inner_text("#zoom"))) > 100
    page.keyboard.press("0")
    page.wait_for_timeout(100)
    assert screen(page, point) == pytest.approx(before, abs=1.5)


@pytest.mark.parametrize(("key", "kind"), [("n", "note"), ("c", "class")])
def test_words_belong_to_the_crack_that_is_selected_however_late_it_is_drawn(page, desk, key, kind):
    photo = desk.photos["p2"]
    before = [crack[kind] for crack in photo.cracks[:2]]
    page.keyboard.press("PageDown")
    page.wait_for_selector("#photo-name:has-text('pier 2')")
    page.keyboard.press(".")
    page.wait_for_selector("[name=crack-note]")
    page.evaluate("() => { window.requestAnimationFrame = (draw) => setTimeout(draw, 700); }")
    page.keyboard.press(".")
    page.keyboard.press(key)
    page.keyboard.type("hairline")
    page.keyboard.press("Escape")
    until(page, lambda: photo.revision == 1)
    assert [crack[kind] for crack in photo.cracks[:2]] == [before[0], f"{before[1]}hairline"]


def test_by_keyboard_alone(page, desk):
    photo = desk.photos["p2"]
    page.keyboard.press("PageDown")
    page.wait_for_selector("#photo-name:has-text('pier 2')")
    page.keyboard.press(".")
    page.keyboard.press("a")
    page.keyboard.press(".")
    page.keyboard.press("x")
    page.keyboard.press("n")
    page.keyboard.type("hairline")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    until(page, lambda: photo.revision == 4)
    saved(page)
    kinds = [(body["kind"]) for path, body in desk.asked if path.endswith("/edits")]
    assert kinds == ["status", "status", "note", "paint"]
    assert [one["status"] for one in photo.cracks[:2]] == ["accepted", "rejected"]
    assert photo.cracks[1]["note"] == "hairline"
    page.keyboard.press("?")
    assert page.is_visible("#help kbd:has-text('Page down')")
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    assert page.is_visible("#finish")
    page.keyboard.press("Escape")
    # Every button of the page can be reached and has a name.
    names = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, textarea')]
        .filter((one) => one.checkVisibility())
        .filter((one) => !one.ariaLabel && !one.textContent.trim() && !one.labels?.length)
        .map((one) => one.outerHTML)"""
    )
    assert names == []


def test_a_tool_that_is_chosen_by_its_key_takes_the_keys(page, desk):
    page.click("[data-photo=p2] button")
    page.wait_for_selector("#photo-name:has-text('pier 2')")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(page, lambda: desk.photos["p2"].revision == 1)


def test_single_keys_can_be_turned_off(page):
    page.keyboard.press("?")
    page.uncheck("#single-keys")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    assert page.get_attribute("#stage", "data-tool") == "hand"
    page.keyboard.press("PageDown")
    page.wait_for_selector("#photo-name:has-text('pier 2')")


def test_a_lost_server_is_said_and_edits_are_sent_when_it_is_back(page, desk, complaints):
    complaints += ["Failed to load resource", "net::ERR"]
    photo = desk.photos["p1"]
    desk.down = True
    page.keyboard.press(".")
    page.keyboard.press("a")
    page.wait_for_selector("#saved[data-state=lost]")
    assert "1 not saved" in page.inner_text("#saved")
    assert "doesn't answer" in page.inner_text("#notice")
    page.wait_for_selector("button.accept[aria-pressed=true]")  # shown, and not called saved
    page.keyboard.press(".")
    page.keyboard.press("x")
    page.wait_for_selector("#saved:has-text('2 not saved')")
    assert photo.revision == 0
    desk.down = False
    page.click("text=Try now")
    saved(page)
    assert [one["status"] for one in photo.cracks[:2]] == ["accepted", "rejected"]
    assert page.is_hidden("#notice")


def test_unsaved_edits_outlive_a_reload(page, desk, complaints):
    complaints += ["Failed to load resource", "net::ERR"]
    page.on("dialog", lambda dialog: dialog.accept())
    desk.down = True
    page.keyboard.press(".")
    page.keyboard.press("a")
    page.wait_for_selector("#saved[data-state=lost]")
    desk.down = False
    page.reload()
    saved(page)
    assert desk.photos["p1"].cracks[0]["status"] == "accepted"


def test_an_edit_whose_answer_was_lost_is_not_made_twice(page, desk, complaints):
    complaints += ["Failed to load resource", "net::ERR"]
    desk.deaf = True
    page.keyboard.press("b")
    drag(page, [(300, 560), (450, 560)])
    page.wait_for_selector("#saved[data-state=lost]")
    desk.deaf = False
    page.click("text=Try now")
    page.wait_for_selector("#notice:has-text('An answer was lost')")
    until(page, lambda: page.locator(".cracks > li").count() == 5)
    assert desk.photos["p1"].revision == 1


def test_a_change_elsewhere_is_said_and_can_be_built_upon(page, desk, complaints):
    complaints += ["409"]
    photo = desk.photos["p1"]
    photo.edited({"kind": "status", "crack": "c3", "status": "rejected"}, "edits")
    page.keyboard.press(".")
    page.keyboard.press("a")
    page.wait_for_selector("#notice:has-text('changed elsewhere')")
    page.wait_for_selector(".cracks > li[data-crack=c3].rejected")
    assert photo.cracks[0]["status"] == "found"
    page.click("text=Apply again")
    saved(page)
    assert photo.cracks[0]["status"] == "accepted"


def test_a_refused_edit_is_taken_back(page, complaints):
    complaints += ["422"]
    page.fill("#photo-note", "refuse me")
    page.keyboard.press("Tab")
    page.wait_for_selector("#toasts:has-text('This note is refused.')")
    until(page, lambda: page.input_value("#photo-note") == "")


def test_the_history_tells_what_was_done(page, desk):
    page.click("#panel summary:has-text('History')")
    page.wait_for_selector(".history:has-text('Nothing was done')")
    page.keyboard.press(".")
    page.keyboard.press("x")
    page.wait_for_selector(".history li:has-text('Rejected: crack c1')")


def test_unsaved_edits_are_not_sent_to_another_desk(page, desk, complaints):
    complaints += ["Failed to load resource", "net::ERR"]
    page.on("dialog", lambda dialog: dialog.accept())
    desk.down = True
    page.keyboard.press(".")
    page.keyboard.press("a")
    page.wait_for_selector("#saved[data-state=lost]")
    desk.down = False
    desk.photos["p1"].name = "another.jpg"
    page.reload()
    page.wait_for_selector("#photo-name:has-text('another')")
    page.wait_for_timeout(200)
    assert desk.photos["p1"].revision == 0


def test_a_photo_that_the_model_does_not_know_is_marked_beside_its_verdict(page, desk):
    assert page.locator(".badge", has_text="unfamiliar").count() == 0
    desk.photos["p2"].unfamiliar = True
    desk.say("photo", desk.photos["p2"].summary())
    page.wait_for_selector("[data-photo=p2] .badge:has-text('unfamiliar')")
    page.click("[data-photo=p2] button")
    page.wait_for_selector("#photo-verdict .badge:has-text('unfamiliar')")
    assert "unlike those that the model was trained on" in page.inner_text("#panel")


def test_the_filter_tells_open_from_judged(page):
    page.click("text=Accept all open")
    saved(page)
    page.keyboard.press("PageDown")
    page.wait_for_selector("#photo-name:has-text('pier 2')")
    page.check("[name=filter][value=judged]")
    until(page, lambda: page.locator("#photo-list li").count() == 1)
    page.check("[name=filter][value=open]")
    until(page, lambda: page.locator("#photo-list li").count() == 2)


def test_without_events_the_page_asks_again(page, desk, complaints):
    complaints += ["404", "Failed to load resource"]
    desk.silent = True
    page.reload()
    page.wait_for_selector("body[data-ready]")
    desk.photos["p3"].state = "failed"
    page.wait_for_selector("[data-photo=p3]:has-text('Could not be looked at')", timeout=9000)


def test_german(page):
    page.select_option("#language", "de")
    page.wait_for_selector("#photos-title:has-text('Fotos')")
    assert page.get_attribute("html", "lang") == "de"
    page.reload()
    page.wait_for_selector("#tab-panel:has-text('Befunde')", state="attached")


def test_fingers_pinch_and_paint(browser, address, desk):
    context = browser.new_context(viewport={"width": 400, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.wait_for_selector("#photo-list li")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    before = page.evaluate("import('/page/camera.js').then(({ camera }) => camera.zoom)")
    touch = context.new_cdp_session(page)
    x, y = screen(page, (450, 300))

    def fingers(kind, gap):
        points = [] if kind == "touchEnd" else [{"x": x - gap, "y": y}, {"x": x + gap, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 30)
    for gap in (40, 50, 60):
        fingers("touchMove", gap)
    fingers("touchEnd", 0)
    after = page.evaluate("import('/page/camera.js').then(({ camera }) => camera.zoom)")
    assert after == pytest.approx(before * 2, rel=0.1)
    page.click("[data-command=paint]")
    page.touchscreen.tap(*screen(page, (450, 330)))
    saved(page)
    assert desk.photos["p1"].mask.getpixel((450, 330)) == 255
    context.close()


@pytest.fixture(scope="module")
def folder():
    return Path(fissura.__file__).parent / "serve" / "page"


def test_both_languages_have_the_same_keys_and_the_same_values_to_fill(folder):
    tables = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    english, german = tables["en"], tables["de"]
    assert list(english) == list(german)
    for key in english:
        places = [sorted(re.findall(r"\{\w+\}", table[key])) for table in (english, german)]
        assert places[0] == places[1], key


def test_every_text_that_is_named_exists_and_every_one_that_exists_is_named(folder):
    tables = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    source = "\n".join(file.read_text(encoding="utf-8") for file in folder.glob("*.js"))
    html = (folder / "desk.html").read_text(encoding="utf-8")
    named = set(re.findall(r'\bt\("(\w+)"', source))
    named |= set(re.findall(r'data-(?:text|label|title)="(\w+)"', html))
    assert named <= set(tables["en"])
    word = set(re.findall(r"\w+", source + html))
    prefixes = set(re.findall(r"`(\w+_)\$\{", source))
    unused = {
        key for key in tables["en"]
        if key.removesuffix("_one") not in word and not key.startswith(tuple(prefixes))
    }  # fmt: skip
    assert not unused


def test_files_are_short_and_hold_no_style_or_script_of_their_own(folder):
    for file in folder.glob("*.js"):
        lines = file.read_text(encoding="utf-8").splitlines()
        assert len(lines) < 300, file
        assert lines[0].startswith("// "), file
        assert not re.search(r"innerHTML|eval\(|https?://(?!www\.w3\.org)", "\n".join(lines)), file
    html = (folder / "desk.html").read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*src=)", html)
