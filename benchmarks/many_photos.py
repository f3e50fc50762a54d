"""What does the driver of a huge inspection need: memory, minutes, disk, for tables and report?

    python benchmarks/many_photos.py [--photos 100000] [--keep] [--no-record]

Writes the records of so many photos that were never taken: each with a few cracks of random
courses and widths (seeded), EXIF facts, a small preview and an overlay (a file that a thousand of
them share), of photos of 24 megapixels. Then, in a process of its own, everything is exported as
`fissura inspect` and `fissura merge` do it: tables, vectors, COCO, the report with its index and a
page for each photo. Its memory is the peak of the resident set. A second, small set has previews of
1600 pixels, as real photos have.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from side_by_side import RESULTS, versions

from fissura.device import choose_device, describe_machine
from fissura.files import replacing
from fissura.files.images import write_image
from fissura.inspection.export import export
from fissura.inspection.records.facts import PhotoFacts
from fissura.inspection.records.record import Record
from fissura.inspection.records.store import save_record
from fissura.inspection.report.page import About
from fissura.inspection.rules.limits import Limits
from fissura.inspection.steps import record_file
from fissura.measurement.crack import Crack

QUESTION = "What does the driver of an inspection of very many photos need?"
ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "runs" / "many_photos"  # git ignores it
SEED, SIZE_HW, SAMPLES = 17, (4000, 6000), 80
REAL = 600  # photos with previews as large as real ones
PACKAGES = ("fissura", "torch", "numpy", "pyogrio", "shapely", "jinja2")


def made_crack(rng: np.random.Generator, number: int) -> Crack:
    """A crack that goes anywhere, as wide as it likes."""
    start = rng.uniform(200, 3000, 2)
    points = start + np.cumsum(rng.normal(2, 2, (SAMPLES, 2)), axis=0)
    widths = np.abs(rng.normal(5, 2, SAMPLES)) + 0.5
    top, left = points.min(axis=0).astype(int).tolist()
    bottom, right = (points.max(axis=0) + 1).astype(int).tolist()
    length = float(np.hypot(*np.diff(points, axis=0).T).sum())
    return Crack(
        number=number,
        length=length,
        longest_path=length,
        width_mean=float(widths.mean()),
        width_median=float(np.median(widths)),
        width_p95=float(np.quantile(widths, 0.95)),
        width_max=float(widths.max()),
        widest_at=tuple(points[int(widths.argmax())].tolist()),
        width_error=0.2,
        area=length * float(widths.mean()),
        orientation=float(rng.uniform(0, 180)),
        branches=1,
        box=(top, left, bottom, right),
        lines=[points],
        samples=points,
        widths=widths,
        width_errors=np.full(SAMPLES, 0.2),
        mm_per_pixel=0.2,
    )


def made_record(number: int, preview: np.ndarray) -> Record:
    """The record of a photo that was never taken."""
    rng = np.random.default_rng((SEED, number))
    cracks = [made_crack(rng, one) for one in range(1, 1 + int(rng.integers(0, 5)))]
    cracks.sort(key=lambda crack: -crack.length)
    name = f"section-{number // 1000:03}/IMG_{number:06}"
    firsts = np.sort(rng.integers(0, 20_000_000, (100, len(cracks))), axis=0)
    return Record(
        file=Path(f"/photos/{name}.JPG"),
        name=name,
        size_hw=SIZE_HW,
        cracks=cracks,
        mm_per_pixel=0.2,
        resolution_source="--mm-per-pixel",
        preview=preview,
        preview_scale=max(preview.shape) / max(SIZE_HW),
        runs=[np.stack([one, one + 5], axis=1) for one in firsts.T],
        photo_digest="0" * 64,
        facts=PhotoFacts(
            taken="2026-05-04T14:03:22",
            latitude=47.0 + number / 1e6,
            longitude=8.0,
            camera="Maker Model",
            focal_length_mm=24.0,
        ),
        files={"mask": f"masks/{name}.png", "overlay": f"overlays/{name}.jpg"},
    )


def write_records(out: Path, photos: int, preview_hw: tuple[int, int]) -> None:
    """Write the records that are not there yet."""
    rng = np.random.default_rng(SEED)
    small = rng.normal(150, 20, (preview_hw[0] // 8, preview_hw[1] // 8, 3)).clip(0, 255)
    preview = np.kron(small.astype(np.uint8), np.ones((8, 8, 1), np.uint8))
    os.fsync = lambda fd: None  # of records that are thrown away again
    for number in range(photos):
        record = made_record(number, preview)
        file = record_file(out, record.name)
        if not file.is_file():
            save_record(file, record)
            link = out / record.files["overlay"]
            shared = link.with_name("shared.jpg")
            if not shared.is_file():
                write_image(shared, np.full((667, 1000, 3), 150, np.uint8))
            link.hardlink_to(shared)


def export_all(out: Path, photos: int) -> dict[str, float]:
    """Export the records, as the end of an inspection does; its cost."""
    stored = {}
    for number in range(photos):
        name = f"section-{number // 1000:03}/IMG_{number:06}"
        stored[Path(f"/photos/{name}.JPG")] = record_file(out, name)
    about = About(model="none", settings={}, model_card=None, versions={}, created="today")
    started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    before, processor = time.perf_counter(), time.process_time()
    done = export(out, stored, failures := [], limits=Limits(max_width_mm=1.5), about=about)
    assert (done.photos, failures) == (photos, [])
    return {
        "photos": photos,
        "cracks": done.cracks,
        "failing": len(done.failing),
        "seconds": round(time.perf_counter() - before, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "started_mib": round(started, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def size_of(out: Path) -> dict[str, float]:
    """Megabytes of what an inspection leaves, by file or folder."""
    sizes: dict[str, float] = {}
    for file in out.rglob("*"):
        if file.is_file():
            top = file.relative_to(out).parts[0]
            sizes[top] = sizes.get(top, 0.0) + file.stat().st_size / 1e6
    return {name: round(size, 2) for name, size in sorted(sizes.items())}


def measured(photos: int, preview_hw: tuple[int, int], keep: bool) -> dict[str, object]:
    """Write the records, export them in a process of its own, and clear up."""
    out = FOLDER / f"{photos}-{preview_hw[1]}"
    began = time.perf_counter()
    write_records(out, photos, preview_hw)
    print(f"{photos} records after {time.perf_counter() - began:.0f} s", flush=True)
    words = [sys.executable, __file__, "--export", str(out), "--photos", str(photos)]
    found = subprocess.run(words, check=True, capture_output=True, text=True)
    cost = json.loads(found.stdout.splitlines()[-1]) | {"megabytes": size_of(out)}
    if not keep:
        shutil.rmtree(out)
    return {"preview_hw": list(preview_hw), **cost}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--export", type=Path)
    options = parser.parse_args()
    if options.export:
        print(json.dumps(export_all(options.export, options.photos)))
        return
    sizes = sorted({min(options.photos, 1000), min(options.photos, 10_000), options.photos})
    result = {
        "question": QUESTION,
        "command": f"python benchmarks/many_photos.py --photos {options.photos}",
        "seed": SEED,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": describe_machine(choose_device("cpu")),
        "versions": versions(PACKAGES),
        "sets": [measured(photos, (48, 64), options.keep) for photos in sizes],
        "real_previews": measured(REAL, (1064, 1600), options.keep),
    }
    print(json.dumps(result, indent=2))
    if not options.no_record:
        with replacing(RESULTS / "many_photos.json") as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
