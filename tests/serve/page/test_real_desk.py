"""The page with the desk itself: dropped photos, corrections, a restart, a filed report."""

import re
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="fissura[serve] is not installed")
if find_spec("fissura.serve.desk.routes") is None:
    pytest.skip("the desk has no routes", allow_module_level=True)

spec = spec_from_file_location("fake_desk", Path(__file__).parent / "fake_desk.py")
fake_desk = module_from_spec(spec)
spec.loader.exec_module(fake_desk)
pytestmark = pytest.mark.slow  # the model has to look at photos
PATIENCE = 120_000  # milliseconds


@contextmanager
def running(folder):
    """Serve a folder as its user does; yield the address that the command prints."""
    command = [sys.executable, "-m", "fissura.cli", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield re.search(r"http://[^/ ]+/", server.stdout.readline())[0]
        finally:
            server.terminate()


@contextmanager
def opened(browser, address):
    """Open the page; what its console complains of fails the test."""
    context = browser.new_context(viewport={"width": 1300, "height": 800}, locale="en-US")
    page, heard = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda line: heard.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert heard == []


def edited(page, act):
    """Do something that edits, and return what the desk answers."""
    with page.expect_response(lambda answer: re.search("/(edits|undo)$", answer.url)) as waited:
        act()
    assert waited.value.status == 200
    page.wait_for_selector("#saved[data-state=saved]")
    return waited.value.json()


def test_from_dropped_photos_to_a_filed_report(browser, tmp_path):
    folder = tmp_path / "wall"
    folder.mkdir()
    fake_desk.drawn_photo(1, (900, 600))[0].save(folder / "first.jpg")
    fake_desk.drawn_photo(2, (900, 600))[0].save(tmp_path / "second.jpg")
    before = (folder / "first.jpg").read_bytes()
    with running(folder) as address, opened(browser, address) as page:
        page.set_input_files("#files", [str(tmp_path / "second.jpg")])
        for name in ("first.jpg", "second.jpg"):
            page.wait_for_selector(f".photo-list li:has-text('{name}'):has-text('crack')")
        page.click(".photo-list li:has-text('first.jpg') button")
        page.wait_for_selector(".cracks > li")
        count = page.locator(".cracks > li").count()
        page.keyboard.press(".")
        assert edited(page, lambda: page.keyboard.press("a"))["cracks"][0]["status"] == "accepted"
        page.keyboard.press("b")
        page.keyboard.press("Enter")  # a stroke by keyboard, from the middle of the photo
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        painted = edited(page, lambda: page.keyboard.press("Enter"))
        assert painted["cracks"]
        page.keyboard.press("Escape")
        undone = edited(page, lambda: page.keyboard.press("Control+z"))
        assert undone["revision"] > painted["revision"]
        assert page.locator(".cracks > li").count() == count
        page.fill("[name=mm_per_pixel]", "0.5")
        scaled = edited(page, lambda: page.keyboard.press("Enter"))
        assert {crack["unit"] for crack in scaled["cracks"]} == {"mm"}
    with running(folder) as address, opened(browser, address) as page:  # as after a restart
        page.click(".photo-list li:has-text('first.jpg') button")
        page.wait_for_selector(".cracks .dot.accepted")
        assert "mm" in page.inner_text(".cracks > li")
        page.keyboard.press("f")
        page.fill("[name=title]", "A drawn wall")
        page.uncheck("[name=pdf]")
        page.check("[name=training]")
        page.click("#finish-go")
        page.wait_for_selector("#finish-result a")
        report = page.locator("#finish-result a").first.get_attribute("href")
        answer = page.request.get(address.rstrip("/") + report)
        assert "A drawn wall" in answer.text()
    assert (folder / "first.jpg").read_bytes() == before
    assert list((folder / "fissura-desk").glob("masks/*.png"))
