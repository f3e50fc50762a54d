"""TensorBoard's events of a training: curves of its metrics, and pictures of its errors."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.errors import extra
from fissura.files import naming
from fissura.overlay import error_overlay

# An image (h, w, 3), and its prediction and truth (h, w).
Example = tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]


class Events:
    """TensorBoard events of a run; a resumed run replaces the events after its saved state.

    TensorBoard's own writer has a thread, in which a full disk would be met by nobody.

    Args:
        run: Folder of the run.
        step: The step that the training begins after.

    Raises:
        OSError: The file cannot be written; the error names it.
    """

    def __init__(self, run: Path, step: int) -> None:
        # Imported here: it costs half a second.
        with extra("train", "Training"):
            from tensorboard.compat.proto import event_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter

        messages: Any = event_pb2  # made as it is imported, so that its names cannot be checked
        self._event = messages.Event
        start = messages.SessionLog(status=messages.SessionLog.START)
        now = time.time_ns()
        name = f"events.out.tfevents.{now // 10**9}.{socket.gethostname()}.{os.getpid()}.{now}"
        self.file = run / name
        with naming(self.file):
            self._records = RecordWriter(self.file.open("wb"))
            self._add(file_version="brain.Event:2")
            self._add(step=step, session_log=start)
            self._records.flush()

    def write(self, line: dict[str, Any], examples: list[Example]) -> None:
        """Write an epoch's line of metrics, and images of the errors.

        Args:
            line: The epoch's line of `metrics.jsonl`.
            examples: Images with prediction and truth, each shown beside its errors.

        Raises:
            OSError: The file cannot be written; the error names it.
        """
        from torch.utils.tensorboard import summary

        values = {"loss/train": line["loss"], "learning_rate": line["learning_rate"]}
        for name, value in (line.get("validation") or {}).items():
            values[f"validation/{name}"] = value
        found = [summary.scalar(name, value) for name, value in values.items()]
        for index, (image, pred, target) in enumerate(examples):
            side_by_side = np.concatenate([image, error_overlay(image, pred, target)], axis=1)
            found.append(summary.image(f"errors/{index}", side_by_side, dataformats="HWC"))
        with naming(self.file):
            for each in found:
                self._add(step=line["step"], summary=each)
            self._records.flush()

    def close(self) -> None:
        """Close the file."""
        with naming(self.file):
            self._records.close()

    def _add(self, **values: Any) -> None:
        """Write an event."""
        self._records.write(self._event(wall_time=time.time(), **values).SerializeToString())
