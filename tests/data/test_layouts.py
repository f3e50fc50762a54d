"""What names of folders and files mean."""

import pytest

from fissura.data.layouts import meanings


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("train", {"train"}),
        ("Validation", {"val"}),
        ("valid", {"val"}),
        ("TESTING", {"test"}),
        ("train_img", {"train", "image"}),
        ("train_lab", {"train", "mask"}),
        ("traincrop", {"train"}),
        ("valdata", {"val"}),
        ("testImages", {"test", "image"}),
        ("masks-test", {"mask", "test"}),
        ("imagesTr", {"image", "train"}),
        ("labelsTs", {"mask", "test"}),
        ("ann_dir", {"mask"}),
        ("Ground Truth", None),
        ("ground_truth", {"mask"}),
        ("groundtruth", {"mask"}),
        ("data", set()),
        ("train2017", {"train"}),
        ("test1", {"test"}),
        ("training_2", {"train"}),
        ("train_512", {"train"}),
        ("val_512x512", {"val"}),
        ("2017-Test", {"test"}),
        ("train_v2", {"train"}),
        ("train_img_384", {"train", "image"}),
        ("lab", None),
        ("lab_2", None),
        ("2017", None),
        ("1", None),
        ("bridge", None),
        ("tests", None),
        ("traintest", None),
        ("image_masks", None),
        ("MT_Crack", None),
    ],
)
def test_folder_names(folder, words):
    assert meanings(folder) == words
