"""The images of a mixture in memory, the crops that are drawn from them, and what is held back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fissura.data.cache import THREADS
from fissura.data.folder import Skipped, find_pairs
from fissura.data.images import SUFFIXES, read_image
from fissura.data.mixtures.crops import cut, draw_place, photograph
from fissura.data.mixtures.mixture import Mixture, MixtureSet
from fissura.data.preparation.load import PreparedSet, load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.data.splits import split_groups
from fissura.data.synthetic.on_photos import draw_on_photo
from fissura.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy.typing import NDArray

    from fissura.data.preparation.batches import Share

DRAWN = 384  # side of the images that cracks are drawn on, in pixels
CROP = 224
COUNTED = 200  # crops from which the fraction of crack pixels is estimated
VALIDATION_SEED = 1_000_003


@dataclass(frozen=True)
class Photos:
    """Images of one set.

    Attributes:
        images: RGB uint8, (h, w, 3) each.
        masks: True where there is crack, (h, w) each; None for images without cracks.
        names: Theirs.
    """

    images: list[NDArray[np.uint8]]
    masks: list[NDArray[np.bool_]] | None
    names: list[str]

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: list[int]) -> Photos:
        """Return the images at `indices`."""
        masks = None if self.masks is None else [self.masks[index] for index in indices]
        return Photos(
            [self.images[index] for index in indices], masks, [self.names[i] for i in indices]
        )


@dataclass(frozen=True, eq=False)
class MixedImages:
    """The training images of a mixture; it has what a training asks of a `PreparedSet`.

    Attributes:
        mixture: What the file says.
        photos: The training images by set; those of drawn cracks are their backgrounds.
        crack_fraction: Of the pixels of crops, estimated.
    """

    mixture: Mixture
    photos: dict[str, Photos]
    crack_fraction: float = 0.0

    scale = 1.0
    protocol = PROTOCOLS["native"]
    mask_rule = "by the rule of each set's folder."
    depth = ""
    uniform = False
    valid = None
    classes = ()
    ignores = False
    ignored_fraction = 0.0

    def __len__(self) -> int:
        return self.mixture.crops

    @property
    def names(self) -> list[str]:
        """Set and name of every image."""
        return [
            f"{name}/{image}"
            for name, photos in self.photos.items()
            if not self.mixture.sets[name].backgrounds
            for image in photos.names
        ]

    @property
    def split_rule(self) -> str:
        """Where the split comes from, in words."""
        return f"groups of each set as {self.mixture.file.name} has them, seed {self.mixture.seed}"

    @property
    def skipped(self) -> list[Skipped]:
        """No file is left out: a bad one is an error."""
        return []

    @property
    def images(self) -> list[Tensor]:
        """Four crops, as examples."""
        return self._examples[0]

    @property
    def masks(self) -> list[Tensor]:
        """The masks of `images`."""
        return self._examples[1]

    @cached_property
    def _examples(self) -> tuple[list[Tensor], list[Tensor]]:
        """Four crops and their masks, drawn once."""
        images, masks = self.batch(np.arange(4), crop=CROP, rng=np.random.default_rng(0))
        return list(images), list(masks)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the mixture says and of the names of its images."""
        return self.mixture.fingerprint(self.names)

    def batch(
        self,
        indices: NDArray[np.int64],
        *,
        crop: int | None = None,
        rng: np.random.Generator | None = None,
        share: Share | None = None,
    ) -> tuple[UInt8[Tensor, "n 3 h w"], UInt8[Tensor, "n 1 h w"]]:
        """Draw crops: as many as there are indices, whose values do not matter.

        Args:
            indices: As of `fissura.data.preparation.batches.ImageStore.batch`.
            crop: Side of the crops, in pixels.
            rng: The source of all randomness.
            share: Of how many crops of the batch to draw; None: of all.

        Returns:
            Images (n, 3, crop, crop) and masks (n, 1, crop, crop), uint8.
        """
        rng = np.random.default_rng() if rng is None else rng
        count = len(indices if share is None else share.own)
        pairs = [self.draw(rng, crop or CROP) for _ in range(count)]
        images = np.stack([image.transpose(2, 0, 1) for image, _ in pairs])
        masks = np.stack([mask[None].astype(np.uint8) for _, mask in pairs])
        return torch.from_numpy(images), torch.from_numpy(masks)

    def draw(
        self, rng: np.random.Generator, side: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Draw one crop: a set by its fraction, an image of it, a place in it, a camera.

        Args:
            rng: The source of randomness.
            side: Of the crop, in pixels.
        """
        names = list(self.mixture.sets)
        fractions = [self.mixture.sets[name].fraction for name in names]
        name = names[int(rng.choice(len(names), p=fractions))]
        photos = self.photos[name]
        index = int(rng.integers(len(photos)))
        image = photos.images[index]
        mask = None if photos.masks is None else photos.masks[index]
        if self.mixture.sets[name].backgrounds:
            image, mask = draw_on_photo(rng, image, DRAWN)
        size_hw = (image.shape[0], image.shape[1])
        place = draw_place(rng, mask, size_hw, side, spread=self.mixture.scale_spread)
        crop, pixels = cut(image, mask, place, side)
        return photograph(rng, crop), pixels


def load_mixture(mixture: Mixture) -> tuple[MixedImages, PreparedSet]:
    """Read the images of a mixture, and set the groups aside that it keeps for validation.

    Args:
        mixture: What the file says.

    Returns:
        The training images, and the validation images with their masks; their names begin with
        that of their set.

    Raises:
        InputError: A set's folder is missing or cannot be read.
    """
    train: dict[str, Photos] = {}
    held: dict[str, Photos] = {}
    for name, one in mixture.sets.items():
        if one.folder is not None:
            train[name], held[name] = _divided(_read(mixture, one), one, mixture.seed)
    for name, one in mixture.sets.items():
        if one.backgrounds:
            train[name] = _merged([train[background] for background in one.backgrounds])
            behind = _merged([held[background] for background in one.backgrounds])
            held[name] = _drawn(behind, int(one.validation))
    images = MixedImages(mixture, train)
    rng = np.random.default_rng(0)
    fraction = float(np.mean([images.draw(rng, CROP)[1].mean() for _ in range(COUNTED)]))
    return MixedImages(mixture, train, fraction), _prepared(held)


def _read(mixture: Mixture, one: MixtureSet) -> Photos:
    """Read the images, and the masks, of a set's folder."""
    assert one.folder is not None
    folder = mixture.root / one.folder
    if not folder.is_dir():
        raise InputError(
            f"{mixture.file}: there is no folder {folder}. `root` is where the sets' folders lie, "
            "relative to the file."
        )
    if not one.crack_free:
        loaded = load_split(find_pairs(folder), one.split, PROTOCOLS["native"])
        if loaded.valid is not None:
            raise InputError(
                f"{mixture.file}: the masks in {folder} have pixels without a label, which a "
                "mixture cannot leave out. Make them background, or leave these photos out."
            )
        names = [name.split("/")[-1] for name in loaded.names]
        kept = [index for index, name in enumerate(names) if one.takes(name)]
        return Photos(loaded.images, loaded.masks, names).subset(kept)
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    files = [file for file in files if one.takes(file.stem)]
    if not files:
        raise InputError(f"{mixture.file}: there are no images in {folder}.")
    with ThreadPoolExecutor(THREADS) as pool:
        images = list(pool.map(read_image, files))
    return Photos(images, None, [file.stem for file in files])


def _divided(photos: Photos, one: MixtureSet, seed: int) -> tuple[Photos, Photos]:
    """Divide a set into training and validation images, whole groups each."""
    if not one.validation:
        return photos, photos.subset([])
    fractions = {"train": 1 - one.validation, "val": one.validation}
    split = split_groups(photos.names, fractions, seed, group_of=one.group_of)
    return photos.subset(split["train"]), photos.subset(split["val"])


def _merged(parts: list[Photos]) -> Photos:
    return Photos(
        [image for part in parts for image in part.images],
        None,
        [name for part in parts for name in part.names],
    )


def _drawn(behind: Photos, count: int) -> Photos:
    """Draw cracks on held-back images; always the same ones."""
    images, masks = [], []
    for index in range(count):
        rng = np.random.default_rng([VALIDATION_SEED, index])
        image, mask = draw_on_photo(rng, behind.images[int(rng.integers(len(behind)))], DRAWN)
        images.append(image)
        masks.append(mask)
    return Photos(images, masks, [str(index) for index in range(count)])


def _prepared(held: dict[str, Photos]) -> PreparedSet:
    """Put the held-back images of all sets together."""
    images, masks, names = [], [], []
    for name, photos in held.items():
        images += photos.images
        masks += photos.masks or [np.zeros(image.shape[:2], bool) for image in photos.images]
        names += [f"{name}/{image}" for image in photos.names]
    return PreparedSet(
        images=images,
        masks=masks,
        names=names,
        groups=names,
        protocol=PROTOCOLS["native"],
        scale=1.0,
        mask_rule="by the rule of each set's folder",
        split_rule="groups kept out of the training",
        skipped=[],
    )
