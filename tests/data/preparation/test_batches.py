import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fissura.data.preparation.batches import IGNORED, ImageStore, epoch_batches, step_seed

CPU = torch.device("cpu")
counts = st.integers(1, 60)
sizes = st.integers(1, 20)


@given(count=counts, size=sizes, seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_an_epoch_shows_every_image_once(count, size, seed, epoch):
    batches = epoch_batches(count, size, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches)) == list(range(count))
    assert all(len(batch) == size for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= size


@given(count=counts, each=sizes, world=st.integers(2, 4))
def test_processes_share_every_batch_equally(count, each, world):
    size = each * world
    whole = epoch_batches(count, size, seed=0, epoch=3)
    by_rank = [
        epoch_batches(count, size, seed=0, epoch=3, rank=rank, world=world) for rank in range(world)
    ]
    for step, batch in enumerate(whole):
        together = [batches[step] for batches in by_rank]
        assert len({len(own) for own in together}) == 1
        assert set(batch) <= set(np.concatenate(together))


def test_epochs_and_seeds_have_their_own_orders():
    orders = {
        tuple(np.concatenate(epoch_batches(20, 5, seed=seed, epoch=epoch)))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_step_seeds_differ_in_every_coordinate():
    seeds = {
        step_seed(s, e, t, r) for s in range(4) for e in range(4) for t in range(4) for r in (0, 1)
    }
    assert len(seeds) == 128
    assert all(0 <= seed < 2**63 for seed in seeds)


def photo(height, width, offset=0):
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, np.full_like(rows, offset)], axis=-1).astype(np.uint8)
    return image, (rows + columns) % 2 == 0


def test_a_uniform_store_gives_the_images_asked_for():
    pairs = [photo(5, 7, offset) for offset in range(4)]
    store = ImageStore.of([i for i, _ in pairs], [m for _, m in pairs], CPU)
    assert store.uniform
    assert len(store) == 4
    images, masks = store.batch(np.array([2, 0]))
    assert images.shape == (2, 3, 5, 7)
    assert images[:, 2, 0, 0].tolist() == [2, 0]
    assert images[0, 0, 3, 6] == 3
    assert images[0, 1, 3, 6] == 6
    assert masks.unique().tolist() == [0, 1]


@given(
    shapes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=2, max_size=4),
    crop=st.integers(1, 32),
    seed=st.integers(0, 99),
)
def test_crops_come_from_the_image_and_keep_the_mask_aligned(shapes, crop, seed):
    pairs = [photo(*shape) for shape in shapes]
    store = ImageStore.of([i for i, _ in pairs], [m for _, m in pairs], CPU)
    rng = np.random.default_rng(seed)
    images, masks = store.batch(np.arange(len(shapes)), crop=crop, rng=rng)
    assert images.shape == (len(shapes), 3, crop, crop)
    # Each pixel carries its own coordinates, so the mask can be told from the image.
    assert torch.equal(masks[:, 0], ((images[:, 0].int() + images[:, 1].int()) % 2 == 0).byte())
    for image, (height, width) in zip(images, shapes, strict=True):
        assert image[0].max() < height
        assert image[1].max() < width
        if height >= crop and width >= crop:
            assert torch.equal(image[0, :, 0].diff(), torch.ones(crop - 1, dtype=torch.uint8))


def test_crops_fall_everywhere():
    image, mask = photo(12, 12)
    store = ImageStore.of([image], [mask], CPU)
    corners = set()
    for seed in range(200):
        images, _ = store.batch(np.array([0]), crop=10, rng=np.random.default_rng(seed))
        corners.add(tuple(images[0, :2, 0, 0].tolist()))
    assert len(corners) == 9


def test_misuse_is_refused():
    pairs = [photo(5, 7), photo(6, 7)]
    store = ImageStore.of([i for i, _ in pairs], [m for _, m in pairs], CPU)
    with pytest.raises(ValueError, match="differing sizes"):
        store.batch(np.array([0]))
    with pytest.raises(ValueError, match="need rng"):
        store.batch(np.array([0]), crop=4)


@given(st.integers(0, 2**32), st.integers(2, 9))
def test_a_crop_without_a_valid_pixel_is_not_drawn(seed, crop):
    rng = np.random.default_rng(seed)
    valid = np.zeros((24, 32), bool)
    valid[rng.integers(24), rng.integers(32)] = True
    image, mask = np.zeros((24, 32, 3), np.uint8), valid.copy()
    store = ImageStore.of([image], [mask], torch.device("cpu"), [valid])
    assert store.ignores
    assert (store.masks[0] == 1).sum() == 1
    assert (store.masks[0] == IGNORED).sum() == 24 * 32 - 1
    _, masks = store.batch(np.zeros(8, np.int64), crop=crop, rng=rng)
    assert ((masks != IGNORED).sum(dim=(1, 2, 3)) == 1).all()


def test_where_everything_is_valid_the_same_crops_are_drawn():
    image, mask = np.arange(24 * 32 * 3).reshape(24, 32, 3).astype(np.uint8), np.eye(24, 32) > 0
    plain = ImageStore.of([image], [mask], torch.device("cpu"))
    valid = ImageStore.of([image], [mask], torch.device("cpu"), [np.ones_like(mask)])
    assert not plain.ignores
    for one, other in zip(
        plain.batch(np.zeros(9, np.int64), crop=8, rng=np.random.default_rng(1)),
        valid.batch(np.zeros(9, np.int64), crop=8, rng=np.random.default_rng(1)),
        strict=True,
    ):
        assert torch.equal(one, other)
