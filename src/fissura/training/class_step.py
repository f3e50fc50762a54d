"""Predict and validate with a network of several classes during its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fissura.data.preparation.batches import IGNORED, ImageStore
from fissura.metrics.counts import pixel_counts
from fissura.models.normalize import normalize
from fissura.training.classes import class_targets, true_masks
from fissura.training.session import Session

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8
    from numpy.typing import NDArray


def class_probs(session: Session, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
    """Predict images with the judged network in evaluation mode.

    Args:
        session: Session of the training. Its network is in training mode afterwards.
        images: Images, RGB, 0 to 255.

    Returns:
        Probabilities: of the background and each class, or of each class where they overlap.
    """
    network = session.judged.eval()
    with torch.no_grad(), session.fabric.autocast():
        inputs = normalize(images.to(session.fabric.device), session.card.mean, session.card.std)
        logits = network(inputs).float()
    session.network.train()
    return logits.sigmoid() if session.config.overlapping else logits.softmax(1)


def class_masks(session: Session, images: UInt8[Tensor, "n 3 h w"]) -> NDArray[np.bool_]:
    """Predict where each class is: the likeliest, or, where they overlap, from ½ on.

    Args:
        session: Session of the training.
        images: Images, RGB, 0 to 255.

    Returns:
        Bool (n, k, h, w) of the k classes, without the background.
    """
    probs = class_probs(session, images)
    if session.config.overlapping:
        return (probs >= 0.5).cpu().numpy()
    count = probs.shape[1]
    numbers = torch.arange(1, count, device=probs.device).view(1, -1, 1, 1)
    return (probs.argmax(1, keepdim=True) == numbers).cpu().numpy()


def validate_classes(session: Session, store: ImageStore) -> NDArray[np.int64]:
    """Predict labeled images and count the pixels of each class, pooled over the images.

    Args:
        session: Session of the training.
        store: Images and masks.

    Returns:
        int64 (k, 4), the columns tp fp fn tn of each class.
    """
    total = np.zeros((len(session.card.classes), 4), np.int64)
    for images, masks in _batches(session, store):
        valid = masks != IGNORED
        targets = class_targets(torch.where(valid, masks, 0), session.config)
        truth = true_masks(targets, session.config)
        pred, here = class_masks(session, images), valid[:, 0].cpu().numpy()
        for number in range(len(total)):
            total[number] += pixel_counts(pred[:, number], truth[:, number], here)
    return session.added(total)


def _batches(
    session: Session, store: ImageStore
) -> Iterator[tuple[UInt8[Tensor, "n 3 h w"], UInt8[Tensor, "n 1 h w"]]]:
    """Images and masks, those of one size by batches, others one by one."""
    size = session.config.batch_size if store.uniform else 1
    for start in session.own(range(0, len(store), size)):
        where = slice(start, start + size)
        yield torch.stack(list(store.images[where])), torch.stack(list(store.masks[where]))
