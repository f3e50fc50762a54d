"""Broken and hostile files get a sentence that names them, cost their photo, and write nothing."""

import base64
import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from fissura.data.conversion.convert import convert
from fissura.data.conversion.options import ConvertOptions
from fissura.data.folder import find_pairs
from fissura.data.formats import read_annotations
from fissura.data.formats.shapes.encoded import MOST_BYTES
from fissura.errors import InputError

from .conftest import SIZE
from .layouts import LAYOUTS

HEIGHT, WIDTH = SIZE


def edited(file, change):
    """Change the content of a JSON file."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def coco(change):
    return "coco", lambda root: edited(root / "annotations/instances_default.json", change)


def labelme(change):
    return "labelme", lambda root: edited(root / "wall_0.json", change)


def supervisely(change):
    return "supervisely", lambda root: edited(root / "ds0/ann/wall_0.jpg.json", change)


def tasks(change):
    file = "project-3-at-2026-11-25.json"
    return "label_studio_brush", lambda root: edited(root / file, change)


def replaced(layout, file, old, new):
    def change(root):
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new, 1))

    return layout, change


def unlinked(layout, name):
    return layout, lambda root: next(root.rglob(name)).unlink()


def first(content, **changes):
    """Change the first annotation of a COCO file."""
    content["annotations"][0] |= changes


def run_lengths(counts, size=SIZE):
    return {"segmentation": {"size": list(size), "counts": counts}}


def mask_shape(data):
    """A mask of LabelMe with whatever it holds."""
    return {"label": "crack", "points": [[0, 0], [3, 3]], "shape_type": "mask", "mask": data}


def png_of(width, height):
    """A PNG whose header promises a size, and which holds nothing."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return base64.b64encode(bytes(data)).decode()


def bomb():
    """A little more of nothing than is unpacked at most, in a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return base64.b64encode(b"\x78\xda" + block * (MOST_BYTES // 2**20 + 1)).decode()


def bitmap_object(data, origin=(0, 0)):
    bitmap = {"data": data, "origin": list(origin)}
    return {"classTitle": "crack", "geometryType": "bitmap", "bitmap": bitmap}


# What is done to a layout, the sentence that it gets, and how many of the 5 photos are left.
CASES = {
    "missing image, COCO": (*unlinked("coco", "wall_0.jpg"), r"image wall_0\.jpg is missing", 4),
    "missing image, CVAT": (*unlinked("cvat", "wall_0.jpg"), r"image wall_0\.jpg is missing", 4),
    "missing image, LabelMe": (
        *unlinked("labelme", "wall_0.jpg"), r"wall_0\.json: the image wall_0\.jpg is missing", 4,
    ),
    "missing image, Label Studio": (
        *unlinked("label_studio", "wall_0.jpg"), r"task 1 in .*wall_0\.jpg is missing", 4,
    ),
    "missing image, VIA": (*unlinked("via", "wall_0.jpg"), r"image wall_0\.jpg is missing", 4),
    "missing image, Supervisely": (*unlinked("supervisely", "wall_0.jpg"), "is missing", 4),
    "missing image, VOC": (*unlinked("cvat_mask", "wall_0.jpg"), "has no photo of that name", 4),
    "missing image, YOLO": (*unlinked("yolo", "wall_0.jpg"), "has no image of that name", 4),
    "missing image, nnU-Net": (
        *unlinked("nnunet", "wall_0_0000.png"), "has no image of that name in imagesTr", 4,
    ),
    "missing mask, MVTec": (
        *unlinked("mvtec", "wall_0_mask.png"), "has no mask in ground_truth/crack", 4,
    ),
    "empty image": (
        "coco", lambda root: (root / "images/wall_0.jpg").write_bytes(b""), "the file is empty", 4,
    ),
    "absolute path": (
        *coco(lambda c: c["images"][0].update(file_name="/etc/passwd.jpg")),
        r"the image /etc/passwd\.jpg is missing", 4,
    ),
    "path upwards": (
        *coco(lambda c: c["images"][0].update(file_name="../../secret.jpg")),
        r"the image \.\./\.\./secret\.jpg is missing", 4,
    ),
    "path upwards, LabelMe": (
        *labelme(lambda c: c.update(imagePath="..\\..\\secret.jpg")), "secret.jpg is missing", 4,
    ),
    "no name": (*coco(lambda c: c["images"][0].update(file_name=None)), "names no image", 4),
    "unknown category": (
        *coco(lambda c: first(c, category_id=9)), "has the category 9, which is not listed", 4,
    ),
    "unknown class, YOLO": (
        *replaced("yolo", "labels/train/wall_0.txt", "0 ", "7 "),
        r"line 1 of labels/train/wall_0\.txt has the class 7, which is not listed", 4,
    ),
    "unknown label, CVAT": (
        *replaced("cvat", "annotations.xml", 'polygon label="crack"', 'polygon label="mold"'),
        r"a polygon on wall_0\.jpg has the label 'mold', which is not listed", 4,
    ),
    "unknown class, Supervisely": (
        *supervisely(lambda c: c["objects"][0].update(classTitle="mold")),
        r"object 1 in wall_0\.jpg\.json has the class 'mold', which is not listed", 4,
    ),
    "unknown value, nnU-Net": (
        *replaced("nnunet", "dataset.json", ', "rust": 2', ""), "has the value 2, which is not", 3,
    ),
    "unknown color, CVAT": (
        *replaced("cvat_mask", "labelmap.txt", "rust:51,221,255::\n", ""),
        r"has the color \(51, 221, 255\), which is not listed", 3,
    ),
    "image number used twice": (
        *coco(lambda c: c["images"][1].update(id=1)), "has 2 images of the number 1, left out", 3,
    ),
    "image annotated twice": (
        *coco(lambda c: c["images"][1].update(file_name="wall_0.jpg")), "is annotated 2 times", 3,
    ),
    "annotation of no image": (
        *coco(lambda c: first(c, image_id=99)), "annotation 1 is of image 99, not listed", 5,
    ),
    "a box": (*coco(lambda c: first(c, segmentation=[])), "is a box without an outline", 4),
    "a box, YOLO": (
        *replaced("yolo", "labels/train/wall_0.txt", "0 ", "0 .1 .1 .1 .1\n0 "),
        "line 1 of .* is a box without an outline", 4,
    ),
    "other size": (
        *coco(lambda c: c["images"][0].update(height=99)),
        "has 56×40 pixels .*, but is annotated as 56×99", 4,
    ),
    "other size, CVAT": (
        *replaced("cvat", "annotations.xml", 'width="56"', 'width="1e99"'), "no whole number", 4,
    ),
    "other size, Label Studio": (
        *tasks(lambda c: c[0]["annotations"][0]["result"][0].update(original_width=10**9)),
        "was drawn on 1000000000×40 pixels", 4,
    ),
    "runs too short": (*coco(lambda c: first(c, **run_lengths([1, 2]))), "hold 3 pixels, and", 4),
    "runs too long": (
        *coco(lambda c: first(c, **run_lengths([10**15, 10**15]))), "hold 2000000000000000 pix", 4,
    ),
    "runs beyond any number": (
        *coco(lambda c: first(c, **run_lengths([10**30]))), "run lengths that are no numbers", 4,
    ),
    "negative runs": (*coco(lambda c: first(c, **run_lengths([-5, 2245]))), "a negative one", 4),
    "runs that overflow": (
        *coco(lambda c: first(c, **run_lengths([2**62, 2**62, 2**62, 2**62 + 2240]))),
        "hold 18446744073709553856 pixels", 4,
    ),
    "runs of text": (*coco(lambda c: first(c, **run_lengths(["a"]))), "that are no numbers", 4),
    "damaged compressed runs": (
        *coco(lambda c: first(c, **run_lengths("ppppppppppppppppppp"))), "are damaged", 4,
    ),
    "runs of another size": (
        *coco(lambda c: first(c, **run_lengths([10**10], (10**5, 10**5)))),
        "has run lengths of 100000×100000 pixels", 4,
    ),
    "runs of a huge box, CVAT": (
        *replaced("cvat", "annotations.xml", 'width="18" height="12"', 'width="99999" height="9"'),
        "a mask on wall_1.jpg is larger than its image", 4,
    ),
    "short runs, CVAT": (
        *replaced("cvat", "annotations.xml", 'rle="0, ', 'rle="0, 5, '), "the run lengths hold", 4,
    ),
    "endless coordinates": (
        *coco(lambda c: first(c, segmentation=[[0, 0, 1e300, 0, 5, 5]])), "lie on no image", 4,
    ),
    "coordinates that are no numbers": (
        *coco(lambda c: first(c, segmentation=[[0, 0, float("nan"), 0, 5, 5]])),
        "lie on no image", 4,
    ),
    "coordinates of text": (
        *coco(lambda c: first(c, segmentation=[[0, 0, "x", 0, 5, 5]])), "that are no numbers", 4,
    ),
    "half a point": (
        *coco(lambda c: first(c, segmentation=[[0, 0, 1, 1, 5]])), "no pairs of x and y", 4,
    ),
    "two points": (
        *coco(lambda c: first(c, segmentation=[[0, 0, 1, 1]])), "has 2 points, and needs 3", 4,
    ),
    "pixels in YOLO": (
        *replaced("yolo", "labels/train/wall_0.txt", "0 0.", "0 312."), "YOLO's are fractions", 4,
    ),
    "no base64": (
        *labelme(lambda c: c["shapes"].append(mask_shape("?!"))), "a bitmap that is no base64", 4,
    ),
    "no PNG": (
        *labelme(lambda c: c["shapes"].append(mask_shape("R0lGODlh"))),
        "the bitmap: cannot be read", 4,
    ),
    "a huge PNG": (
        *labelme(lambda c: c["shapes"].append(mask_shape(png_of(60_000, 60_000)))),
        "has a bitmap of 60000×60000 pixels", 4,
    ),
    "a damaged PNG": (
        *labelme(lambda c: c["shapes"].append(mask_shape(png_of(40, 30)))),
        "the bitmap: cannot be read", 4,
    ),
    "a shape of another kind": (
        *labelme(lambda c: c["shapes"][0].update(shape_type="cube")), "unknown kind 'cube'", 4,
    ),
    "a zip bomb": (
        *supervisely(lambda c: c["objects"].append(bitmap_object(bomb()))),
        "has a bitmap that is cut off or too large", 4,
    ),
    "no zip": (
        *supervisely(lambda c: c["objects"].append(bitmap_object("AAAA"))), "a damaged bitmap", 4,
    ),
    "an origin of text": (
        *supervisely(lambda c: c["objects"].append(bitmap_object("AAAA", ("a", 1)))),
        "which is no whole number", 4,
    ),
    "a brush mask cut off": (
        *tasks(lambda c: c[0]["annotations"][0]["result"][0]["value"].update(rle=[0, 0, 35, 0])),
        "its brush mask is damaged", 4,
    ),
    "a brush mask of another size": (
        *tasks(lambda c: c[0]["annotations"][0]["result"][0]["value"].update(rle=[255] * 9)),
        "holds 4294967295 values, and the photo 8960", 4,
    ),
    "a brush mask that is no bytes": (
        *tasks(lambda c: c[0]["annotations"][0]["result"][0]["value"].update(rle=[300])),
        "run lengths that are no bytes", 4,
    ),
    "no label": (
        *tasks(lambda c: c[0]["annotations"][0]["result"][0]["value"].update(brushlabels=[])),
        "result 1 of task 1 .* has no label", 4,
    ),
    "VIA's points don't pair": (
        "via",
        lambda root: edited(
            root / "via_project.json",
            lambda c: c["_via_img_metadata"]["wall_0.jpg1234"]["regions"][0]["shape_attributes"]
            .update(all_points_x=[1]),
        ),
        "region 1 of wall_0.jpg in via_project.json has coordinates that are no pairs", 4,
    ),
    "JSON cut off": (
        "labelme", lambda root: (root / "wall_0.json").write_text('{"shapes": ['),
        r"wall_0\.json: is damaged, it is no whole JSON", 4,
    ),
    "all JSON cut off": (
        "coco", lambda root: (root / "annotations/instances_default.json").write_text("[1,"),
        r"instances_default\.json: is damaged, it is no whole JSON", 0,
    ),
    "deep JSON": (
        "labelme", lambda root: (root / "wall_0.json").write_text("[" * 200_000),
        r"wall_0\.json: is (nested too deeply|damaged)", 4,
    ),
    "XML cut off": (
        *replaced("cvat", "annotations.xml", "</annotations>", ""), "it is no whole XML", 0,
    ),
    "entities": (
        *replaced(
            "cvat", "annotations.xml", "<annotations>",
            '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><annotations>&c;',
        ),
        r"declares a document type \(DOCTYPE\)", 0,
    ),
    "entities of other files": (
        *replaced(
            "cvat", "annotations.xml", "<annotations>",
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;',
        ),
        r"declares a document type \(DOCTYPE\)", 0,
    ),
    "a video": (
        "cvat",
        lambda root: (root / "annotations.xml").write_text("<annotations><track/></annotations>"),
        "is an annotation of a video", 0,
    ),
    "two numbers of a category": (
        *coco(lambda c: c["categories"].append({"id": 1, "name": "mold"})),
        "has two categories of the number 1", 0,
    ),
    "masks without photos": (
        "cvat_mask", lambda root: [file.unlink() for file in root.glob("JPEGImages/*")],
        "holds masks, but no photos", 0,
    ),
    "several formats": (
        "coco",
        lambda root: (root / "a.xml").write_text(
            '<annotations><image name="wall_0.jpg" width="56" height="40"/></annotations>'
        ),
        r"several formats: COCO .* and CVAT for images", 0,
    ),
    "a table that is none": (
        "hugging_face", lambda root: next(root.glob("*.parquet")).write_bytes(b"PAR1"),
        "is damaged, it is no whole table", 0,
    ),
}  # fmt: skip


def tree(root):
    """All files below a folder, with what is in them."""
    return {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_file_gets_a_sentence(case, drawn, tmp_path):
    layout, change, message, left = CASES[case]
    root = tmp_path / "walls"
    LAYOUTS[layout](root, drawn)
    # What a path that leads out of the folder would find.
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "secret.jpg")
    change(root)
    before = tree(tmp_path)
    for read in (find_pairs, lambda source: convert(source, tmp_path / "out", "coco")):
        with pytest.raises(InputError, match=rf"(?s){message}"):
            read(root)
        assert tree(tmp_path) == before
    if not left:
        return
    folder = find_pairs(root, skip_bad=True)
    assert sum(map(len, folder.splits.values())) == left
    assert len(folder.skipped) >= 1
    done = convert(root, tmp_path / "out", "yolo", options=ConvertOptions(skip_bad=True))
    assert done.images == left
    written = {file for file in tree(tmp_path) if file not in before}
    assert all(file.is_relative_to(tmp_path / "out") for file in written)


@pytest.mark.parametrize("layout", ["coco", "yolo", "labelme", "cvat", "label_studio", "via"])
def test_what_reaches_beyond_the_photo_is_cut_off_and_said(layout, drawn, tmp_path):
    root = tmp_path / "walls"
    LAYOUTS[layout](root, drawn)
    if layout == "yolo":
        file, ring = root / "labels/train/wall_0.txt", "0 -0.2 0.5 1.2 0.5 1.2 0.6 -0.2 0.6\n"
        file.write_text(ring)
    elif layout == "cvat":
        file = root / "annotations.xml"
        text = file.read_text().replace(
            'points="', 'points="-11.2,20;67.2,20;67.2,24;-11.2,24" x="', 1
        )
        file.write_text(text)
    else:
        points = [[-11.2, 20], [67.2, 20], [67.2, 24], [-11.2, 24]]
        x, y = [[p[axis] for p in points] for axis in (0, 1)]
        change = {
            "coco": lambda c: first(c, segmentation=[np.ravel(points).tolist()]),
            "labelme": lambda c: c["shapes"][0].update(points=points),
            "label_studio": lambda c: c[0]["annotations"][0]["result"][0]["value"].update(
                points=[[-20, 50], [120, 50], [120, 60], [-20, 60]]
            ),
            "via": lambda c: c["_via_img_metadata"]["wall_0.jpg1234"]["regions"][0][
                "shape_attributes"
            ].update(all_points_x=x, all_points_y=y),
        }[layout]
        files = {"coco": "annotations/*.json", "labelme": "wall_0.json"}
        edited(next(root.glob(files.get(layout, "*.json"))), change)
    folder = find_pairs(root)
    assert "reaches beyond its image and is cut off there." in folder.described()
    pairs = [pair for listed in folder.splits.values() for pair in listed]
    mask = np.asarray(Image.open(next(p.mask for p in pairs if p.image.stem == "wall_0")))
    assert (mask[20:24] == 255).all()
    done = convert(root, tmp_path / "out", "yolo")
    assert any("cut off" in note for note in done.notes)
    numbers = [
        float(word)
        for file in (tmp_path / "out").rglob("*.txt")
        for line in file.read_text().splitlines()
        for word in line.split()[1:]
    ]
    assert min(numbers) >= 0
    assert max(numbers) <= 1


def test_numbers_of_annotations_may_be_doubled_and_it_is_said(drawn, tmp_path):
    LAYOUTS["coco"](tmp_path / "walls", drawn)
    edited(
        tmp_path / "walls/annotations/instances_default.json",
        lambda c: [entry.update(id=1) for entry in c["annotations"]],
    )
    found = read_annotations(tmp_path / "walls")
    assert found is not None
    assert not found.skipped
    assert "numbers of annotations are used more than once (such as 1); all" in found.notes[0]


def test_a_link_out_of_the_folder_is_one_of_the_users(drawn, tmp_path):
    """Photos that the user linked are read; only names in annotations lead nowhere else."""
    LAYOUTS["labelme"](tmp_path / "walls", drawn)
    (tmp_path / "walls/wall_0.jpg").rename(tmp_path / "moved.jpg")
    try:
        (tmp_path / "walls/wall_0.jpg").symlink_to(tmp_path / "moved.jpg")
    except OSError:
        pytest.skip("this system makes no links")
    assert len(find_pairs(tmp_path / "walls").splits["all"]) == 5
