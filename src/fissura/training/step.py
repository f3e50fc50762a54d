"""One step of a training, its validation, and the example images of its display."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fissura.data.augmentation.policy import augment
from fissura.data.preparation.batches import IGNORED, ImageStore, step_seed
from fissura.errors import InputError
from fissura.losses import pool
from fissura.metrics.counts import BINS, counts_at, histograms, iou
from fissura.metrics.curves import Best, best_threshold, counts_at_each, thresholds_beyond
from fissura.models.normalize import normalize
from fissura.training.accumulate import backward_in_parts
from fissura.training.class_step import class_masks
from fissura.training.classes import class_targets
from fissura.training.draw import share_of
from fissura.training.optimize import update_average
from fissura.training.progress.events import Example
from fissura.training.session import Position, Session

if TYPE_CHECKING:
    from jaxtyping import Float, Num, UInt8
    from numpy.typing import NDArray


def train_step(
    session: Session,
    indices: NDArray[np.int64],
    *,
    epoch: int,
    step: int,
    rate: float,
    drawn: tuple[Tensor, Tensor] | None = None,
) -> Float[Tensor, ""]:
    """Draw a batch and take one step of the optimizer.

    Args:
        session: Session of the training, whose weights change.
        indices: int64 (n,), the training images of the batch: of the whole batch where processes
            pool it, of which this one takes its share, else of this process.
        epoch: Epochs done, from 0.
        step: Steps done in this epoch, from 0. With the seed, the epoch and the process it seeds
            every random number of the step, so that a repeated step has the same bits.
        rate: Learning rate of the step.
        drawn: Images and masks of the batch, where they have been drawn before.

    Returns:
        The loss of the batch before the step, still on the device.
    """
    config, fabric = session.config, session.fabric
    seed = step_seed(config.seed, epoch, step, fabric.global_rank)
    torch.manual_seed(seed)  # for dropout and its like
    share = share_of(session, len(indices))
    if share is not None and isinstance(session.train, ImageStore):
        seed = step_seed(config.seed, epoch, step)  # all draw what one process would, and take part
    image, mask = drawn or session.train.batch(
        indices, crop=session.crop, rng=np.random.default_rng(seed), share=share
    )
    image, mask = (each.to(fabric.device, non_blocking=True) for each in (image, mask))
    if config.augment:
        generator = torch.Generator().manual_seed(seed)
        image, mask = augment(image, mask, generator, share=share)
    for group in session.optimizer.param_groups:
        group["lr"] = rate
    sizes = None if share is None else [len(part) for part in share.parts]
    loss = optimize(session, image, mask, sizes=sizes)
    if session.average is not None:
        update_average(session.average, session.network)
    return loss


def optimize(
    session: Session,
    image: Num[Tensor, "n 3 h w"],
    mask: UInt8[Tensor, "n 1 h w"],
    *,
    sizes: list[int] | None = None,
) -> Float[Tensor, ""]:
    """Change the weights by one step on a batch.

    Args:
        session: Session of the training, whose weights change.
        image: Images, RGB, 0 to 255.
        mask: Masks, 1 where a pixel is crack, 0 elsewhere, or classes; `IGNORED` where the images
            of the session have pixels without a label.
        sizes: Numbers of images that go through the network together; None: all do.

    Returns:
        The loss before the step, still on the device.
    """
    fabric, optimizer, config = session.fabric, session.optimizer, session.config
    inputs = normalize(image, session.card.mean, session.card.std)
    valid = mask != IGNORED if session.train.ignores else None
    target = mask if valid is None else torch.where(valid, mask, 0)
    if config.classes is not None:
        target = class_targets(target, config)

    def loss_of(logits: Any) -> Tensor:
        given = {} if valid is None else {"mask": valid}
        with pool("global" if session.pooled else "rank"):
            return session.loss(logits, target, **given)

    if sizes is None or len(sizes) == 1:
        loss = loss_of(session.model(inputs))
        fabric.backward(loss)
    else:
        parts = list(inputs.split(sizes))
        loss = backward_in_parts(fabric, session.model, parts, loss_of)
    if (norm := config.clip_norm) is not None:
        # NaN is left to `check_finite`: to look for it here would wait for a GPU in each step.
        fabric.clip_gradients(session.model, optimizer, max_norm=norm, error_if_nonfinite=False)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def check_finite(session: Session, position: Position) -> None:
    """Stop a training whose loss or weights have become NaN or infinite.

    Args:
        session: Session of the training.
        position: Its position, with the sum of the losses of this epoch.

    Raises:
        InputError: The loss or a weight is NaN or infinite; the sentence names remedies.
    """
    size = torch.nn.utils.get_total_norm(session.network.parameters())
    if bool(torch.isfinite(position.loss_sum + size)):
        return
    raise InputError(
        f"The loss became NaN or infinite in epoch {position.epoch + 1}, and the training stopped. "
        "Things to try, in this order: a tenth of the --learning-rate, --warmup-epochs 1, "
        "--clip-norm 1, --precision float32. The last good state is in the run's folder state/."
    )


def predict(session: Session, images: UInt8[Tensor, "n 3 h w"]) -> NDArray[np.float32]:
    """Predict images with the judged network in evaluation mode.

    Args:
        session: Session of the training. Its network is in training mode afterwards.
        images: Images, RGB, 0 to 255.

    Returns:
        The probability of crack, float32 (n, h, w), 0 to 1.
    """
    network = session.judged.eval()
    with torch.no_grad(), session.fabric.autocast():
        inputs = normalize(images.to(session.fabric.device), session.card.mean, session.card.std)
        logits = network(inputs)
    session.network.train()
    return logits.float().sigmoid()[:, 0].cpu().numpy()


def validate(session: Session, store: ImageStore) -> NDArray[np.int64]:
    """Predict labeled images and count their probabilities, pooled over the images.

    Args:
        session: Session of the training.
        store: Images and masks.

    Returns:
        int64 (2, 256), `fissura.metrics.counts.histograms` added up over all images.
    """
    total = np.zeros((2, 256), np.int64)
    for probs, masks in predictions(session, store):
        total += histograms(probs, masks)
    return session.added(total)


def predictions(
    session: Session, store: ImageStore
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Predict labeled images, those of one size by batches, others one by one.

    Args:
        session: Session of the training.
        store: Images and masks.

    Yields:
        The probabilities (n, h, w) of each batch, and its masks; where the images have pixels
        without a label, both of the others alone, in a row. Of several processes each has its own
        batches.
    """
    size = session.config.batch_size if store.uniform else 1
    for start in session.own(range(0, len(store), size)):
        where = slice(start, start + size)
        masks = np.stack([mask[0].cpu().numpy() for mask in store.masks[where]])
        probs = predict(session, torch.stack(list(store.images[where])))
        if store.ignores:
            valid = masks != IGNORED
            probs, masks = probs[valid], masks[valid]
        yield probs, masks == 1


def choose_threshold(session: Session, store: ImageStore, histogram: NDArray[np.int64]) -> Best:
    """Choose the threshold with the best IoU, in steps of 1/256 and finer ones beyond their ends.

    Args:
        session: Session of the training.
        store: The images behind the histogram. They are predicted again where the best threshold
            of its grid is at an end of it.
        histogram: What `validate` returned.

    Returns:
        The IoU, its threshold, and the counts there.
    """
    best = best_threshold(histogram, "iou")
    ends = [
        at for at in (1 / BINS, 1 - 1 / BINS) if iou(counts_at(histogram, at)) >= best.value
    ] or [best.threshold]
    beyond = np.concatenate([thresholds_beyond(end) for end in ends])
    if not len(beyond):
        return best
    counts = np.zeros((len(beyond), 4), np.int64)
    for probs, masks in predictions(session, store):
        counts += counts_at_each(probs, masks, beyond)
    counts = session.added(counts)
    at = int(np.argmax(values := iou(counts)))
    if values[at] <= best.value:
        return best
    return Best(float(values[at]), float(beyond[at]), counts[at])


def example_images(session: Session, count: int = 4) -> list[Example]:
    """Predict validation images, or training images where there are none, to be looked at.

    Args:
        session: Session of the training.
        count: Number of images: the first ones that show a crack, and others where they are few.

    Returns:
        Of each image: RGB (h, w, 3), and prediction at 0.5 and truth (h, w), of any class where
        there are several. Large images are cut to their middle 512 by 512 pixels.
    """
    store = session.validation or session.train
    cracked = [bool(_marked(mask).any()) for mask in store.masks]
    order = sorted(range(len(cracked)), key=lambda index: not cracked[index])
    examples = []
    for index in order[:count]:
        image, mask = store.images[index], store.masks[index]
        top, left = (max(0, (side - 512) // 2) for side in image.shape[1:])
        window = (slice(None), slice(top, top + 512), slice(left, left + 512))
        if session.config.classes is None:
            pred = predict(session, image[window][None])[0] >= 0.5
        else:
            pred = class_masks(session, image[window][None])[0].any(axis=0)
        pixels = image[window].permute(1, 2, 0).cpu().numpy()
        examples.append((pixels, pred, _marked(mask[window][0]).cpu().numpy()))
    return examples


def _marked(mask: Tensor) -> Tensor:
    """Where a mask is crack, or any class."""
    return (mask != 0) & (mask != IGNORED)
