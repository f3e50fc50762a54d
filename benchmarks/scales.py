"""Does the same photo at 1/2, 1, 2 and 4 times its size give the same cracks?

    python benchmarks/scales.py DATA MODEL [--set deepcrack] [--every 10]

Each photo is resampled, saved as JPEG of quality 92 and predicted with the model's own scale and
with `--scale auto`. Masks are brought back to the photo's own size and compared with its truth and
with the prediction at its own size; cracks are counted as
`fissura inspect` counts them. The
figures are in results/scales.json beside this script.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from generalization import read_sets, thinned
from numpy.typing import NDArray

from fissura.checkpoint import config_of, versions
from fissura.data.preparation.prepared import PreparedSet
from fissura.files import replacing
from fissura.inference.predictor import Predictor
from fissura.measurement import measure
from fissura.measurement.options import MeasureOptions
from fissura.metrics.counts import iou, pixel_counts

RESULTS = Path(__file__).parent / "results" / "scales.json"
FACTORS = (0.5, 1.0, 2.0, 4.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--set", default="deepcrack")
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--no-record", action="store_true")
    asked = parser.parse_args()
    data = thinned(read_sets(asked.data)[asked.set], asked.every)
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for model in asked.models:
        for name, scale in (("as trained", config_of(model).scale), ("auto", "auto")):
            label = f"{Path(model).name}, scale {name}, {asked.set}"
            rows = compare(Predictor.load(model, scale=scale), data)
            found[label] = {
                "photos": len(data),
                "factors": rows,
                "versions": versions(),
                "date": datetime.now(UTC).date().isoformat(),
            }
            print(label, *(f"\n  {row}" for row in rows.items()), flush=True)
    if not asked.no_record:
        with replacing(RESULTS) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def compare(predictor: Predictor, data: PreparedSet) -> dict[str, dict[str, Any]]:
    """For each factor: IoU with the truth and with the photo's own size, and number of cracks."""
    own: list[NDArray[np.bool_]] = []
    rows = {}
    for factor in sorted(FACTORS, key=lambda one: abs(np.log(one))):
        truth, same, cracks, scales = np.zeros(4, np.int64), np.zeros(4, np.int64), 0, []
        for index, (image, mask) in enumerate(zip(data.images, data.masks, strict=True)):
            found = predictor(resampled(image, factor))
            scales.append(found.scale)
            shortest = MeasureOptions().min_length * predictor.scale / min(found.scale, 1.0)
            cracks += len(measure(found, options=MeasureOptions(min_length=shortest)))
            back = brought_back(found.mask, mask.shape)
            if factor == 1:
                own.append(back)
            truth += pixel_counts(back, mask)
            same += pixel_counts(back, own[index])
        rows[f"{factor:g}"] = {
            "iou": round(float(iou(truth)), 4),
            "iou_with_own_size": round(float(iou(same)), 4),
            "cracks": cracks,
            "scales": {f"{s:g}": scales.count(s) for s in sorted(set(scales))},
        }
    return rows


def resampled(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """The photo at another size, as a JPEG would give it."""
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    if factor != 1:
        image = np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def brought_back(mask: NDArray[np.bool_], size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask at the photo's own size: true where half of a pixel's area is."""
    part = mask.astype(np.float32)
    way = cv2.INTER_AREA if mask.shape[0] > size_hw[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (size_hw[1], size_hw[0]), interpolation=way)) >= 0.5


if __name__ == "__main__":
    main()
