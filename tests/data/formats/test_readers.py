"""What single formats have beside their common layout: labels, splits, variants."""

import base64
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from fissura.data.annotation_options import AnnotationOptions
from fissura.data.folder import find_pairs
from fissura.data.formats import AnnotatedSet, read_annotations
from fissura.data.formats.labels import crack_labels
from fissura.data.labels import Labels
from fissura.errors import InputError

from .conftest import SIZE
from .layouts import LAYOUTS, brush, percent, save_photos

HEIGHT, WIDTH = SIZE


def edited(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def masks(root, **options):
    """Crack masks by the names of photos, and what is said."""
    folder = find_pairs(root, **options)
    pairs = [pair for listed in folder.splits.values() for pair in listed]
    return {pair.image.stem: np.asarray(Image.open(pair.mask)) > 0 for pair in pairs}, folder


# --- labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "given", "chosen"),
    [
        (("Schaden",), None, ("Schaden",)),
        (("rust", "Crack_thin", "crack wide"), None, ("Crack_thin", "crack wide")),
        (("Riss", "Kies", "Abplatzung"), None, ("Riss",)),
        (("Haarriss", "Risse_quer", "Rost"), None, ("Haarriss", "Risse_quer")),
        (("crack", "no crack", "non_crack", "crack-free"), None, ("crack",)),
        (("Abplatzung", "Rost"), None, None),
        (("裂缝", "锈"), None, ("裂缝",)),
        (("grieta", "óxido"), None, ("grieta",)),
        (("prism", "brisk", "crack"), None, ("crack",)),
        (("rust", "crack"), "RUST", ("rust",)),
        (("a", "b", "c"), "c, a", ("a", "c")),
        ((), None, ()),
    ],
)
def test_which_labels_are_cracks(tmp_path, labels, given, chosen):
    annotated = AnnotatedSet("COCO", tmp_path, (), labels)
    if chosen is None:
        with pytest.raises(InputError, match=r"labels Abplatzung and Rost.*--labels Abplatzung"):
            crack_labels(annotated, given)
    else:
        assert crack_labels(annotated, given) == chosen


def test_an_unknown_label_is_named_with_those_that_are_there(drawn, tmp_path):
    LAYOUTS["coco"](tmp_path / "walls", drawn)
    with pytest.raises(InputError, match=r"no label mold\. Its labels are crack and rust"):
        find_pairs(tmp_path / "walls", annotations=AnnotationOptions(labels="crack,mold"))


def test_the_mask_depends_on_the_labels(drawn, tmp_path):
    LAYOUTS["coco"](tmp_path / "walls", drawn)
    for labels, attribute in (("rust", "rust_mask"), ("crack", "crack")):
        found, _ = masks(tmp_path / "walls", annotations=AnnotationOptions(labels=labels))
        for one in drawn:
            np.testing.assert_array_equal(found[one.name], getattr(one, attribute))


def test_classes_are_painted_with_their_values(drawn, tmp_path):
    LAYOUTS["cvat"](tmp_path / "walls", drawn)
    labels = Labels.parse("Rust=300,crack")
    for pair in find_pairs(tmp_path / "walls", labels=labels).splits["all"]:
        one = next(one for one in drawn if one.name == pair.image.stem)
        expected = np.where(one.rust_mask, 300, 2 * one.crack)
        np.testing.assert_array_equal(np.asarray(Image.open(pair.mask)), expected)
    overlapping = Labels.parse("crack,rust", overlapping=True)
    for pair in find_pairs(tmp_path / "walls", labels=overlapping).splits["all"]:
        one = next(one for one in drawn if one.name == pair.image.stem)
        assert pair.mask is None
        found = {name: np.asarray(Image.open(path)) > 0 for name, path in pair.layers}
        np.testing.assert_array_equal(found["crack"], one.crack)
        np.testing.assert_array_equal(found["rust"], one.rust_mask)
    with pytest.raises(InputError, match="has no label mold"):
        find_pairs(tmp_path / "walls", labels=Labels.parse("crack,mold"))


# --- what stays as it was -------------------------------------------------------------------


def test_masks_that_are_paired_by_names_count(drawn, tmp_path):
    """Annotations beside them are read where their file is given."""
    LAYOUTS["coco"](tmp_path / "walls", drawn)
    (tmp_path / "walls/masks").mkdir()
    for one in drawn:
        white = np.zeros(SIZE, np.uint8)
        white[:4] = 255
        Image.fromarray(white).save(tmp_path / f"walls/masks/{one.name}.png")
    assert read_annotations(tmp_path / "walls") is None
    found, _ = masks(tmp_path / "walls")
    assert all(mask[:4].all() and not mask[4:].any() for mask in found.values())
    found, _ = masks(tmp_path / "walls/annotations/instances_default.json")
    for one in drawn:
        np.testing.assert_array_equal(found[one.name], one.crack)


def test_other_files_are_no_annotations(drawn, tmp_path):
    save_photos(tmp_path / "walls", drawn)
    (tmp_path / "walls/settings.json").write_text('{"a": [1, 2]}')
    (tmp_path / "walls/list.json").write_text("[]")
    (tmp_path / "walls/feed.xml").write_text("<feed/>")
    (tmp_path / "walls/notes.txt").write_text("12 photos of walls\n")
    (tmp_path / "walls/wall_0.txt").write_text("dry\n")
    (tmp_path / "walls/config.yaml").write_text("names: [a]\n")
    (tmp_path / "walls/table.csv").write_text("a,b\n1,2\n")
    assert read_annotations(tmp_path / "walls") is None
    with pytest.raises(InputError, match=r"holds images .* but no masks"):
        find_pairs(tmp_path / "walls")
    with pytest.raises(InputError, match="holds no annotations of a known format"):
        find_pairs(tmp_path / "walls/settings.json")


# --- COCO and YOLO --------------------------------------------------------------------------


def test_crowds_count_nowhere(drawn, tmp_path):
    LAYOUTS["coco"](tmp_path / "walls", drawn)
    file = tmp_path / "walls/annotations/instances_default.json"
    edited(file, lambda c: c["annotations"][0].update(iscrowd=1))
    folder = find_pairs(tmp_path / "walls")
    first, *others = folder.splits["all"]
    assert first.ignored is not None
    assert all(pair.ignored is None for pair in others)
    ignored = np.asarray(Image.open(first.ignored)) > 0
    mask = np.asarray(Image.open(first.mask)) > 0
    np.testing.assert_array_equal(ignored | mask, drawn[0].crack)
    assert ignored.any()
    assert "1 image has areas without a label" in folder.described()


@pytest.mark.parametrize(
    ("name", "split"),
    [("instances_train2017", "train"), ("val", "val"), ("my_test_set", "test"), ("latest", "all")],
)
def test_names_of_coco_files_tell_the_split(drawn, tmp_path, name, split):
    LAYOUTS["coco"](tmp_path / "walls", drawn)
    file = tmp_path / "walls/annotations/instances_default.json"
    file.rename(file.with_name(f"{name}.json"))
    assert list(find_pairs(tmp_path / "walls").splits) == [split]


def test_yolo_without_a_description(drawn, tmp_path):
    LAYOUTS["yolo"](tmp_path / "walls", drawn)
    (tmp_path / "walls/data.yaml").unlink()
    for file in (tmp_path / "walls").rglob("*.txt"):
        lines = [line for line in file.read_text().splitlines() if line.startswith("0")]
        file.write_text("\n".join(lines))
    found, folder = masks(tmp_path / "walls")
    for one in drawn:
        np.testing.assert_array_equal(found[one.name], one.crack)
    assert set(folder.splits) == {"train", "val"}


# --- LabelMe, Label Studio ------------------------------------------------------------------


def test_photos_inside_labelme_files(drawn, tmp_path):
    LAYOUTS["labelme"](tmp_path / "walls", drawn)
    for one in drawn:
        data = (tmp_path / f"walls/{one.name}.jpg").read_bytes()
        edited(
            tmp_path / f"walls/{one.name}.json",
            lambda c, data=data: c.update(imageData=base64.b64encode(data).decode()),
        )
        (tmp_path / f"walls/{one.name}.jpg").unlink()
    folder = find_pairs(tmp_path / "walls")
    for pair, one in zip(folder.splits["all"], drawn, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(pair.mask)) > 0, one.crack)
        assert np.abs(np.asarray(Image.open(pair.image)).astype(int) - one.photo).mean() < 4


@pytest.mark.parametrize("kind", ["linestrip", "circle", "point"])
def test_kinds_of_labelme(drawn, tmp_path, kind):
    LAYOUTS["labelme"](tmp_path / "walls", drawn)
    points = [[10.0, 10.0], [10.0, 18.0]][: 1 if kind == "point" else 2]
    shape = {"label": "crack", "points": points, "shape_type": kind}
    edited(tmp_path / "walls/wall_4.json", lambda c: c.update(shapes=[shape]))
    options = AnnotationOptions(line_width=3)
    found, folder = masks(tmp_path / "walls", annotations=options)
    pixels = found["wall_4"].sum()
    expected = {"linestrip": 3 * 8 + 9 / 4 * np.pi, "circle": 64 * np.pi, "point": 0}[kind]
    assert pixels == pytest.approx(expected, rel=0.1)
    if kind == "linestrip":
        assert "Lines are painted 3 pixels wide" in folder.described()
    if kind == "point":
        assert "is a point and marks no pixels." in folder.described()


def test_lines_get_the_width_beneath_and_it_is_said(drawn, tmp_path):
    """The second crack of each photo is a bar of 30×2 pixels, drawn as a line along its middle."""
    LAYOUTS["cvat"](tmp_path / "walls", drawn)
    file = tmp_path / "walls/annotations.xml"
    text = file.read_text()
    old = 'points="20.00,4.00;50.00,4.00;50.00,6.00;20.00,6.00"></polygon>'
    assert old in text
    text = text.replace(
        f'<polygon label="crack" source="manual" occluded="0" z_order="0" {old}',
        '<polyline label="crack" z_order="0" points="20,5;50,5"></polyline>',
    )
    file.write_text(text)
    found, folder = masks(tmp_path / "walls")
    bar = found["wall_0"][:, 20:50]
    expected = drawn[0].crack[:, 20:50]
    assert (bar & expected).sum() / (bar | expected).sum() > 0.8
    assert "1 line gets its width from the dark ridge in the photo beneath" in folder.described()
    fixed, _ = masks(tmp_path / "walls", annotations=AnnotationOptions(line_width=6))
    assert fixed["wall_0"].sum() > found["wall_0"].sum()


def test_label_studio_takes_what_counts(drawn, tmp_path):
    """Of several annotations the ground truth, or the last; none skipped; no prediction."""
    LAYOUTS["label_studio"](tmp_path / "walls", drawn)

    def change(tasks):
        ours = tasks[0]["annotations"][0]
        nothing = {"id": 9, "result": [], "was_cancelled": False}
        tasks[0]["annotations"] = [ours | {"ground_truth": True}, nothing]
        old, new = {"updated_at": "2026-01-01"}, {"updated_at": "2026-02-01"}
        tasks[1]["annotations"] = [tasks[1]["annotations"][0] | new, nothing | old]
        tasks[2]["annotations"][0]["was_cancelled"] = True
        tasks[3] |= {"annotations": [], "predictions": tasks[3]["annotations"]}

    edited(tmp_path / "walls/project-3-at-2026-11-25.json", change)
    found, folder = masks(tmp_path / "walls")
    assert set(found) == {"wall_0", "wall_1", "wall_4"}
    for one in drawn[:2]:
        np.testing.assert_array_equal(found[one.name], one.crack)
    assert "2 tasks have no annotation in project-3" in folder.described()
    assert "task 2 in project-3-at-2026-11-25.json has 2 annotations, of which the last" in (
        folder.described()
    )


def test_label_studio_minimal_and_separate_labels(drawn, tmp_path):
    one = drawn[1]
    save_photos(tmp_path / "min", [one])
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    values = [{"format": "rle", "rle": brush(one.crack), "brushlabels": ["crack"]} | size]
    task = {"image": f"/data/local-files/?d=a/{one.name}.jpg", "id": 1, "annotation_id": 2}
    (tmp_path / "min/a.json").write_text(json.dumps([task | {"tag": values}]))
    save_photos(tmp_path / "own", [one])
    results = [
        {"id": str(place), "type": kind, "value": value} | size
        for place, outline in enumerate(one.outlines)
        for kind, value in (
            ("polygon", {"points": percent(outline)}),
            ("labels", {"points": percent(outline), "labels": ["crack"]}),
        )
    ]
    task = {"id": 1, "data": {"img": f"s3://walls/{one.name}.jpg?x=1"}}
    content = [task | {"annotations": [{"result": results}]}]
    (tmp_path / "own/a.json").write_text(json.dumps(content))
    for folder, expected in (("min", one.crack), ("own", one.outlined)):
        found, _ = masks(tmp_path / folder)
        np.testing.assert_array_equal(found[one.name], expected)


# --- folders --------------------------------------------------------------------------------


def test_voc_without_a_list_of_colors(drawn, tmp_path):
    """Palette images; 255 is no label, and the lists tell the split."""
    root = tmp_path / "VOC2012"
    LAYOUTS["cvat_mask"](root, drawn)
    (root / "labelmap.txt").unlink()
    for one in drawn:
        values = one.crack.astype(np.uint8)
        values[:2] = 255
        image = Image.fromarray(values, "P")
        image.putpalette([0, 0, 0, 128, 0, 0] + [0] * 759 + [224, 224, 192])
        image.save(root / f"SegmentationClass/{one.name}.png")
    lists = root / "ImageSets/Segmentation"
    for split, some in (("train", drawn[:3]), ("val", drawn[3:])):
        (lists / f"{split}.txt").write_text("".join(f"{one.name}\n" for one in some))
    found, folder = masks(root)
    assert {split: len(pairs) for split, pairs in folder.splits.items()} == {"train": 3, "val": 2}
    for one in drawn:
        np.testing.assert_array_equal(found[one.name][2:], one.crack[2:])
    assert all(pair.ignored for pairs in folder.splits.values() for pair in pairs)


def test_nnunet_of_version_1_with_channels_and_unlabeled_pixels(drawn, tmp_path):
    LAYOUTS["nnunet"](tmp_path / "walls", drawn)
    for one in drawn:
        for channel in (2, 1, 0):
            plane = Image.fromarray(one.photo[:, :, channel])
            plane.save(tmp_path / f"walls/imagesTr/{one.name}_000{channel}.png")
    labels = {"0": "background", "1": "crack", "2": "ignore"}
    edited(tmp_path / "walls/dataset.json", lambda c: c.update(labels=labels))
    folder = find_pairs(tmp_path / "walls")
    assert "1 photo has no labels in labelsTs and is not used" in folder.described()
    for pair, one in zip(folder.splits["train"], drawn, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(pair.image)), one.photo)
        np.testing.assert_array_equal(np.asarray(Image.open(pair.mask)) > 0, one.crack)
        if one.rust:
            np.testing.assert_array_equal(np.asarray(Image.open(pair.ignored)) > 0, one.rust_mask)


def test_mvtec_with_several_defects(drawn, tmp_path):
    root = tmp_path / "tile"
    LAYOUTS["mvtec"](root, drawn)
    for part in ("test", "ground_truth"):
        (root / part / "oil").mkdir()
    (root / "test/crack/wall_2.png").rename(root / "test/oil/wall_2.png")
    (root / "ground_truth/crack/wall_2_mask.png").rename(root / "ground_truth/oil/wall_2_mask.png")
    found, folder = masks(root)
    assert list(folder.splits) == ["all"]
    assert not found["wall_2"].any()
    np.testing.assert_array_equal(found["wall_3"], drawn[3].crack)
    assert "all photos are put together and split anew" in folder.described()


def test_arrow_files_and_other_columns(drawn, tmp_path):
    pa = pytest.importorskip("pyarrow")

    def encoded(array):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "PNG")
        return {"bytes": buffer.getvalue(), "path": None}

    columns = {
        "pixel_values": [encoded(one.photo) for one in drawn],
        "label": [encoded(one.crack.astype(np.uint8)) for one in drawn],
        "source": ["a"] * len(drawn),
    }
    table = pa.table(columns)
    (tmp_path / "walls/train").mkdir(parents=True)
    with pa.OSFile(str(tmp_path / "walls/train/data-00000-of-00001.arrow"), "wb") as file:
        writer = pa.ipc.new_stream(file, table.schema)
        writer.write_table(table)
        writer.close()
    folder = find_pairs(tmp_path / "walls")
    for pair, one in zip(folder.splits["train"], drawn, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(pair.image)), one.photo)
        np.testing.assert_array_equal(np.asarray(Image.open(pair.mask)) > 0, one.crack)
    (tmp_path / "other").mkdir()
    with pa.OSFile(str(tmp_path / "other/a.arrow"), "wb") as file:
        writer = pa.ipc.new_stream(file, table.select(["pixel_values", "source"]).schema)
        writer.write_table(table.select(["pixel_values", "source"]))
        writer.close()
    with pytest.raises(InputError, match="its columns are pixel_values, source"):
        find_pairs(tmp_path / "other")


def test_exports_that_have_to_be_made_otherwise(drawn, tmp_path):
    (tmp_path / "export.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"export\.zip is an archive\. Unpack it"):
        find_pairs(tmp_path / "export.zip")
    mask = Image.fromarray((255 * drawn[0].crack).astype(np.uint8))
    (tmp_path / "brush").mkdir()
    mask.save(tmp_path / "brush/task-1-annotation-2-by-3-tag-crack-0.png")
    with pytest.raises(InputError, match="Export the project as JSON"):
        find_pairs(tmp_path / "brush")


def test_tables_without_pyarrow(drawn, tmp_path, monkeypatch):
    LAYOUTS["hugging_face"](tmp_path / "walls", drawn)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        InputError, match=r"needs the package pyarrow.*pip install 'fissura\[parquet"
    ):
        find_pairs(tmp_path / "walls")


def test_photos_that_no_file_lists_are_counted(drawn, tmp_path):
    for layout in ("labelme", "coco", "via"):
        LAYOUTS[layout](tmp_path / layout, drawn)
        Image.fromarray(drawn[0].photo).save(tmp_path / layout / "new.jpg")
        folder = find_pairs(tmp_path / layout)
        assert "1 photo has no annotation and is not used." in folder.notes
