"""One model in memory, and the one thread that computes with it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.bit_depth import Depth
from fissura.checkpoint import find_model, name_of_model
from fissura.data.images import read_image
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Prediction, Predictor

OnStage = Callable[[str], None]
Image = NDArray[np.uint8]

SMALL = 2**20  # pixels of a photo that may share a batch with others of its size
MOST_AT_ONCE = 16
CLOSING_SECONDS = 20.0  # a task that takes longer is left behind when the server ends


@dataclass(eq=False)
class _Task:
    """Something to compute.

    Attributes:
        future: Takes the outcome.
        whole: All that is to be done; None where a photo is to be read, predicted and finished.
        read: Reads the photo.
        finish: Makes the outcome of the photo and its prediction.
        size_hw: Height and width of the photo; None where it shares no batch.
        until: When nobody waits for it any more, by the monotonic clock.
    """

    future: Future[Any] = field(default_factory=Future)
    whole: Callable[[], Any] | None = None
    read: Callable[[], Image] | None = None
    finish: Callable[[Image, Prediction], Any] | None = None
    size_hw: tuple[int, int] | None = None
    until: float = float("inf")


class Worker:
    """Compute one thing after another, in a thread of its own.

    Tasks of the HTTP API and those of the desk wait in two queues that take turns, so that a folder
    of photos at the desk and a crowd of clients don't shut each other out. Small photos of one size
    that wait at the same time share batches.

    Args:
        model: Run folder, model folder, or a name of `fissura.shipped.MODELS`.
        predicting: How the model is applied.
        on_batch: Is told the number of photos whenever the network is given some.

    Attributes:
        model: The model's folder.
        name: The model's name.
        predictor: The model, ready to predict; only the worker's thread calls it.

    Raises:
        InputError: There is no such model, or it has classes of which none was chosen.
    """

    def __init__(
        self,
        model: str | Path,
        predicting: PredictOptions | None = None,
        *,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.model = find_model(Path(model))
        self.name = name_of_model(Path(model))
        self.predictor = Predictor.load(self.model, **asdict(predicting or PredictOptions()))
        self.predictor.refuse_classes("fissura predict tells them apart")
        self._on_batch = on_batch or (lambda _: None)
        self._queues: tuple[deque[_Task], deque[_Task]] = (deque(), deque())
        self._turn, self._closing = 0, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="fissura-worker", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Number of tasks that wait."""
        return sum(map(len, self._queues))

    def submit(
        self, path: Path, *, on_stage: OnStage | None = None, depth: Depth | None = None
    ) -> Future[tuple[Image, Prediction]]:
        """Read a photo of the desk and predict it when its turn comes.

        Args:
            path: The photo.
            on_stage: Is told "reading", then "predicting", by the worker's thread.
            depth: The depth of the set that the photo belongs to.

        Returns:
            The photo and its prediction; `InputError` where the file cannot be read.
        """
        tell = on_stage or (lambda _: None)

        def read() -> Image:
            tell("reading")
            image = read_image(path, depth=depth)
            tell("predicting")
            return image

        return self._put(_Task(read=read, finish=lambda *both: both), desk=True)

    def call(self, function: Callable[[], Any], *, desk: bool = True) -> Future[Any]:
        """Run a function in the worker's thread when its turn comes.

        Args:
            function: Anything.
            desk: Whether it waits with the desk's tasks or with those of the HTTP API.
        """
        return self._put(_Task(whole=function), desk=desk)

    def photo(
        self,
        read: Callable[[], Image],
        finish: Callable[[Image, Prediction], Any],
        *,
        size_hw: tuple[int, int],
        seconds: float,
    ) -> Future[Any]:
        """Predict a photo for the HTTP API, in a batch with others of its size.

        Args:
            read: Reads the photo.
            finish: Makes the outcome of the photo and its prediction.
            size_hw: Height and width that the photo will have.
            seconds: Longest time that it may wait; later, `TimeoutError` is its outcome.
        """
        small = size_hw[0] * size_hw[1] <= SMALL
        task = _Task(read=read, finish=finish, size_hw=size_hw if small else None)
        task.until = time.monotonic() + seconds
        return self._put(task, desk=False)

    def close(self) -> None:
        """End the thread after the task that it is at; those that wait are cancelled."""
        with self._changed:
            self._closing = True
            for tasks in self._queues:
                for task in tasks:
                    task.future.cancel()
                tasks.clear()
            self._changed.notify()
        self._thread.join(CLOSING_SECONDS)

    def _put(self, task: _Task, *, desk: bool) -> Future[Any]:
        """Let a task wait for its turn."""
        with self._changed:
            if self._closing:
                task.future.cancel()
            else:
                self._queues[desk].append(task)
                self._changed.notify()
        return task.future

    def _next(self) -> list[_Task]:
        """Wait for the next task, with others that can be computed along; none at the end."""
        with self._changed:
            while not self.waiting and not self._closing:
                self._changed.wait()
            if self._closing:
                return []
            self._turn = 1 - self._turn
            tasks = self._queues[self._turn] or self._queues[1 - self._turn]
            first = tasks.popleft()
            if first.size_hw is None:
                return [first]
            alike = [task for task in tasks if task.size_hw == first.size_hw]
            alike = alike[: MOST_AT_ONCE - 1]
            for task in alike:
                tasks.remove(task)
            return [first, *alike]

    def _work(self) -> None:
        """Take tasks until the end."""
        while tasks := self._next():
            begun = [task for task in tasks if task.future.set_running_or_notify_cancel()]
            if begun and begun[0].whole is not None:
                _settle(begun[0], begun[0].whole)
            elif begun:
                self._photos(begun)

    def _photos(self, tasks: list[_Task]) -> None:
        """Read, predict and finish photos; one that fails costs itself alone."""
        images: list[Image] = []
        readable: list[_Task] = []
        for task in tasks:
            assert task.read is not None
            try:
                if time.monotonic() > task.until:
                    raise TimeoutError
                images.append(task.read())
                readable.append(task)
            except BaseException as error:
                task.future.set_exception(error)
        if not readable:
            return
        self._on_batch(len(readable))
        try:
            predictions = list(self.predictor.predictions(images))
        except BaseException as error:
            if len(readable) == 1:
                readable[0].future.set_exception(error)
                return
            for task, image in zip(readable, images, strict=True):
                _settle(task, lambda t=task, i=image: self._finished(t, i, self.predictor(i)))
            return
        while readable:  # what is finished is let go of
            task, image, prediction = readable.pop(), images.pop(), predictions.pop()
            _settle(task, lambda t=task, i=image, p=prediction: self._finished(t, i, p))

    def _finished(self, task: _Task, image: Image, prediction: Prediction) -> Any:
        """Return what a task makes of its prediction."""
        assert task.finish is not None
        return task.finish(image, prediction)


def _settle(task: _Task, compute: Callable[[], Any]) -> None:
    """Give a task its outcome."""
    try:
        task.future.set_result(compute())
    except BaseException as error:
        task.future.set_exception(error)
