"""One model in memory, and the one thread that computes with it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from fissura.checkpoint import find_model, name_of_model
from fissura.data.images import read_image
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Prediction, Predictor

OnStage = Callable[[str], None]


class Worker:
    """Predict photos one after another, in a thread of its own.

    Args:
        model: Run folder, model folder, or a name of `fissura.shipped.MODELS`.
        predicting: How the model is applied.

    Attributes:
        model: The model's folder.
        name: The model's name.
        predictor: The model, ready to predict; only the worker's thread calls it.

    Raises:
        InputError: There is no such model, or it has classes of which none was chosen.
    """

    def __init__(self, model: str | Path, predicting: PredictOptions | None = None) -> None:
        from dataclasses import asdict

        self.model = find_model(Path(model))
        self.name = name_of_model(Path(model))
        options = predicting or PredictOptions()
        self.predictor = Predictor.load(self.model, **asdict(options))
        self.predictor.refuse_classes("fissura predict tells them apart")
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name="fissura-worker", daemon=True)
        self._thread.start()

    def submit(self, path: Path, *, on_stage: OnStage | None = None) -> Future[Prediction]:
        """Predict a photo when its turn comes.

        Args:
            path: The photo.
            on_stage: Is told "reading", then "predicting", by the worker's thread.

        Returns:
            The prediction; `InputError` where the file cannot be read.
        """

        def predict() -> Prediction:
            tell = on_stage or (lambda _: None)
            tell("reading")
            image = read_image(path)
            tell("predicting")
            return self.predictor(image)

        return self.call(predict)

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Run a function in the worker's thread when its turn comes."""
        future: Future[Any] = Future()
        self._tasks.put((future, function))
        return future

    def close(self) -> None:
        """End the thread after the task that it is at; those that wait are cancelled."""
        while True:
            try:
                waiting = self._tasks.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                waiting[0].cancel()
        self._tasks.put(None)
        self._thread.join()

    def _work(self) -> None:
        """Take tasks until there is a None."""
        while (task := self._tasks.get()) is not None:
            future, function = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)
