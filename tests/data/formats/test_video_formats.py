"""Tracks of CVAT for video, and projects of VIA 3, written after the tools' own documentation."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from fissura.data.annotation_options import AnnotationOptions
from fissura.data.folder import find_pairs
from fissura.errors import InputError

WIDTH, HEIGHT = 60, 44
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><size>4</size><start_frame>10</start_frame><stop_frame>13</stop_frame>
    <labels><label><name>crack</name></label><label><name>rust</name></label></labels>
    <original_size><width>60</width><height>44</height></original_size></task></meta>
  <track id="0" label="crack">
    <polygon frame="10" keyframe="1" outside="0" occluded="0" points="5,5;25,5;25,9;5,9" z_order="0"/>
    <polygon frame="11" keyframe="0" outside="0" occluded="0" points="6,5;26,5;26,9;6,9" z_order="0"/>
    <polygon frame="12" keyframe="1" outside="1" occluded="0" points="7,5;27,5;27,9;7,9" z_order="0"/>
  </track>
  <track id="1" label="crack">
    <mask frame="11" keyframe="1" outside="0" rle="1, 4, 1" left="40" top="20" width="3" height="2" z_order="0"/>
    <polyline frame="12" keyframe="1" outside="0" points="5,30;50,30" z_order="0"/>
    <box frame="15" keyframe="1" outside="0" xtl="1" ytl="1" xbr="4" ybr="4" z_order="0"/>
  </track>
  <track id="2" label="rust">
    <box frame="10" keyframe="1" outside="0" xtl="40" ytl="30" xbr="50" ybr="40" z_order="0"/>
  </track>
</annotations>
"""  # noqa: E501


def frame(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(100, 140, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    cv2.imwrite(str(path), values)


def masks(root, **options):
    folder = find_pairs(root, **options)
    pairs = [pair for listed in folder.splits.values() for pair in listed]
    return {pair.image.stem: np.asarray(Image.open(pair.mask)) > 0 for pair in pairs}, folder


def box(top, left, bottom, right):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_tracks_are_masks_of_the_frames(tmp_path):
    for number in (10, 11, 12, 13, 40):
        frame(tmp_path / "frames" / f"frame_{number:06d}.png")
    (tmp_path / "annotations.xml").write_text(CVAT, encoding="utf-8")
    found, folder = masks(tmp_path, annotations=AnnotationOptions(line_width=2.0))
    assert list(found) == [f"frame_{number:06d}" for number in (10, 11, 12, 13)]
    np.testing.assert_array_equal(found["frame_000010"], box(5, 5, 9, 25))
    runs = box(0, 0, 0, 0)
    runs[20, 41:43] = runs[21, 40:42] = True
    np.testing.assert_array_equal(found["frame_000011"], box(5, 6, 9, 26) | runs)
    assert found["frame_000012"][29:31, 10:45].all()
    assert not found["frame_000012"][:20].any()  # out of sight
    assert not found["frame_000013"].any()
    assert "Of 1 of the frames" in " ".join(folder.notes)


def test_a_video_without_its_frames_is_told(tmp_path):
    frame(tmp_path / "wall.png")
    (tmp_path / "annotations.xml").write_text(CVAT, encoding="utf-8")
    with pytest.raises(InputError, match="no image here ends with the number of a frame"):
        find_pairs(tmp_path)


def via_3(root):
    frame(root / "a.png")
    frame(root / "b.png")
    content = {
        "project": {"pid": "__VIA_PROJECT_ID__", "rev": "1", "data_format_version": "3.1.1"},
        "config": {},
        "attribute": {
            "1": {"aname": "defect", "type": 4, "options": {"c": "crack", "r": "rust"}}
        },
        "file": {
            "1": {"fid": "1", "fname": "a.png", "type": 2, "loc": 1, "src": ""},
            "2": {"fid": "2", "fname": "b.png", "type": 2, "loc": 1, "src": ""},
        },
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
        "metadata": {
            "1_x": {"vid": "1", "flg": 0, "z": [], "av": {"1": "c"},
                    "xy": [7, 5, 5, 25, 5, 25, 9, 5, 9]},
            "1_y": {"vid": "1", "flg": 0, "z": [], "av": {"1": "c"}, "xy": [2, 40, 20, 3, 2]},
            "1_z": {"vid": "1", "flg": 0, "z": [], "av": {"1": "r"}, "xy": [3, 30, 30, 4]},
        },
    }  # fmt: skip
    (root / "via3.json").write_text(json.dumps(content), encoding="utf-8")
    return content


def test_projects_of_via_3_are_read(tmp_path):
    via_3(tmp_path)
    found, _ = masks(tmp_path)
    np.testing.assert_array_equal(found["a"], box(5, 5, 9, 25) | box(20, 40, 22, 43))
    assert not found["b"].any()


@pytest.mark.parametrize("xy", [[77, 1, 2], [2, 1], ["x"]])
def test_damaged_projects_of_via_3_are_told(tmp_path, xy):
    content = via_3(tmp_path)
    content["metadata"]["1_x"]["xy"] = xy
    (tmp_path / "via3.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="no whole project of VIA 3"):
        find_pairs(tmp_path)
