"""How smoothly does the desk's viewer move and zoom a photo of 100 megapixels?

A desk whose worker takes what is dark for crack, without a model, is served by uvicorn as ever, and
opened in Chromium without a screen. The photo is dragged and zoomed as by hand; the time from one
frame to the next is what the page's own animation frames tell, and a view counts as sharp when no
tile is asked for any more.

    python benchmarks/viewer.py [--out benchmarks/results/viewer.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from desk import LARGE, wall
from fastapi import FastAPI
from playwright.sync_api import Page, sync_playwright

from fissura.data.images import read_image
from fissura.device import choose_device, describe_machine
from fissura.files import replacing
from fissura.inference.prediction import Prediction
from fissura.serve.app import add_page
from fissura.serve.desk.routes import Desk, desk_router
from fissura.serve.options import Served

RESULT = Path(__file__).parent / "results" / "viewer.json"
SIZE = {"width": 1400, "height": 900}
STEPS = 60  # of a gesture
QUIET = 0.3  # seconds without a request, after which a view is sharp
FRAMES = """() => {
  window.frames_ = [];
  const take = (now) => { window.frames_.push(now); window.taking_ = requestAnimationFrame(take); };
  window.taking_ = requestAnimationFrame(take);
}"""
TAKEN = "() => { cancelAnimationFrame(window.taking_); return window.frames_; }"


class DarkIsCrack:
    """A worker without a model."""

    name, model = "dark is crack", Path("crackseg-small")

    def submit(self, path: Path, *, on_stage: Any = None) -> Future[Any]:
        """Take what is dark for crack."""
        image = read_image(path)
        prob = (1 - image[..., 0].astype(np.float32) / 255) ** 2
        mask = prob >= 0.5
        done: Future[Any] = Future()
        done.set_result((image, Prediction(prob, mask, 0.5, float(mask.mean()), 0.0)))
        return done


class Watch:
    """The tiles that a page is waiting for."""

    def __init__(self, page: Page) -> None:
        self.page, self.open, self.count, self.last = page, 0, 0, time.perf_counter()
        page.on("request", lambda request: self._note(request.url, 1))
        for event in ("requestfinished", "requestfailed"):
            page.on(event, lambda request: self._note(request.url, -1))

    def _note(self, address: str, change: int) -> None:
        if "/tiles/" in address or "/mask/" in address:
            self.open += change
            self.count += change > 0
            self.last = time.perf_counter()

    def sharp(self) -> float:
        """Wait until no tile is asked for; return when the last one came."""
        while self.open > 0 or time.perf_counter() - self.last < QUIET:
            self.page.wait_for_timeout(20)
        return self.last


def gesture(page: Page, watch: Watch, act: Any) -> dict[str, Any]:
    """Do something while frames are timed; return their intervals and the time to a sharp view."""
    watch.sharp()
    before = watch.count
    page.evaluate(FRAMES)
    act()
    ended = time.perf_counter()
    page.wait_for_timeout(100)
    frames = page.evaluate(TAKEN)
    sharp = max(0.0, watch.sharp() - ended)
    spans = [later - earlier for earlier, later in itertools.pairwise(frames)]
    return {
        "frames": len(spans),
        "frame_ms": {
            "median": round(statistics.median(spans), 1),
            "p95": round(float(np.percentile(spans, 95)), 1),
            "longest": round(max(spans), 1),
        },
        "tiles": watch.count - before,
        "sharp_after_ms": round(1000 * sharp),
    }


def measure(address: str) -> dict[str, Any]:
    """Return what gestures on the open photo take."""
    with sync_playwright() as api:
        browser = api.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(120_000)
        watch = Watch(page)
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        opened = watch.sharp() - began
        box = page.locator("#stage").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)

        def wheel(way: int) -> None:
            for _ in range(STEPS):
                page.mouse.wheel(0, 120 * way)
                page.wait_for_timeout(16)

        def drag() -> None:
            page.mouse.down()
            for step in range(STEPS):
                across = 300 * np.sin(step / STEPS * 2 * np.pi)
                page.mouse.move(x + across, y + across / 2)
                page.wait_for_timeout(16)
            page.mouse.up()

        def far() -> None:
            for _ in range(12):
                page.keyboard.press("ArrowRight")
                page.wait_for_timeout(30)

        page.locator("#stage").focus()
        told: dict[str, Any] = {"opened_and_sharp_seconds": round(opened, 2)}
        told["drag_whole_photo"] = gesture(page, watch, drag)
        told["zoom_in"] = gesture(page, watch, lambda: wheel(-1))
        told["drag_zoomed"] = gesture(page, watch, drag)
        page.keyboard.press("1")
        told["drag_pixel_by_pixel"] = gesture(page, watch, drag)
        told["far_by_keys"] = gesture(page, watch, far)
        told["zoom_out"] = gesture(page, watch, lambda: wheel(1))
        browser.close()
        return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--side", type=int, default=LARGE[0], help="pixels of the photo's side")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "wall"
        folder.mkdir()
        prob = wall((asked.side, asked.side), 60, 0)
        noise = np.random.default_rng(0).integers(0, 12, (512, asked.side), np.uint8)
        gray = (190 - 150 * prob).astype(np.uint8)
        for top in range(0, asked.side, 512):
            gray[top : top + 512] += noise[: asked.side - top]
        cv2.imwrite(str(folder / "wall.jpg"), gray)
        del prob, gray
        desk = Desk(folder, Served(folder=folder), DarkIsCrack())
        while any(row.state in ("queued", "running") for row in desk.store.photos()):
            time.sleep(0.2)
        (row,) = desk.store.photos()
        if row.state != "done":
            raise SystemExit(row.message)
        app = FastAPI()
        app.include_router(desk_router(desk))
        add_page(app)
        config = uvicorn.Config(app, port=0, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        told = {
            "question": "How smoothly does the viewer move and zoom a photo of 100 megapixels?",
            "machine": describe_machine(choose_device("cpu")),
            "load_average": round(os.getloadavg()[0], 1),
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "megapixels": asked.side**2 / 1e6,
            "cracks": row.summary["cracks"],
            "window": SIZE,
            **measure(f"http://127.0.0.1:{port}/"),
        }
        desk.end_streams()
        server.should_exit = True
        thread.join(20)
        desk.close()
    with replacing(asked.out) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
