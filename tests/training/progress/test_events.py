"""TensorBoard reads what a training writes; a full disk is met by the one who writes."""

import errno
import threading
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fissura.training.progress.events import Events

FULL = Path("/dev/full")  # a device on which there is never any room
LINES = [
    {"step": 10, "loss": 0.5, "learning_rate": 1e-3, "validation": {"iou": 0.25, "f1": 0.4}},
    {"step": 20, "loss": 0.25, "learning_rate": 5e-4, "validation": None},
]


def examples(count):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 12, 3), np.uint8)
    return [(image, image[:, :, 0] > 100, image[:, :, 1] > 100)] * count


def written(run, step, lines, pictures=0):
    events = Events(run, step)
    for line in lines:
        events.write(line, examples(pictures))
    events.close()


def read(run):
    found = EventAccumulator(str(run), size_guidance={"images": 0})
    found.Reload()
    return found


def test_tensorboard_reads_curves_and_pictures(tmp_path):
    written(tmp_path, 0, LINES, pictures=2)
    found = read(tmp_path)
    assert [(one.step, one.value) for one in found.Scalars("loss/train")] == [(10, 0.5), (20, 0.25)]
    assert [(one.step, one.value) for one in found.Scalars("validation/iou")] == [(10, 0.25)]
    picture, *_ = found.Images("errors/1")
    assert (picture.step, picture.width, picture.height) == (10, 24, 8)


def test_a_resumed_training_replaces_what_came_after_its_state(tmp_path):
    written(tmp_path, 0, [LINES[0], LINES[1] | {"loss": 9.0}])
    written(tmp_path, 11, [LINES[1]])
    assert [one.value for one in read(tmp_path).Scalars("loss/train")] == [0.5, 0.25]


@pytest.mark.skipif(not FULL.exists(), reason="there is no device that is full")
def test_a_full_disk_is_told_by_the_writer_itself(tmp_path, monkeypatch):
    before = threading.active_count()
    events = Events(tmp_path, 0)
    events._records.close()
    with FULL.open("wb") as full:
        monkeypatch.setattr(events._records, "_writer", full)
        with pytest.raises(OSError, match="tfevents") as raised:
            events.write(LINES[0], [])
        assert raised.value.errno == errno.ENOSPC
        assert threading.active_count() == before
        with pytest.raises(OSError, match="tfevents"):
            events.close()
