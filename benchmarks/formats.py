"""Do labeling tools read what `fissura convert` writes? Their own readers decode it, by the pixel.

They need packages that Fissura doesn't, so this runs in two environments:

    python benchmarks/formats.py write OUT         # with Fissura: masks found on the shipped photos
    PEERS/bin/python benchmarks/formats.py check OUT    # with the tools, see PEERS below

The second prints a table, and writes it with `--save benchmarks/results/formats.json`.
"""

import argparse
import json
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

PEERS = ("datumaro", "labelme", "label-studio-sdk", "supervision", "pycocotools")
FORMATS = ("coco", "cvat", "label-studio", "labelme", "yolo")


def write(out):
    """Predict the shipped photos and write what was found in every format."""
    import fissura
    from fissura.shipped import PHOTOS

    fissura.predict(PHOTOS, out / "found")
    for to in FORMATS:
        for polygons in (False, True):
            options = fissura.ConvertOptions(polygons=polygons)
            name = f"{to}-polygons" if polygons else to
            fissura.convert(out / "found", out / name, to, options=options)


def united(size_hw, masks):
    mask = np.zeros(size_hw, bool)
    for one in masks:
        mask |= np.asarray(one).astype(bool)
    return mask


def by_datumaro(folder, kind, truth):
    """CVAT's own library for data sets; polygons by pycocotools, as CVAT does it."""
    import datumaro
    from datumaro.components.annotation import Mask, Polygon
    from pycocotools import mask as api

    def pixels(one, size_hw):
        if isinstance(one, Polygon):
            return api.decode(api.merge(api.frPyObjects([one.points], *size_hw)))
        return one.image

    found = {}
    for item in datumaro.Dataset.import_from(str(folder), kind):
        name = Path(item.id).name
        size_hw = truth[name].shape
        drawn = [one for one in item.annotations if isinstance(one, Mask | Polygon)]
        found[name] = united(size_hw, [pixels(one, size_hw) for one in drawn])
    return found


def by_labelme(folder, truth):
    from labelme.utils import img_b64_to_arr, shape_to_mask

    found = {}
    for file in folder.glob("*.json"):
        size_hw = truth[file.stem].shape
        masks = []
        for shape in json.loads(file.read_text(encoding="utf-8"))["shapes"]:
            if shape["shape_type"] == "mask":
                (left, top), (right, bottom) = np.array(shape["points"]).astype(int)
                masks.append(np.zeros(size_hw, bool))
                masks[-1][top : bottom + 1, left : right + 1] = img_b64_to_arr(shape["mask"])
            else:
                masks.append(shape_to_mask(size_hw, shape["points"], shape["shape_type"]))
        found[file.stem] = united(size_hw, masks)
    return found


def by_label_studio(folder, truth):
    from label_studio_sdk.converter.brush import decode_rle

    found = {}
    for task in json.loads((folder / "tasks.json").read_text(encoding="utf-8")):
        name = Path(task["data"]["image"]).stem
        size_hw = truth[name].shape
        values = [one["value"]["rle"] for one in task["predictions"][0]["result"]]
        masks = [decode_rle(rle).reshape(*size_hw, 4)[:, :, 3] for rle in values]
        found[name] = united(size_hw, masks)
    return found


def by_label_studio_converter(folder, truth):
    """Polygons: Label Studio's own export to COCO, of the predictions taken as annotations."""
    from label_studio_sdk.converter import Converter
    from pycocotools import mask as api

    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    for number, task in enumerate(tasks):
        made = task.pop("predictions")
        about = {"id": number, "completed_by": 1, "was_cancelled": False}
        task |= {"id": number, "annotations": [one | about for one in made]}
    config = (folder / "label_config.xml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        accepted = Path(temporary, "accepted.json")
        accepted.write_text(json.dumps(tasks), encoding="utf-8")
        converter = Converter(config, str(folder), upload_dir=str(folder), download_resources=False)
        converter.convert_to_coco(str(accepted), temporary, is_dir=False)
        coco = json.loads(Path(temporary, "result.json").read_text(encoding="utf-8"))
    found = {}
    for image in coco["images"]:
        name = Path(image["file_name"]).stem
        rings = [a["segmentation"] for a in coco["annotations"] if a["image_id"] == image["id"]]
        size_hw = truth[name].shape
        masks = [api.decode(api.merge(api.frPyObjects(ring, *size_hw))) for ring in rings]
        found[name] = united(size_hw, masks)
    return found


def by_supervision(data, truth):
    found = {}
    for path, _, detections in data:
        name = Path(path).stem
        found[name] = united(truth[name].shape, detections.mask if len(detections) else [])
    return found


def by_fill_poly(folder, truth):
    """As Ultralytics fills outlines for training: fractions dropped, OpenCV's fillPoly."""
    import cv2

    found = {}
    for file in folder.rglob("labels/*/*.txt"):
        mask = np.zeros(truth[file.stem].shape, np.uint8)
        for line in file.read_text(encoding="utf-8").splitlines():
            ring = np.array(line.split()[1:], float).reshape(-1, 2) * mask.shape[::-1]
            cv2.fillPoly(mask, [ring.astype(np.int32)], 1)
        found[file.stem] = mask > 0
    return found


def check(out):
    """Count the pixels that each tool reads otherwise than they were written."""
    import supervision

    truth = {file.stem: np.asarray(Image.open(file)) > 0 for file in out.glob("found/masks/*.png")}
    rows = []

    def add(name, tool, found):
        assert found.keys() == truth.keys()
        differing = sum(int((found[key] != truth[key]).sum()) for key in truth)
        crack = sum(int(mask.sum()) for mask in truth.values())
        rows.append({"format": name, "tool": tool, "differing": differing, "crack": crack})
        print(f"{name:24}{tool:20}{differing:8} of {crack}", flush=True)

    for end in ("", "-polygons"):
        add(f"cvat{end}", "datumaro", by_datumaro(out / f"cvat{end}", "cvat", truth))
        kind = "coco_instances"
        add(f"coco{end}", "datumaro", by_datumaro(out / f"coco{end}", kind, truth))
        add(f"labelme{end}", "labelme", by_labelme(out / f"labelme{end}", truth))
        coco = supervision.DetectionDataset.from_coco(
            images_directory_path=str(out / f"coco{end}/images"),
            annotations_path=str(out / f"coco{end}/annotations/instances_default.json"),
            force_masks=True,
        )
        add(f"coco{end}", "supervision", by_supervision(coco, truth))
    add("label-studio", "label-studio-sdk", by_label_studio(out / "label-studio", truth))
    folder = out / "label-studio-polygons"
    add(folder.name, "label-studio-sdk", by_label_studio_converter(folder, truth))
    add("yolo", "as Ultralytics", by_fill_poly(out / "yolo", truth))
    yolo = supervision.DetectionDataset.from_yolo(
        images_directory_path=str(out / "yolo/images/train"),
        annotations_directory_path=str(out / "yolo/labels/train"),
        data_yaml_path=str(out / "yolo/data.yaml"),
        force_masks=True,
    )
    add("yolo", "supervision", by_supervision(yolo, truth))
    return {
        "rows": rows,
        "photos": len(truth),
        "versions": {name: version(name) for name in PEERS},
        "machine": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["write", "check"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    if given.step == "write":
        write(given.out)
        return
    results = check(given.out)
    if given.save:
        given.save.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
