"""The desk itself in a process of its own, and a browser on it."""

import contextlib
import re
import subprocess
import sys
from contextlib import contextmanager

PATIENCE = 240_000  # milliseconds: the model looks at photos, on a machine with much else to do
# Where points of the open photo lie on the screen.
WHERE = """([x, y]) => import('/page/camera.js').then(({ toScreen }) => {
  const box = document.querySelector('#stage').getBoundingClientRect(), at = toScreen([x, y]);
  return [box.left + at[0], box.top + at[1]];
})"""


@contextmanager
def running(folder, *options):
    """Serve a folder as its user does; yield the address that the command prints."""
    command = [sys.executable, "-m", "fissura.cli", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(
        [*command, *map(str, options)], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield re.search(r"http://[^/ ]+/", server.stdout.readline())[0]
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(60)
            server.kill()


@contextmanager
def opened(browser, address, complaints=(), **options):
    """Open the page; what its console complains of, but for what is expected, fails the test."""
    options = {"viewport": {"width": 1400, "height": 900}, "locale": "en-US"} | options
    context = browser.new_context(**options)
    try:
        page, heard = context.new_page(), []
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda line: heard.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page
    finally:
        context.close()
    assert not [text for text in heard if not any(known in text for known in complaints)]


def edited(page, act):
    """Do something that edits, and return what the desk answers."""
    with page.expect_response(lambda answer: re.search("/(edits|undo)$", answer.url)) as waited:
        act()
    assert waited.value.status == 200
    page.wait_for_selector("#saved[data-state=saved]")
    return waited.value.json()


def show(page, name):
    """Open a photo of the list, unless it is open, and wait until its cracks can be edited."""
    if page.inner_text("#photo-name") != name:  # opened again, it could end a stroke that began
        page.click(f".photo-list li:has-text('{name}') button")
    page.wait_for_selector(f"#photo-name:has-text('{name}')")
    # The list tells that a photo is done before the page has its cracks.
    page.wait_for_selector("#empty", state="hidden")


def drag(page, *points):
    """Draw from point to point of the open photo, in its pixels."""
    places = [page.evaluate(WHERE, list(point)) for point in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
