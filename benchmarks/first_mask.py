"""How long after a photo of 12 megapixels is dropped on the desk can its mask be seen?

A server with an empty desk runs in a process of its own. A drawn photo is sent as the page sends
it, and the mask's smallest tile is asked for until it is there; each round takes another photo.

    python benchmarks/first_mask.py --rounds 5
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx2
from PIL import Image

from fissura.data.synthetic import draw_panel
from fissura.device import choose_device, describe_machine
from fissura.files import replacing

RESULT = Path(__file__).parent / "results" / "first_mask.json"
PHOTO_HW = (3000, 4000)
CRACK_FRACTION = 0.005  # of a photo of a wall; drawn panels have more
WRITE = {"X-Fissura-Desk": "1"}
MOST_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    photos, seconds, processor = [], [], []
    for seed in range(asked.rounds):
        content = io.BytesIO()
        panel = draw_panel(seed, size_hw=PHOTO_HW, crack_fraction=CRACK_FRACTION)
        Image.fromarray(panel.image).save(content, "JPEG", quality=92)
        photos.append(content.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "-m", "fissura.cli", "serve", folder, "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            with httpx2.Client(base_url=address[0], headers=WRITE, timeout=60) as http:
                for index, photo in enumerate(photos):
                    before = processor_seconds(server.pid)
                    seconds.append(dropped(http, index, photo))
                    processor.append(processor_seconds(server.pid) - before)
        finally:
            server.terminate()
            server.wait(60)
    told = {
        "question": "How long after a photo of 12 megapixels is dropped can its mask be seen?",
        "machine": describe_machine(choose_device("cpu")),
        "load_average": round(os.getloadavg()[0], 1),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "photo_hw": PHOTO_HW,
        "seconds": [round(one, 2) for one in seconds],
        "median": round(statistics.median(seconds), 2),
        "processor_seconds": [round(one, 2) for one in processor],
    }
    with replacing(asked.out) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))


def processor_seconds(pid: int) -> float:
    """Return what a process has computed so far, which other work on the machine leaves alone."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def dropped(http: httpx2.Client, index: int, photo: bytes) -> float:
    """Return the seconds from the sending of a photo until a tile of its mask is there."""
    began = time.perf_counter()
    (told,) = http.post("/v1/photos", files={"files": (f"{index}.jpg", photo)}).json()
    while time.perf_counter() - began < MOST_SECONDS:
        state = http.get(f"/v1/photos/{told['id']}").json()
        if state["state"] == "done":
            level = len(state["levels"]) - 1
            http.get(f"/v1/photos/{told['id']}/mask/{level}/0/0.png").raise_for_status()
            return time.perf_counter() - began
        if state["state"] == "failed":
            raise SystemExit(state["message"])
        time.sleep(0.05)
    raise SystemExit(f"There was no mask after {MOST_SECONDS} s.")


if __name__ == "__main__":
    main()
