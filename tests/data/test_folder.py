"""Every layout that people have, and every kind of bad input, in tiny folders."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from fissura.data.folder import find_images, find_pairs, natural_order
from fissura.data.images import read_image, read_size
from fissura.errors import InputError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def make(root: Path, *files: str, hw: tuple[int, int] = (4, 6)) -> Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((*hw, 3) if path.suffix.lower() == ".jpg" else hw, np.uint8)
        Image.fromarray(pixels).save(path)
    return root


def found(root: Path, **options) -> dict[str, list[tuple[str, str]]]:
    folder = find_pairs(root, **options)
    return {
        split: [
            (pair.image.relative_to(root).as_posix(), pair.mask.relative_to(root).as_posix())
            for pair in pairs
        ]
        for split, pairs in folder.splits.items()
    }


SPLIT_LAYOUTS = {
    "train/images": (
        "train/images/1.jpg",
        "train/masks/1.png",
        "test/images/1.jpg",
        "test/masks/1.png",
    ),
    "images/train": (
        "images/train/1.jpg",
        "masks/train/1.png",
        "images/test/2.jpg",
        "masks/test/2.png",
    ),
    "DeepCrack": ("train_img/1.jpg", "train_lab/1.png", "test_img/2.jpg", "test_lab/2.png"),
    "CRACK500 crops": ("traincrop/1.jpg", "traincrop/1.png", "testcrop/2.jpg", "testcrop/2.png"),
    "CRACK500 photos": (
        "traindata/1.jpg",
        "traindata/1_mask.png",
        "testdata/2.jpg",
        "testdata/2_mask.png",
    ),
    "double folders": (
        "traincrop/traincrop/1.jpg",
        "traincrop/traincrop/1.png",
        "testcrop/testcrop/2.jpg",
        "testcrop/testcrop/2.png",
    ),
    "aliases": (
        "training/imgs/1.jpg",
        "training/labels/1.png",
        "Testing/Imgs/1.jpg",
        "Testing/GT/1.png",
    ),
    "Carvana": ("train/1.jpg", "train_masks/1_mask.gif", "test/1.jpg", "test_masks/1_mask.gif"),
    "mmseg": (
        "img_dir/train/1.jpg",
        "ann_dir/train/1.png",
        "img_dir/test/1.jpg",
        "ann_dir/test/1.png",
    ),
    "nnU-Net": ("imagesTr/1.png", "labelsTr/1.png", "imagesTs/1.png", "labelsTs/1.png"),
    "nnU-Net with channels": (
        "imagesTr/1_0000.png",
        "labelsTr/1.png",
        "imagesTs/1_0000.png",
        "labelsTs/1.png",
    ),
    "COCO": (
        "train2017/1.jpg",
        "masks/train2017/1.png",
        "test2017/1.jpg",
        "masks/test2017/1.png",
    ),
    "numbered": ("train1/1.jpg", "train1/1.png", "test1/1.jpg", "test1/1.png"),
    "sized": (
        "train_512/images/1.jpg",
        "train_512/masks/1.png",
        "test_512/images/1.jpg",
        "test_512/masks/1.png",
    ),
    "deeper": (
        "data/train/images/a/1.jpg",
        "data/train/masks/a/1.png",
        "data/test/images/b/1.jpg",
        "data/test/masks/b/1.png",
    ),
}


@pytest.mark.parametrize("files", SPLIT_LAYOUTS.values(), ids=SPLIT_LAYOUTS.keys())
def test_layouts_with_splits(tmp_path, files):
    make(tmp_path, *files)
    assert found(tmp_path) == {"train": [files[:2]], "test": [files[2:]]}


FLAT_LAYOUTS = {
    "two folders": ("images/1.jpg", "masks/1.png"),
    "other words": ("imgs/1.bmp", "annotations/1.png"),
    "groundtruth": ("original/1.jpg", "groundtruth/1.png"),
    "masks below": ("1.jpg", "masks/1.png"),
    "mixed, by format": ("1.jpg", "1.png"),
    "mixed, two lossless": ("1.bmp", "1.png"),
    "mixed in a folder for images": ("MT_Crack/Imgs/1.jpg", "MT_Crack/Imgs/1.png"),
    "mixed, _mask": ("1.jpg", "1_mask.jpg"),
    "mixed, -mask": ("1.png", "1-mask.png"),
    "mixed, _gt": ("1.png", "1_GT.png"),
    "mixed, _label": ("1.tif", "1_label.tif"),
    "upper case": ("IMAGES/A.JPG", "MASKS/A.PNG"),
    "endings in folders": ("images/1.webp", "masks/1_mask.png"),
    "words in front": ("images/img_1.jpg", "labels/label_1.png"),
    "names with dots": ("images/wall.v1.jpg", "masks/wall.v1.png"),
    "names with spaces": ("my images/wall 1.jpg", "my images/wall 1_mask.png"),
}


@pytest.mark.parametrize("files", FLAT_LAYOUTS.values(), ids=FLAT_LAYOUTS.keys())
def test_layouts_without_split(tmp_path, files):
    make(tmp_path, *files)
    assert found(tmp_path) == {"all": [files]}


@pytest.mark.parametrize("name", ["val", "valid", "validation", "valcrop"])
def test_validation_has_its_split(tmp_path, name):
    make(tmp_path, "train/1.jpg", "train/1.png", f"{name}/2.jpg", f"{name}/2.png")
    assert list(found(tmp_path)) == ["train", "val"]


def test_numbered_folders_of_one_split_are_told_apart(tmp_path):
    make(
        tmp_path,
        *(f"{part}/1.{s}" for part in ("training_1", "training_2", "test") for s in ("jpg", "png")),
    )
    assert {split: len(pairs) for split, pairs in found(tmp_path).items()} == {
        "train": 2,
        "test": 1,
    }


@pytest.mark.parametrize(
    "folders",
    [
        ("crack_train", "crack_test"),
        ("trainA", "testA"),
        ("my train", "test"),
        ("train", "val.bad"),
    ],
)
def test_folders_that_seem_to_be_splits_are_refused(tmp_path, folders):
    make(
        tmp_path, *(f"{folder}/{i}.{s}" for i, folder in enumerate(folders) for s in ("jpg", "png"))
    )
    with pytest.raises(InputError, match=r"seem to mean training and testing.* Rename them"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    "folders", [("train_station", "bridge"), ("tests", "train"), ("lab", "images")]
)
def test_other_folders_are_places(tmp_path, folders):
    make(tmp_path, *(f"{folders[0]}/{i}.{s}" for i in range(2) for s in ("jpg", "png")))
    assert list(found(tmp_path)) == ["all"]


def test_a_photo_without_mask_has_a_way_on(tmp_path):
    make(tmp_path, "images/1.jpg", "images/2.jpg", "masks/1.png")
    with pytest.raises(InputError, match=r"(?s)2\.jpg: has no mask.*needs a mask too, all black"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("suffix", [".dng", ".NEF", ".cr2", ".arw", ".heic", ".HEIF"])
def test_photos_in_formats_that_are_not_read_are_named(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("fissura.data.images._has_heif", lambda: False)
    make(tmp_path, "images/1.jpg", "masks/1.png")
    photo = tmp_path / f"images/2{suffix}"
    # Raw photos are TIFFs whose first page is a thumbnail.
    Image.new("RGB", (6, 4)).save(photo, "TIFF")
    assert find_images([tmp_path / "images"])[-1] == photo
    reason = r"fissura\[heic\]" if suffix.lower() in (".heic", ".heif") else "develop them"
    for read in (read_image, read_size):
        with pytest.raises(InputError, match=rf"2{suffix}: cannot be read, .*{reason}"):
            read(photo)
    with pytest.raises(InputError, match=rf"images/2{suffix}: .*{reason}"):
        find_pairs(tmp_path)
    assert len(found(tmp_path, skip_bad=True)["all"]) == 1


def test_a_raw_photo_beside_its_jpeg_is_no_photo_of_its_own(tmp_path):
    make(tmp_path, "1.jpg")
    (tmp_path / "1.DNG").write_bytes(b"x")
    assert [path.name for path in find_images([tmp_path])] == ["1.jpg"]


@pytest.mark.parametrize("suffix", [".jfif", ".avif"])
def test_less_common_formats_are_read(tmp_path, suffix):
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    Image.new("RGB", (6, 4), (200, 200, 200)).save(tmp_path / f"1{suffix}")
    (file,) = find_images([tmp_path])
    assert np.abs(read_image(file).astype(int) - 200).max() <= 2


def test_folders_without_permission_are_named(tmp_path, monkeypatch):
    make(tmp_path, "images/1.jpg", "masks/1.png", "images/closed/2.jpg")
    scan = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", refusing)
    folder = tmp_path / "images/closed"
    assert folder in find_images([tmp_path / "images"])
    with pytest.raises(InputError, match="closed: cannot be read, permission denied"):
        read_image(folder)
    with pytest.raises(InputError, match="images/closed: permission denied"):
        find_pairs(tmp_path)


def test_names_are_unique_and_in_natural_order(tmp_path):
    for name in ("b/10", "b/2", "a/2"):
        make(tmp_path, f"images/{name}.jpg", f"masks/{name}.png")
    names = [pair.name for pair in find_pairs(tmp_path).splits["all"]]
    assert names == ["images/a/2", "images/b/2", "images/b/10"]
    assert sorted(["x10y", "x9", "x", "10", "9"], key=natural_order) == [
        "9",
        "10",
        "x",
        "x9",
        "x10y",
    ]


def test_hidden_and_foreign_files_are_ignored(tmp_path):
    make(
        tmp_path, "images/1.jpg", "masks/1.png", "images/._1.jpg", ".cache/2.png", "__MACOSX/3.png"
    )
    for name in ("Thumbs.db", "notes.txt", ".DS_Store", "images/1.xml"):
        (tmp_path / name).write_text("x")
    assert found(tmp_path) == {"all": [("images/1.jpg", "masks/1.png")]}


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    make(tmp_path / "elsewhere", "images/1.jpg", "masks/1.png")
    root = tmp_path / "data"
    root.mkdir()
    try:
        (root / "link").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere/loop").symlink_to(root)
    except OSError:
        pytest.skip("this system makes no links")
    assert sum(map(len, found(root).values())) == 1


def test_the_layout_in_words(tmp_path):
    make(tmp_path, "train_img/1.jpg", "train_lab/1.png", "test/2.jpg", "test_lab/2.png")
    assert (
        find_pairs(tmp_path).layout
        == "test with masks in test_lab; train_img with masks in train_lab"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "holds no images"),
        (("images/1.jpg", "images/2.jpg"), r"holds images \(such as images/1.jpg\) but no masks"),
        (("masks/1.png",), "holds masks .* but no images"),
        (
            ("images/1.jpg", "masks/2.png"),
            "No image .* the image images/1.jpg and the mask masks/2",
        ),
    ],
)
def test_folders_without_pairs_show_the_known_layouts(tmp_path, files, message):
    make(tmp_path, *files)
    for skip_bad in (False, True):
        with pytest.raises(InputError, match=rf"(?s){message}.*DATA/train/images/1\.jpg"):
            find_pairs(tmp_path, skip_bad=skip_bad)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_pairs(tmp_path / "nowhere")
    make(tmp_path, "1.jpg")
    with pytest.raises(InputError, match="is a file"):
        find_pairs(tmp_path / "1.jpg")


def with_faults(root: Path) -> Path:
    make(root, *(f"images/{i}.jpg" for i in range(1, 6)), *(f"masks/{i}.png" for i in (1, 2, 3, 6)))
    make(root, "masks/2.png", hw=(4, 5))
    (root / "images/3.jpg").write_bytes(b"")
    return root


def test_all_bad_files_are_named(tmp_path):
    with pytest.raises(InputError) as caught:
        find_pairs(with_faults(tmp_path))
    message = str(caught.value)
    assert message.startswith(f"5 files in {tmp_path} cannot be used")
    assert message.endswith("go on without them by adding --skip-bad.")
    for part in (
        "images/4.jpg: has no mask",
        "images/5.jpg: has no mask",
        "masks/6.png: has no image",
        "masks/2.png: the mask has 5×4 pixels (width × height), but its image has 6×4",
        "images/3.jpg: cannot be read, the file is empty",
    ):
        assert part in message


def test_skip_bad_goes_on_and_lists_them(tmp_path):
    folder = find_pairs(with_faults(tmp_path), skip_bad=True)
    assert [pair.name for pair in folder.splits["all"]] == ["images/1"]
    skipped = " ".join(sorted(bad.file.name for bad in folder.skipped))
    assert skipped == "2.png 3.jpg 4.jpg 5.jpg 6.png"


def test_skip_bad_with_nothing_left_is_an_error(tmp_path):
    make(tmp_path, "images/1.jpg", "masks/1.png")
    (tmp_path / "masks/1.png").write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"1 file in .* cannot be used:\s+masks/1.png: cannot be read"
    ):
        find_pairs(tmp_path, skip_bad=True)


def test_many_bad_files_are_summed_up(tmp_path):
    make(tmp_path, "masks/1.png", *(f"images/{i}.jpg" for i in range(1, 10)))
    with pytest.raises(InputError, match=r"(?s)8 files.*images/6\.jpg: .*and 3 more"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        ("images/1.jpg", "images/1.png", "masks/1.png"),
        ("images/1.jpg", "masks/1.png", "masks/1_mask.png"),
        ("1.jpg", "1.png", "1_mask.png"),
    ],
)
def test_a_name_that_is_not_unique(tmp_path, files):
    make(tmp_path, *files, "images/9.jpg", "masks/9.png") if "/" in files[0] else make(
        tmp_path, *files
    )
    with pytest.raises(InputError, match="the name is not unique"):
        find_pairs(tmp_path)


def test_pairs_outside_the_splits(tmp_path):
    make(tmp_path, "train/images/1.jpg", "train/masks/1.png", "images/2.jpg", "masks/2.png")
    with pytest.raises(InputError, match=r"images/2\.jpg: lies in none of the folders train"):
        find_pairs(tmp_path)
    assert list(found(tmp_path, skip_bad=True)) == ["train"]


def test_a_mask_may_fit_the_stored_or_the_upright_photo(tmp_path):
    make(tmp_path, "images/1.jpg", "masks/1.png", "images/2.jpg")
    make(tmp_path, "masks/2.png", hw=(6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("1", "2"):
        Image.new("RGB", (6, 4)).save(tmp_path / f"images/{name}.jpg", exif=exif)
    assert len(found(tmp_path)["all"]) == 2


def test_find_images(tmp_path):
    make(tmp_path, "b/10.jpg", "b/2.jpg", "b/c/1.png", "a.TIF", ".hidden.png")
    (tmp_path / "odd.xyz").write_text("x")
    names = [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])]
    assert names == ["a.TIF", "b/2.jpg", "b/10.jpg", "b/c/1.png"]
    given = [tmp_path / "odd.xyz", tmp_path / "b", tmp_path / "b/2.jpg"]
    assert [path.name for path in find_images(given)] == ["odd.xyz", "2.jpg", "10.jpg", "1.png"]
    with pytest.raises(InputError, match="nowhere does not exist"):
        find_images([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no images"):
        find_images([tmp_path / "b", tmp_path / "empty"])
    with pytest.raises(InputError, match="No images are given"):
        find_images([])


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("deepcrack", {"train": 300, "test": 237}),
        ("crack500", {"train": 1332, "test": 422}),
        ("magnetic_tile/mt_crack", {"all": 57}),
        ("magnetic_tile", {"all": 257}),
    ],
)
def test_real_data(name, counts):
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not on this machine")
    assert {
        split: len(pairs) for split, pairs in find_pairs(SHARED / name).splits.items()
    } == counts
