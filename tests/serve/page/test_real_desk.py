"""The page with the desk itself: dropped photos, corrections, a restart, a filed report."""

import pytest

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
