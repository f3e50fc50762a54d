"""`Loop`: a training epoch by epoch, with its validation, its saved states and its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from torch import Tensor

from fissura.checkpoint import ModelConfig, save_model
from fissura.metrics.counts import counts_at, f1, iou
from fissura.training import run_folder
from fissura.training.class_step import validate_classes
from fissura.training.classes import class_metrics
from fissura.training.draw import batches, crops_ahead
from fissura.training.optimize import learning_rate
from fissura.training.progress.display import Display
from fissura.training.progress.events import Events
from fissura.training.progress.pictures import Pictures
from fissura.training.session import Position, Session
from fissura.training.step import (
    check_finite,
    choose_threshold,
    example_images,
    train_step,
    validate,
)
from fissura.training.stop import StopRequest

LOOK_EVERY = 10  # steps between looks at the loss, each of which waits for the device

# Called after each epoch with the session and the number of epochs done.
OnEpoch = Callable[[Session, int], None]


class Loop:
    """A training under way.

    Attributes:
        run: Folder that it writes.
        session: Network, optimizer, loss and images.
        position: Epochs and steps done; it changes in place.
        request: Request to stop, read between two steps.
        display: Display of its progress.
        events: TensorBoard events, or None in all processes but the first.
        pictures: Figures in the run folder, or None where there shall be none.
        on_epoch: Function called after each epoch, or None.
        state: Writer of the state to resume from.
        writes: Whether this process writes files.
    """

    def __init__(
        self,
        session: Session,
        position: Position,
        request: StopRequest,
        *,
        display: Display,
        events: Events | None = None,
        pictures: Pictures | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self.run = session.run
        self.session = session
        self.position = position
        self.request = request
        self.display = display
        self.events = events
        self.pictures = pictures
        self.on_epoch = on_epoch
        self.state = run_folder.StateWriter(session.run)
        self.writes = session.fabric.is_global_zero

    def run_epochs(self) -> bool:
        """Train all epochs that are left, until patience runs out.

        Returns:
            Whether the training ended; False where a stop was requested before.
        """
        config, position = self.session.config, self.position
        shown = {1, config.epochs, *range(0, config.epochs, max(1, config.epochs // 10))}
        with closing(crops_ahead(self.session, position)) as crops:
            while position.epoch < config.epochs and not self._out_of_patience():
                if not self._epoch_steps(crops):
                    return False
                line = self._close_epoch()
                self.display.epoch(line, config.epochs)
                if self.events is not None:
                    self._show(self.events, line, shown=position.epoch in shown)
                if self.on_epoch is not None:
                    self.on_epoch(self.session, position.epoch)
                    self.session.network.train()
                self._save_if_due()
        self._save()
        if self.pictures is not None and self.pictures.epoch < position.epoch:
            self.pictures.draw(position.epoch, example_images(self.session))
        return True

    def _show(self, events: Events, line: dict[str, Any], *, shown: bool) -> None:
        """Write an epoch's events, and draw the figures where that is due."""
        pictures, epoch = self.pictures, self.position.epoch
        drawn = pictures is not None and pictures.due(epoch)
        examples = example_images(self.session) if shown or drawn else []
        events.write(line, examples if shown else [])
        if pictures is not None and drawn:
            pictures.draw(epoch, examples)

    def _epoch_steps(self, crops: Iterator[tuple[Tensor, Tensor] | None]) -> bool:
        """Go through the rest of an epoch; False where a stop was asked for."""
        session, position = self.session, self.position
        config, steps = session.config, session.steps_per_epoch
        of_steps = batches(session, position.epoch)
        start = time.monotonic() - position.seconds
        for step in range(position.step, steps):
            done = position.epoch * steps + step
            rate = learning_rate(
                done,
                steps=config.epochs * steps,
                warmup=round(config.warmup_epochs * steps),
                peak=config.learning_rate,
                constant=config.schedule == "constant",
            )
            position.loss_sum += train_step(
                session,
                of_steps[step],
                epoch=position.epoch,
                step=step,
                rate=rate,
                drawn=next(crops),
            )
            position.step = step + 1
            position.seconds = time.monotonic() - start
            stop = self._stop_asked()
            if stop or position.step == steps or position.step % LOOK_EVERY == 0:
                check_finite(session, position)
                mean_loss = position.loss_sum.item() / position.step
                speed = position.step * config.batch_size / position.seconds
                self.display.step(position.epoch + 1, done + 1, mean_loss, speed)
            if stop:
                self._save()
                return False
            if position.step == steps or position.step % LOOK_EVERY == 0:
                self._save_if_due(least=60)
        return True

    def _stop_asked(self) -> bool:
        """Whether any process was asked to stop; all must leave the loop at the same step."""
        asked = self.request.signal is not None
        if self.session.fabric.world_size == 1:
            return asked
        return self.session.fabric.strategy.reduce_boolean_decision(asked, all=False)

    def _close_epoch(self) -> dict[str, Any]:
        """Validate, note the epoch as done, and return its line of metrics."""
        session, position = self.session, self.position
        mean_loss = session.fabric.all_reduce(position.loss_sum / position.step)
        assert isinstance(mean_loss, Tensor)
        line = {
            "epoch": position.epoch + 1,
            "step": (position.epoch + 1) * session.steps_per_epoch,
            "loss": mean_loss.item(),
            "learning_rate": session.optimizer.param_groups[0]["lr"],
            "seconds": round(position.seconds, 3),
            "images_per_second": round(len(session.train) / position.seconds, 1),
        }
        position.epoch, position.step, position.seconds = position.epoch + 1, 0, 0.0
        position.loss_sum.zero_()
        if session.validation is not None:
            line["validation"] = self._validate()
        if self.writes:
            run_folder.append_metrics(self.run / "metrics.jsonl", line)
        return line

    def _validate(self) -> dict[str, float]:
        """Judge the epoch on the validation images; keep its model if none was better.

        Of several classes no threshold is chosen, and the epoch is judged by their mean IoU.
        """
        session = self.session
        assert session.validation is not None
        if session.card.classes:
            counts = validate_classes(session, session.validation)
            line = class_metrics(counts, session.card.classes)
            self._keep_if_best(line["iou"], session.card)
            return line
        histogram = validate(session, session.validation)
        chosen = choose_threshold(session, session.validation, histogram)
        threshold = chosen.threshold
        self._keep_if_best(
            chosen.value,
            replace(session.card, threshold=threshold, threshold_source="validation"),
        )
        at_half = counts_at(histogram, 0.5)
        return {
            "threshold": threshold,
            "iou": chosen.value,
            "f1": float(f1(chosen.counts)),
            "iou_at_half": float(iou(at_half)),
            "f1_at_half": float(f1(at_half)),
        }

    def _keep_if_best(self, value: float, card: ModelConfig) -> None:
        """Save the model with its description if no epoch had a better IoU."""
        position = self.position
        if value <= position.best_iou:
            return
        position.best_iou, position.best_epoch = value, position.epoch
        if self.writes:
            note = {"best_epoch": position.epoch, "validation_iou": value}
            card = replace(card, training=card.training | note)
            save_model(self.run / "model", self.session.judged, card)

    def _out_of_patience(self) -> bool:
        patience = self.session.config.patience
        return patience is not None and self.position.epoch - self.position.best_epoch >= patience

    def _save_if_due(self, least: float = 0.0) -> None:
        """Save now and then, so that a training spends at most 5 % of the time on it."""
        if self.state.due(least=max(least, 20 * self.state.cost)):
            self._save()

    def _save(self) -> None:
        """Write the state, and, where no validation chooses it, the model as it is now."""
        if not self.writes:
            return
        if self.session.validation is None:
            save_model(self.run / "model", self.session.judged, self.session.card)
        self.state.write(self.session.state(self.position))
