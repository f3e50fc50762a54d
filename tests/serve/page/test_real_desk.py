"""The page with the desk itself: dropped photos, corrections, a restart, a filed report."""

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch as safetensors

from fissura.checkpoint import find_model

pytestmark = pytest.mark.slow  # the model has to look at photos


def test_from_dropped_photos_to_a_filed_report(browser, fake_desk, real_desk, tmp_path):
    folder = tmp_path / "wall"
    folder.mkdir()
    fake_desk.drawn_photo(1, (900, 600))[0].save(folder / "first.jpg")
    fake_desk.drawn_photo(2, (900, 600))[0].save(tmp_path / "second.jpg")
    before = (folder / "first.jpg").read_bytes()
    with real_desk.running(folder) as address, real_desk.opened(browser, address) as page:
        page.set_input_files("#files", [str(tmp_path / "second.jpg")])
        for name in ("first.jpg", "second.jpg"):
            page.wait_for_selector(f".photo-list li:has-text('{name}'):has-text('crack')")
        page.click(".photo-list li:has-text('first.jpg') button")
        page.wait_for_selector(".cracks > li")
        count = page.locator(".cracks > li").count()
        page.keyboard.press(".")
        assert (
            real_desk.edited(page, lambda: page.keyboard.press("a"))["cracks"][0]["status"]
            == "accepted"
        )
        page.fill("#crack-class", "joint")
        classed = real_desk.edited(page, lambda: page.keyboard.press("Enter"))
        assert classed["cracks"][0]["class"] == "joint"
        page.keyboard.press("Escape")
        page.keyboard.press("b")
        page.keyboard.press("Enter")  # a stroke by keyboard, from the middle of the photo
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        painted = real_desk.edited(page, lambda: page.keyboard.press("Enter"))
        assert painted["cracks"]
        page.keyboard.press("Escape")
        undone = real_desk.edited(page, lambda: page.keyboard.press("Control+z"))
        assert undone["revision"] > painted["revision"]
        assert page.locator(".cracks > li").count() == count
        page.fill("[name=mm_per_pixel]", "0.5")
        scaled = real_desk.edited(page, lambda: page.keyboard.press("Enter"))
        assert {crack["unit"] for crack in scaled["cracks"]} == {"mm"}
    with (
        real_desk.running(folder) as address,
        real_desk.opened(browser, address) as page,
    ):  # as after a restart
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


def test_where_events_are_cut_off_the_page_asks_again_and_listens_again(
    browser, fake_desk, real_desk, tmp_path
):
    """A proxy that lets no stream through: the page polls, and goes back to events."""
    fake_desk.drawn_photo(1, (450, 300))[0].save(tmp_path / "first.jpg")
    heard = []
    with (
        real_desk.running(tmp_path) as address,
        real_desk.opened(browser, address, complaints=["ERR_FAILED", "502"]) as page,
    ):
        page.wait_for_selector(".photo-list li:has-text('first.jpg'):has-text('crack')")
        page.on("request", lambda request: heard.append(request.url.rpartition("/v1/")[2]))
        page.route("**/v1/events", lambda route: route.fulfill(status=502, body="no"))
        page.reload()
        page.wait_for_selector("body[data-ready]")

        def noted(text):
            """Write a note elsewhere, and wait until the page has it."""
            answer = page.request.post(
                f"{address}v1/photos/p1/edits",
                data={"kind": "note", "text": text},
                headers={"X-Fissura-Desk": "1"},
            )
            assert answer.ok
            field = page.locator("#photo-note")
            for _ in range(600):
                if field.input_value() == text:
                    return
                page.wait_for_timeout(100)
            raise AssertionError("the page never learned of it")

        heard.clear()
        noted("by asking again")
        assert heard.count("photos") > 0
        page.unroute("**/v1/events")
        with page.expect_response(lambda answer: answer.url.endswith("/v1/events")) as told:
            pass
        assert told.value.status == 200
        page.wait_for_timeout(4000)  # longer than the time between two questions
        heard.clear()
        noted("by an event")
        assert "photos" not in heard


def test_a_model_learns_from_the_desk_s_training_folder(fake_desk, real_desk, browser, tmp_path):
    folder = tmp_path / "wall"
    folder.mkdir()
    for number in (1, 2, 3):
        fake_desk.drawn_photo(number, (320, 240))[0].save(folder / f"{number}.jpg")
    with (
        real_desk.running(folder) as address,
        real_desk.opened(browser, address) as page,
    ):
        for number in (1, 2):
            page.wait_for_selector(f".photo-list li:has-text('{number}.jpg'):has-text('crack')")
            real_desk.show(page, f"{number}.jpg")
            page.keyboard.press("b")
            start = (40, 220 + number)
            real_desk.edited(
                page, lambda start=start: real_desk.drag(page, start, (160, 225), (280, 215))
            )
        page.wait_for_selector(".photo-list li:has-text('3.jpg'):has-text('crack')")
        page.keyboard.press("Escape")
        page.keyboard.press("f")
        page.uncheck("[name=pdf]")
        page.check("[name=training]")
        page.click("#finish-go")
        page.wait_for_selector("#finish-result .results")
        shown = page.inner_text("#finish-result code")
    assert shown == str(folder / "fissura-desk" / "training")
    assert sorted(file.name for file in (folder / "fissura-desk/training/images").iterdir()) == [
        "1.jpg",
        "2.jpg",  # on the third nothing was judged or corrected
    ]
    run = tmp_path / "run"
    options = ["--epochs", "1", "--crop", "96", "--batch-size", "2", "--validation", "0"]
    command = [sys.executable, "-m", "fissura.cli", "train", shown, "--out", str(run)]
    done = subprocess.run(
        [*command, "--start", "crackseg-small", *options],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before = safetensors.load_file(find_model(Path("crackseg-small")) / "model.safetensors")
    after = safetensors.load_file(run / "model" / "model.safetensors")
    assert before.keys() == after.keys()
    weights = [name for name in before if "running" not in name and "num_batches" not in name]
    moved = [float((after[name].float() - before[name].float()).abs().max()) for name in weights]
    assert 0 < max(moved) < 0.002  # one step of Adam at its learning rate of 0.001
