"""How does `fissura serve` bear 200 clients at once: errors, memory, latency?

The server runs in a process of its own with its default limits, the clients in this one. Each of
them sends one photo after another to `POST /v1/inspect`; where it is told to come again later
(429), it waits for as long as it was told and sends the same photo again. One request in twenty is
broken. Run it on a machine that does nothing else:

    python benchmarks/serve_load.py --clients 200 --seconds 120
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import numpy as np
from PIL import Image

from fissura.data.synthetic import draw_panel
from fissura.device import choose_device, describe_machine
from fissura.files import replacing

RESULT = Path(__file__).parent / "results" / "serve_load.json"
WRITE = {"X-Fissura-Desk": "1"}
PHOTOS, PHOTO_HW = 8, (384, 544)
BROKEN = 1 / 20
FIRST_SECONDS = 10  # until the server has all of its memory, which is then compared with the end


@dataclass
class Seen:
    """What the clients and the watch on the server's memory have seen.

    Attributes:
        statuses: Answers by their status; 0 for a connection that broke.
        answered: Seconds of requests that were met, without those refused before.
        waited: Seconds from the first time that a photo was sent, refusals included.
        refused: Seconds until a 429 came.
        memory: Seconds since the beginning, and bytes that the server held.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    answered: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    photos = drawn_photos()
    server = subprocess.Popen(
        [sys.executable, "-m", "fissura.cli", "serve", "--api", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        if address is None:
            raise SystemExit("The server did not start.")
        seen = asyncio.run(load(address[0], server.pid, photos, asked.clients, asked.seconds))
    finally:
        server.terminate()
        status = server.wait(60)
    told = summary(seen, asked.clients, asked.seconds) | {"server_exit_status": status}
    with replacing(asked.out) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))
    if any(code >= 500 for code in seen.statuses) or seen.statuses[0]:
        raise SystemExit("There were errors of the server, or connections that broke.")


def drawn_photos() -> list[bytes]:
    """Return the files of some drawn photos, and of a broken one at the end."""
    files = []
    for seed in range(PHOTOS):
        image = draw_panel(seed, size_hw=PHOTO_HW).image
        content = io.BytesIO()
        Image.fromarray(np.asarray(image)).save(content, "JPEG", quality=92)
        files.append(content.getvalue())
    return [*files, files[0][: len(files[0]) // 2]]


async def load(address: str, pid: int, photos: list[bytes], clients: int, seconds: float) -> Seen:
    """Let the clients send for so many seconds, and let what they sent last be answered."""
    seen, began = Seen(), time.perf_counter()
    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx2.AsyncClient(
        base_url=address, timeout=120, limits=limits, headers=WRITE
    ) as http:
        await http.post("/v1/inspect", files={"photo": ("first.jpg", photos[0])})
        watch = asyncio.create_task(watch_memory(pid, seen, began))
        until = time.perf_counter() + seconds
        await asyncio.gather(
            *(client(http, photos, random.Random(index), seen, until) for index in range(clients))
        )
        watch.cancel()
    return seen


async def client(
    http: httpx2.AsyncClient, photos: list[bytes], rng: random.Random, seen: Seen, until: float
) -> None:
    """Send one photo after another."""
    await asyncio.sleep(rng.random())
    while time.perf_counter() < until:
        broken = rng.random() < BROKEN
        photo = photos[-1] if broken else photos[rng.randrange(len(photos) - 1)]
        first = time.perf_counter()
        while time.perf_counter() < until:
            began = time.perf_counter()
            try:
                answer = await http.post("/v1/inspect", files={"photo": ("photo.jpg", photo)})
            except httpx2.HTTPError as error:
                print(repr(error), file=sys.stderr)
                seen.statuses[0] += 1
                break
            ended = time.perf_counter()
            seen.statuses[answer.status_code] += 1
            if answer.status_code == 429:
                seen.refused.append(ended - began)
                wait = int(answer.headers["retry-after"]) * (1 + rng.random())
                await asyncio.sleep(min(wait, max(until - time.perf_counter(), 0)))
                continue
            if answer.status_code == 200:
                seen.answered.append(ended - began)
                seen.waited.append(ended - first)
            break


async def watch_memory(pid: int, seen: Seen, began: float) -> None:
    """Take down twice a second how much memory the server holds."""
    page = os.sysconf("SC_PAGE_SIZE")
    while True:
        held = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * page
        seen.memory.append((time.perf_counter() - began, held))
        await asyncio.sleep(0.5)


def summary(seen: Seen, clients: int, seconds: float) -> dict[str, object]:
    """Return what was seen, in numbers."""
    early = [held for at, held in seen.memory if at < FIRST_SECONDS]
    megabytes = [held / 1e6 for _, held in seen.memory]
    return {
        "question": "How does `fissura serve` bear many clients at once?",
        "machine": describe_machine(choose_device("cpu")),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "clients": clients,
        "seconds": seconds,
        "photo_hw": PHOTO_HW,
        "broken_fraction": BROKEN,
        "statuses": {str(code): count for code, count in sorted(seen.statuses.items())},
        "photos_per_second": round(len(seen.answered) / seconds, 2),
        "answered_seconds": percentiles(seen.answered),
        "waited_seconds": percentiles(seen.waited),
        "refused_seconds": percentiles(seen.refused),
        "memory_mb": {
            "first_10_seconds": round(max(early, default=0) / 1e6),
            "highest": round(max(megabytes)),
            "median_of_last_half": round(statistics.median(megabytes[len(megabytes) // 2 :])),
            "last": round(megabytes[-1]),
            "every_10_seconds": [round(one) for one in megabytes[::20]],
        },
    }


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the percentiles that people ask for, in seconds."""
    if not values:
        return {}
    wanted = (50, 90, 95, 99, 100)
    return {f"p{one}": round(float(np.percentile(values, one)), 3) for one in wanted}


if __name__ == "__main__":
    main()
