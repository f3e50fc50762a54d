"""How unlike the photos that a model was trained on a photo is, from the encoder's features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from fissura.files import replacing
from fissura.inference.engines.bands import Band

if TYPE_CHECKING:
    from jaxtyping import Float

FILE = "familiar.safetensors"
UNFAMILIAR = "unlike the photos that the model was trained on; look at its overlay first."


class Pooled:
    """The mean of an encoder's features over an image, summed up as bands of them pass."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._count = 0

    def passing(self, bands: Iterator[Band]) -> Iterator[Band]:
        """Let bands pass, and note them."""
        for band in bands:
            values = band.values.sum((2, 3), dtype=torch.float32)
            self._sum = values if self._sum is None else self._sum + values
            self._count += band.values.shape[2] * band.values.shape[3]
            yield band

    def mean(self) -> NDArray[np.float32]:
        """Return the mean of each channel, (n, c)."""
        assert self._sum is not None
        return (self._sum / self._count).cpu().numpy()


def mean_of(parts: Sequence[Pooled]) -> NDArray[np.float32]:
    """Return the mean over parts of one image that were taken apart, (n, c).

    Args:
        parts: Of each, alike in size.
    """
    return np.mean([part.mean() for part in parts], axis=0)


@dataclass(frozen=True, eq=False)
class Familiar:
    """The photos that a model was trained on, as its encoder sees them.

    Features at stride 16 are averaged over a photo, brought to mean 0 and variance 1 and projected
    on their principal components, each divided by its standard deviation. What counts is the
    distance to the nearest training photo there (Sun et al., Out-of-distribution detection with
    deep nearest neighbors, ICML 2022).

    Attributes:
        shift: Mean of the features of the training photos, (c,).
        projection: From features less `shift` to components, (c, k).
        known: Components of the training photos, (m, k).
        limit: The distance that 95 % of held-back photos stay below.
    """

    shift: NDArray[np.float32]
    projection: NDArray[np.float32]
    known: NDArray[np.float32]
    limit: float

    def unfamiliarity(self, features: NDArray[np.float32]) -> list[float]:
        """Return distances to the nearest training photo over `limit`; above 1 is unfamiliar.

        Args:
            features: Means of `Pooled`, (n, c).
        """
        return (self.distance(features) / self.limit).tolist()

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the distance to the nearest training photo, (n,).

        Args:
            features: Means of `Pooled`, (n, c).
        """
        seen = (features - self.shift).astype(np.float64) @ self.projection
        square = (seen**2).sum(1)[:, None] + (self.known.astype(np.float64) ** 2).sum(1)
        return np.sqrt(np.maximum((square - 2 * seen @ self.known.T).min(1), 0.0))

    @classmethod
    def load(cls, folder: Path) -> Familiar | None:
        """Read the statistics of a model folder; None where it has none.

        Args:
            folder: Model folder, or the file of an exported model, which has none.
        """
        file = folder / FILE
        if not file.is_file():
            return None
        values = {name: tensor.float().numpy() for name, tensor in load_file(file).items()}
        return cls(
            values["shift"], values["projection"], values["known"], float(values["limit"][0])
        )

    def save(self, folder: Path) -> None:
        """Write `familiar.safetensors`: the known photos in 16 bits, no pickle."""
        tensors: dict[str, Float[Tensor, ...]] = {
            "shift": torch.from_numpy(self.shift.astype(np.float32)),
            "projection": torch.from_numpy(np.ascontiguousarray(self.projection, np.float32)),
            "known": torch.from_numpy(np.ascontiguousarray(self.known, np.float16)),
            "limit": torch.tensor([self.limit]),
        }
        with replacing(folder / FILE) as temporary:
            temporary.write_bytes(save(tensors, metadata={"format": "pt"}))


def fit_familiar(
    train: NDArray[np.float32], held: NDArray[np.float32], components: int = 32
) -> Familiar:
    """Make the statistics of a model.

    Args:
        train: Features of training photos, (m, c).
        held: Features of photos of the same surfaces that were kept out of the training, (n, c).
        components: Number of principal components, at most c.
    """
    shift, spread = train.mean(0), train.std(0) + 1e-6
    normal = (train - shift) / spread
    _, singular, axes = np.linalg.svd(normal.astype(np.float64), full_matrices=False)
    scale = singular[:components] / np.sqrt(len(train))
    projection = (axes[:components].T / scale / spread[:, None]).astype(np.float32)
    known = ((train - shift).astype(np.float64) @ projection).astype(np.float16)
    found = Familiar(shift, projection, known.astype(np.float32), 1.0)
    return Familiar(shift, projection, found.known, float(np.quantile(found.distance(held), 0.95)))
