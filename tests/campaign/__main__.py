"""`python -m tests.campaign`: try spoiled inputs, kills and full disks, and write what was found.

    python -m tests.campaign [--minutes 60] [--seed 1] [--only inputs] [--workers 2] [--no-record]

`--input N --seed S` tries one spoiled input again and says what comes of it. The exit status is 1
where something did not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from fissura.device import choose_device, describe_machine
from fissura.files import replacing

from .faults import DISKS, KILLS, disturb
from .inputs import try_inputs
from .page import RESULTS, write_page
from .properties import try_properties

WHOLE = 60.0  # minutes
# The part of the time that each part gets.
SHARES = {"inputs": 0.15, "kills": 0.6, "disks": 0.2, "properties": 0.05}
PACKAGES = ("fissura", "torch", "numpy", "pillow", "opencv-python-headless", "rasterio", "pyyaml")


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=WHOLE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(SHARES))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--input", type=int, help="number of a single spoiled input")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    if options.input is not None:
        found = try_inputs(options.seed, 5, first=options.input, most=1)
        print(json.dumps(found["last"], indent=2))
        return 0
    asked = [options.only] if options.only else list(SHARES)
    total = sum(SHARES[name] for name in asked)
    parts: dict[str, Callable[[float], dict[str, Any]]] = {
        "inputs": lambda minutes: try_inputs(options.seed, minutes, workers=options.workers),
        "kills": lambda minutes: disturb(KILLS, options.seed, minutes),
        "disks": lambda minutes: disturb(DISKS, options.seed, minutes),
        "properties": lambda minutes: try_properties(options.seed, minutes),
    }
    failed = False
    for name in asked:
        minutes = options.minutes * SHARES[name] / total
        print(f"{name}: {minutes:.1f} minutes", flush=True)
        found = parts[name](minutes) | {
            "whole": minutes >= WHOLE * SHARES[name],
            "whole_minutes": round(WHOLE * SHARES[name], 1),
            "minutes": round(minutes, 1),
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": describe_machine(choose_device("cpu")),
            "versions": {package: version(package) for package in PACKAGES},
        }
        failed |= any(row["held"] < row["tried"] for row in found["rows"])
        for row in found["rows"]:
            print(f"  {row['fault']}: {row['held']} of {row['tried']} held")
        if not options.no_record:
            _record(name, found)
    if not options.no_record:
        write_page()
    return int(failed)


def _record(name: str, found: dict[str, Any]) -> None:
    """Keep what a part found, beside the other parts."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    results |= {"command": "python -m tests.campaign", name: found}
    with replacing(RESULTS) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
