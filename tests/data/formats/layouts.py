"""Write the drawn set in the layout of each tool, after the tool's own documentation."""

import base64
import io
import json

import numpy as np
from PIL import Image

from .conftest import SIZE

HEIGHT, WIDTH = SIZE


def save_photos(folder, drawn, suffix=".jpg"):
    folder.mkdir(parents=True, exist_ok=True)
    for one in drawn:
        Image.fromarray(one.photo).save(folder / f"{one.name}{suffix}", quality=95)


def flat(outline):
    return [float(value) for point in outline for value in point]


def png64(mask):
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def coco(root, drawn, *, compressed=False):
    """Polygons where there is no hole; run lengths, compressed or not, where there is."""
    from pycocotools import mask as api

    save_photos(root / "images", drawn)
    images, annotations = [], []
    for number, one in enumerate(drawn, start=1):
        images.append(
            {"id": number, "file_name": f"{one.name}.jpg", "height": HEIGHT, "width": WIDTH}
        )
        parts = [(1, [flat(outline)]) for outline in one.outlines]
        if one.ring:
            encoded = api.encode(np.asfortranarray(one.ring_mask.astype(np.uint8)))
            text = encoded["counts"].decode()
            counts = text if compressed else lengths(one.ring_mask.T)
            parts.append((1, {"size": [HEIGHT, WIDTH], "counts": counts}))
        if one.rust:
            parts.append((2, [flat(one.rust)]))
        for category, segmentation in parts:
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": category,
                 "segmentation": segmentation, "iscrowd": 0, "bbox": [0, 0, 1, 1], "area": 1}
            )  # fmt: skip
    categories = [{"id": 1, "name": "crack"}, {"id": 2, "name": "rust"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_default.json").write_text(json.dumps(content))


def lengths(mask):
    """Run lengths along the rows, the first outside."""
    counts, inside = [0], False
    for value in mask.ravel().tolist():
        if value != inside:
            counts.append(0)
            inside = value
        counts[-1] += 1
    return counts


def coco_compressed(root, drawn):
    coco(root, drawn, compressed=True)


def roboflow_coco(root, drawn):
    """Roboflow: a folder per split, in it photos and _annotations.coco.json."""
    for split, some in (("train", drawn[:3]), ("valid", drawn[3:])):
        coco(root / split, some)
        folder = root / split
        content = json.loads((folder / "annotations/instances_default.json").read_text())
        for entry in content["annotations"]:
            entry["category_id"] += 1
        content["categories"] = [
            {"id": 0, "name": "wall-cracks", "supercategory": "none"},
            {"id": 2, "name": "crack", "supercategory": "wall-cracks"},
            {"id": 3, "name": "rust", "supercategory": "wall-cracks"},
        ]
        (folder / "_annotations.coco.json").write_text(json.dumps(content))
        (folder / "annotations/instances_default.json").unlink()
        (folder / "annotations").rmdir()
        for file in (folder / "images").iterdir():
            file.rename(folder / file.name)
        (folder / "images").rmdir()


def keyhole(ring):
    """An outline with a hole as one outline, by two lines that lie on each other."""
    outer, hole = ring
    return [*outer, outer[0], *hole[::-1][-1:], *hole[::-1], outer[0]]


def yolo(root, drawn):
    splits = {"train": drawn[:3], "val": drawn[3:]}
    for split, some in splits.items():
        save_photos(root / "images" / split, some)
        labels = root / "labels" / split
        labels.mkdir(parents=True)
        for one in some:
            rows = [(0, outline) for outline in one.outlines]
            rows += [(0, keyhole(one.ring))] if one.ring else []
            rows += [(1, one.rust)] if one.rust else []
            text = "".join(
                f"{number} "
                + " ".join(f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in outline)
                + "\n"
                for number, outline in rows
            )
            if text:
                (labels / f"{one.name}.txt").write_text(text)
    (root / "data.yaml").write_text(
        "path: ../datasets/walls\ntrain: images/train\nval: images/val\n"
        "names:\n  0: crack\n  1: rust\n"
    )


def roboflow_yolo(root, drawn):
    """Roboflow: train/images, train/labels, and paths that lead out of the folder."""
    yolo(root, drawn)
    for split, name in (("train", "train"), ("val", "valid")):
        (root / name).mkdir()
        (root / "images" / split).rename(root / name / "images")
        (root / "labels" / split).rename(root / name / "labels")
    (root / "images").rmdir()
    (root / "labels").rmdir()
    (root / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\n"
        "names: ['crack', 'rust']\nroboflow:\n  project: walls\n"
    )


def labelme(root, drawn):
    save_photos(root, drawn)
    for one in drawn:
        shapes = [("crack", outline, "polygon", None) for outline in one.outlines]
        if one.ring:
            top, left, bottom, right = box_of(one.ring_mask)
            cut = one.ring_mask[top:bottom, left:right]
            corners = [[float(left), float(top)], [right - 1.0, bottom - 1.0]]
            shapes.append(("crack", corners, "mask", png64(cut)))
        if one.rust:
            shapes.append(("rust", [one.rust[0], one.rust[2]], "rectangle", None))
        content = {
            "version": "5.5.0", "flags": {}, "imagePath": f"{one.name}.jpg", "imageData": None,
            "imageHeight": HEIGHT, "imageWidth": WIDTH,
            "shapes": [
                {"label": label, "points": points, "group_id": None, "description": "",
                 "shape_type": kind, "flags": {}, "mask": mask}
                for label, points, kind, mask in shapes
            ],
        }  # fmt: skip
        (root / f"{one.name}.json").write_text(json.dumps(content))


def cvat(root, drawn):
    save_photos(root / "images", drawn)
    rows = []
    for number, one in enumerate(drawn):
        shapes = [
            f'<polygon label="{label}" source="manual" occluded="0" z_order="0" '
            f'points="{";".join(f"{x:.2f},{y:.2f}" for x, y in outline)}"></polygon>'
            for label, outline in [
                *(("crack", outline) for outline in one.outlines),
                *([("rust", one.rust)] if one.rust else []),
            ]
        ]
        if one.ring:
            top, left, bottom, right = box_of(one.ring_mask)
            cut = one.ring_mask[top:bottom, left:right]
            shapes.append(
                f'<mask label="crack" source="manual" occluded="0" '
                f'rle="{", ".join(map(str, lengths(cut)))}" left="{left}" top="{top}" '
                f'width="{right - left}" height="{bottom - top}" z_order="0"></mask>'
            )
        rows.append(
            f'<image id="{number}" name="{one.name}.jpg" width="{WIDTH}" height="{HEIGHT}">'
            f"{''.join(shapes)}</image>"
        )
    (root / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task>'
        "<labels><label><name>crack</name><type>any</type></label>"
        "<label><name>rust</name><type>any</type></label></labels></task></meta>"
        f"{''.join(rows)}</annotations>"
    )


LAYOUTS = {
    "coco": coco,
    "coco_compressed": coco_compressed,
    "roboflow_coco": roboflow_coco,
    "yolo": yolo,
    "roboflow_yolo": roboflow_yolo,
    "labelme": labelme,
    "cvat": cvat,
}
