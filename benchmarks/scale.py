"""What does an inspection of very many photos cost on many workers, from what was measured?

    python benchmarks/scale.py [--photos 1000000] [--workers 100] [--megapixels 24] …

A model on paper, of rates that other benchmarks measured on one machine (benchmarks/results/*.json)
and of assumptions that are marked as such and can be given. It prints a table in Markdown, the one
of docs/scale.md with the options as they are.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

OF_DRIVER = ("tables, vectors, report", "memory of the driver", "tables, vectors, report on disk")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Job:
    """What shall be inspected, and by what."""

    photos: float = 1e6  # photos
    megapixels: float = 24.0  # of a photo
    workers: float = 100.0  # workers, each a process
    cores: float = 4.0  # processor cores of a worker
    photo_bytes: float = 0.4  # bytes of a photo per pixel (assumed: JPEG of a camera)
    store: float = 1000.0  # MB/s that the store gives to all workers together (assumed)
    per_node: float = 8.0  # workers of a node
    repair: float = 5.0  # minutes until a lost node's workers are there again (assumed)


@dataclass(frozen=True)
class Rates:
    """What was measured, and where.

    Attributes:
        per_core: Megapixels per second and core, from reading to the record.
        core_source: Where that is from.
        driver_seconds: Processor seconds of the driver for a photo.
        driver_mib: Its memory, with so many photos as were measured.
        driver_mib_each: More of it for each further photo.
        driver_source: Where that is from.
        result_bytes: Bytes of tables, vectors and report for a photo.
    """

    per_core: float
    core_source: str
    driver_seconds: float = 0.0
    driver_mib: float = 0.0
    driver_mib_each: float = 0.0
    driver_source: str = ""
    result_bytes: float = 0.0


def measured() -> Rates:
    """Read the rates from the results of other benchmarks."""
    large, many = (_read(name) for name in ("large", "many_photos"))
    (size, entry), *_ = large.items()
    whole = entry["without a break"]["seconds"]["whole"]
    cores = int(entry["machine"].partition(" CPUs")[0].split()[-1])
    driver = {}
    if many:
        *_, before, last = many["sets"]
        more = last["photos"] - before["photos"]
        left = ("measured", "overlays", "masks")
        driver = {
            "driver_seconds": (last["processor_seconds"] - before["processor_seconds"]) / more,
            "driver_mib": last["peak_mib"],
            "driver_mib_each": max(last["peak_mib"] - before["peak_mib"], 0.0) / more,
            "driver_source": f"many_photos.json, {last['photos']:,} photos, {many['date']}",
            "result_bytes": 1e6 / last["photos"]
            * sum(size for name, size in last["megabytes"].items() if name not in left),
        }  # fmt: skip
    return Rates(
        per_core=int(size) ** 2 / 1e6 / whole / cores,
        core_source=f"large.json, {entry['machine']}, {entry['date']}",
        **driver,
    )


def _read(name: str) -> dict[str, Any]:
    """Read a file of results; nothing where it was not measured yet."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def table(job: Job, rates: Rates) -> list[tuple[str, str, str]]:
    """Return the rows: quantity, value, and what it follows from."""
    speed = rates.per_core * job.cores
    photo_seconds = job.megapixels / speed
    hours = job.photos * photo_seconds / job.workers / 3600
    photo_mb = job.megapixels * job.photo_bytes
    needed = photo_mb * job.workers / photo_seconds
    driver_hours = job.photos * rates.driver_seconds / 3600
    memory = rates.driver_mib + rates.driver_mib_each * job.photos
    lost = job.per_node * photo_seconds / 2
    stalled = job.per_node / job.workers * job.repair
    reading = job.photos * photo_mb / job.store / 3600
    parts = {"the network and measuring": hours, "the store": reading}
    if rates.driver_source:
        parts["the driver"] = driver_hours
    bottleneck = max(parts, key=lambda name: parts[name])
    rows = [
        ("rate of a core", f"{rates.per_core:.2f} MP/s", f"measured: {rates.core_source}"),
        ("a photo on a worker", f"{photo_seconds:.1f} s", f"{job.megapixels:g} MP by "
         f"{job.cores:g} cores, each at that rate (assumed)"),
        ("work", f"{hours * job.workers * job.cores:,.0f} core hours", "photos × seconds × cores"),
        ("inspecting", f"{hours:.1f} h", f"on {job.workers:g} workers"),
        ("bytes of the photos", f"{job.photos * photo_mb / 1e6:.1f} TB",
         f"{photo_mb:.1f} MB each, assumed: {job.photo_bytes:g} bytes per pixel"),
        ("the store must give", f"{needed:.0f} MB/s", f"of {job.store:g} MB/s, assumed; reading "
         f"alone would take {reading:.1f} h"),
        ("tables, vectors, report", f"{driver_hours:.1f} h",
         f"one core, {1000 * rates.driver_seconds:.1f} ms a photo; measured: "
         f"{rates.driver_source}"),
        ("memory of the driver", f"{memory / 1024:.1f} GiB",
         f"{rates.driver_mib:.0f} MiB measured, and {1024 * rates.driver_mib_each:.1f} KiB for "
         "each further photo"),
        ("tables, vectors, report on disk", f"{job.photos * rates.result_bytes / 1e9:.0f} GB",
         f"{rates.result_bytes / 1000:.0f} KB a photo; measured, without masks and overlays"),
        ("bottleneck", bottleneck, ", ".join(f"{name} {h:.1f} h" for name, h in parts.items())),
        ("a lost node costs", f"{lost:.0f} s of work, {stalled:.1f} min of the whole",
         f"half a photo of each of its {job.per_node:g} workers; without them for "
         f"{job.repair:g} minutes, assumed"),
        ("the driver's loss costs", "the tables", "records are kept; `--resume` writes them"),
    ]  # fmt: skip
    if rates.driver_source:
        return rows
    return [
        (name, "not measured", "`python benchmarks/many_photos.py` measures it")
        if name in OF_DRIVER else (name, value, source)
        for name, value, source in rows
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for entry in fields(Job):
        name = "--" + entry.name.replace("_", "-")
        parser.add_argument(name, type=float, default=entry.default)
    job = Job(**vars(parser.parse_args()))
    print("| quantity | value | from |\n|---|--:|---|")
    for row in table(job, measured()):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
