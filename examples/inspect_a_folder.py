"""Find, measure and judge the cracks on a folder of photos, with the model that comes along."""

import tempfile
from pathlib import Path

import fissura
from fissura.data.synthetic.dataset import synth


def main(folder: Path, count: int = 2) -> int:
    """Draw photos into `folder`, inspect them into `folder/report`; return the number of cracks."""
    synth(folder / "data", count=count, size_hw=(160, 240), test_fraction=0, seed=1)
    photos = folder / "data" / "train" / "images"
    limits = folder / "limits.yaml"
    limits.write_text("max_width_mm: 0.5\n", encoding="utf-8")
    inspection = fissura.inspect(
        photos,
        folder / "report",
        limits=limits,
        predicting=fissura.PredictOptions(threshold=0.5),
        resolution=fissura.ResolutionOptions(mm_per_pixel=0.2),
    )
    print(f"{inspection.cracks} cracks; photos that exceed the limits: {inspection.failing}")
    return inspection.cracks


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
