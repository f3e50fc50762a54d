"""Write the drawn set in the layout of each tool, after the tool's own documentation."""

import base64
import csv
import io
import json
import zlib

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


def percent(outline):
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in outline]


def brush(mask):
    """Label Studio's bytes, written bit by bit: for each pixel two literals and a run."""
    words = [f"{4 * mask.size:032b}", "00111", "0010", "0011", "0111", "1111"]
    for value in mask.ravel().tolist():
        # Two values that are no run, then a run of two, for each pixel.
        eight = "11111111" if value else "00000000"
        words += ["0", "00", "001", eight, eight, "1", "01", "0001", eight]
    text = "".join(words)
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]


def label_studio(root, drawn, *, only_brush=False):
    """JSON export; names carry what uploading puts before them."""
    tasks = []
    for number, one in enumerate(drawn, start=1):
        shared = {
            "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0,
            "from_name": "tag", "to_name": "image", "origin": "manual",
        }  # fmt: skip
        result = []
        for label, mask in (("crack", one.crack if only_brush else one.ring_mask),):
            if mask.any():
                value = {"format": "rle", "rle": brush(mask), "brushlabels": [label]}
                result.append(shared | {"id": "b", "type": "brushlabels", "value": value})
        for place, outline in enumerate([] if only_brush else one.outlines):
            value = {"points": percent(outline), "closed": True, "polygonlabels": ["crack"]}
            result.append(shared | {"id": f"p{place}", "type": "polygonlabels", "value": value})
        if one.rust:
            (left, top), _, (right, bottom), _ = percent(one.rust)
            value = {"x": left, "y": top, "width": right - left, "height": bottom - top,
                     "rotation": 0, "rectanglelabels": ["rust"]}  # fmt: skip
            result.append(shared | {"id": "r", "type": "rectanglelabels", "value": value})
        tasks.append(
            {
                "id": number,
                "data": {"image": f"/data/upload/3/0a1b2c3d-{one.name}.jpg"},
                "annotations": [{"id": number, "result": result, "was_cancelled": False}],
                "predictions": [],
            }
        )
    save_photos(root / "images", drawn)
    (root / "project-3-at-2026-11-25.json").write_text(json.dumps(tasks))


def label_studio_brush(root, drawn):
    label_studio(root, drawn, only_brush=True)


def via(root, drawn):
    """A project; the ring is a keyhole, since VIA has no holes."""
    save_photos(root, drawn)
    listed = {}
    for one in drawn:
        shapes = [("crack", outline) for outline in one.outlines]
        shapes += [("crack", keyhole(one.ring))] if one.ring else []
        regions = [
            {
                "shape_attributes": {
                    "name": "polygon",
                    "all_points_x": [x for x, _ in outline],
                    "all_points_y": [y for _, y in outline],
                },
                "region_attributes": {"damage": label},
            }
            for label, outline in shapes
        ]
        if one.rust:
            (left, top), _, (right, bottom), _ = one.rust
            box = {"name": "rect", "x": left, "y": top, "width": right - left}
            regions.append(
                {
                    "shape_attributes": box | {"height": bottom - top},
                    "region_attributes": {"damage": "rust"},
                }
            )
        name = f"{one.name}.jpg"
        listed[f"{name}1234"] = {
            "filename": name, "size": 1234, "regions": regions, "file_attributes": {},
        }  # fmt: skip
    content = {"_via_settings": {}, "_via_img_metadata": listed, "_via_attributes": {}}
    (root / "via_project.json").write_text(json.dumps(content))


def via_csv(root, drawn):
    via(root, drawn)
    content = json.loads((root / "via_project.json").read_text())
    (root / "via_project.json").unlink()
    with (root / "via_export.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["filename", "file_size", "file_attributes", "region_count", "region_id",
             "region_shape_attributes", "region_attributes"]
        )  # fmt: skip
        for entry in content["_via_img_metadata"].values():
            regions = entry["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]
            for number, region in enumerate(regions):
                shape, attributes = region["shape_attributes"], region["region_attributes"]
                writer.writerow(
                    [entry["filename"], 1234, "{}", len(entry["regions"]), number,
                     json.dumps(shape), json.dumps(attributes)]
                )  # fmt: skip


def supervisely(root, drawn):
    """A bitmap of its bounding box; polygons with holes for those that have one."""
    dataset = root / "ds0"
    (dataset / "ann").mkdir(parents=True)
    save_photos(dataset / "img", drawn)
    classes = [{"title": "crack", "shape": "any", "color": "#FF0000"},
               {"title": "rust", "shape": "any", "color": "#00FF00"}]  # fmt: skip
    (root / "meta.json").write_text(json.dumps({"classes": classes, "tags": []}))
    for one in drawn:
        objects = []
        if one.outlines:
            top, left, bottom, right = box_of(one.outlined)
            buffer = io.BytesIO()
            cut = one.outlined[top:bottom, left:right]
            image = Image.fromarray(cut.astype(np.uint8), "P")
            image.putpalette([0, 0, 0, 255, 255, 255])
            image.save(buffer, "PNG", transparency=0, bits=1)
            data = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
            objects.append(
                {"classTitle": "crack", "geometryType": "bitmap",
                 "bitmap": {"data": data, "origin": [int(left), int(top)]}}
            )  # fmt: skip
        polygons = [("crack", *one.ring)] if one.ring else []
        polygons += [("rust", one.rust, None)] if one.rust else []
        for label, outer, hole in polygons:
            points = {"exterior": outer, "interior": [hole] if hole else []}
            objects.append({"classTitle": label, "geometryType": "polygon", "points": points})
        content = {"description": "", "tags": [], "objects": objects,
                   "size": {"height": HEIGHT, "width": WIDTH}}  # fmt: skip
        (dataset / "ann" / f"{one.name}.jpg.json").write_text(json.dumps(content))


def cvat_mask(root, drawn):
    """CVAT's 'Segmentation mask 1.1', with images."""
    colors = np.array([(0, 0, 0), (250, 50, 83), (51, 221, 255)], np.uint8)
    save_photos(root / "JPEGImages", drawn)
    for folder in ("SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for one in drawn:
        image = Image.fromarray(colors[np.where(one.rust_mask, 2, one.crack)])
        image.save(root / "SegmentationClass" / f"{one.name}.png")
        image.save(root / "SegmentationObject" / f"{one.name}.png")
    names = "".join(f"{one.name}\n" for one in drawn)
    (root / "ImageSets/Segmentation/default.txt").write_text(names)
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\n"
        "background:0,0,0::\ncrack:250,50,83::\nrust:51,221,255::\n"
    )


def nnunet(root, drawn):
    """Version 2, with photos to predict that have no labels."""
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (root / folder).mkdir(parents=True)
    for one in drawn:
        Image.fromarray(one.photo).save(root / "imagesTr" / f"{one.name}_0000.png")
        values = np.where(one.rust_mask, 2, one.crack).astype(np.uint8)
        Image.fromarray(values).save(root / "labelsTr" / f"{one.name}.png")
    Image.fromarray(drawn[0].photo).save(root / "imagesTs" / "other_0000.png")
    content = {
        "channel_names": {"0": "R", "1": "G", "2": "B"}, "numTraining": len(drawn),
        "labels": {"background": 0, "crack": 1, "rust": 2}, "file_ending": ".png",
    }  # fmt: skip
    (root / "dataset.json").write_text(json.dumps(content))


def roboflow_masks(root, drawn):
    for split, some in (("train", drawn[:3]), ("valid", drawn[3:])):
        save_photos(root / split, some)
        for one in some:
            values = np.where(one.rust_mask, 2, one.crack).astype(np.uint8)
            Image.fromarray(values).save(root / split / f"{one.name}_mask.png")
        text = "Pixel Value, Class\n0, background\n1, crack\n2, rust\n"
        (root / split / "_classes.csv").write_text(text)


def mvtec(root, drawn):
    """One kind of defect per folder, so that rust is a defect of its own; here there is none."""
    for number, one in enumerate(drawn):
        folder = root / ("test/crack" if one.crack.any() else "train/good")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one.photo).save(folder / f"{one.name}.png")
        if one.crack.any():
            truth = root / "ground_truth/crack"
            truth.mkdir(parents=True, exist_ok=True)
            mask = (255 * one.crack).astype(np.uint8)
            Image.fromarray(mask).save(truth / f"{one.name}_mask.png")
        if number == 0:
            (root / "test/good").mkdir(parents=True)


def hugging_face(root, drawn):
    """Parquet as `push_to_hub` and `to_parquet` write it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def encoded(array, kind):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, kind)
        return {"bytes": buffer.getvalue(), "path": None}

    root.mkdir()
    for split, some in (("train", drawn[:3]), ("validation", drawn[3:])):
        table = pa.table(
            {
                "image": [encoded(one.photo, "PNG") for one in some],
                "mask": [encoded((255 * one.crack).astype(np.uint8), "PNG") for one in some],
            }
        )
        pq.write_table(table, root / f"{split}-00000-of-00001.parquet", row_group_size=2)


LAYOUTS |= {
    "label_studio": label_studio,
    "label_studio_brush": label_studio_brush,
    "via": via,
    "via_csv": via_csv,
    "supervisely": supervisely,
    "cvat_mask": cvat_mask,
    "nnunet": nnunet,
    "roboflow_masks": roboflow_masks,
    "mvtec": mvtec,
    "hugging_face": hugging_face,
}
# Those that hold no rust.
ONE_CLASS = {"mvtec", "hugging_face"}
