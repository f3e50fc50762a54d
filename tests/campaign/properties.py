"""Part four: what must hold whatever happens, as tests with drawn examples."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
THOROUGH = 2.5  # minutes from which on ten times as many examples are drawn
TESTS = (
    "tests/campaign/test_properties.py",
    "tests/measurement/test_cracks.py::test_bars_at_any_angle_and_point",
    "tests/measurement/test_cracks.py::test_windows_cut_no_crack_in_two",
    "tests/measurement/test_cracks.py::test_components_measured_in_chunks_are_the_same",
    "tests/inference/engines/test_streaming.py::test_bands_of_any_heights_are_the_whole",
    "tests/inference/test_predictor.py::test_several_cores_give_the_same_as_one",
    "tests/inference/test_tiling.py::test_tiles_cover_every_pixel_and_their_shares_add_up_to_one",
    "tests/spread/test_parts.py::test_the_order_of_the_photos_plays_no_part",
    "tests/test_same_result.py::test_a_photo",
)


def try_properties(seed: int, minutes: float) -> dict[str, Any]:
    """Run the tests of properties with drawn examples; what came of it, for the page."""
    counts: dict[str, Counter[str]] = {}
    finds = []
    examples = {"FISSURA_THOROUGH": "1"} if minutes >= THOROUGH else {}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS,
             f"--hypothesis-seed={seed}", f"--junit-xml={report}"],
            cwd=ROOT, check=False, stdout=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | examples,
        )  # fmt: skip
        for case in ET.parse(report).getroot().iter("testcase"):
            name = (case.get("name") or "").partition("[")[0].removeprefix("test_")
            if case.find("skipped") is not None:
                continue
            wrong = next((one for one in case if one.tag in ("failure", "error")), None)
            counts.setdefault(name.replace("_", " "), Counter())[
                "wrong" if wrong is not None else "held"
            ] += 1
            if wrong is not None:
                finds.append({"index": seed, "target": name, "told": wrong.get("message") or ""})
    rows = [
        {"fault": name, "tried": count.total(), "held": count["held"]}
        for name, count in counts.items()
    ]
    return {"seed": seed, "rows": rows, "finds": finds}
