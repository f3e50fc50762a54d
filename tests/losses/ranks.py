"""One of several processes that compare pooled losses with those of the whole batch.

`python ranks.py FILE RANK WORLD`: FILE is where they meet. test_pooling.py starts them.
"""

import inspect
import sys
from itertools import product

import torch
from torch import distributed as dist

from fissura.losses import (
    LOSSES,
    SOFTMAX_LOSSES,
    DeepSupervisionLoss,
    PerClassLoss,
    plain,
    pool,
    sum_over_ranks,
)

SYMMETRIC = ["hybrid_focal", "unified_focal", "hybrid_focal_margin"]
OPTIONS = [(name, {}) for name in LOSSES]
OPTIONS += [(name, {"symmetric": True, "focal_weight": 0.3}) for name in SYMMETRIC]
OPTIONS += [("dice", {"squared": True}), ("bce", {"reduction": "sum"})]
OPTIONS += [
    (name, {"per_image": True, "reduction": reduction})
    for name, loss in LOSSES.items()
    if "per_image" in inspect.signature(loss).parameters
    for reduction in ("mean", "sum")
]


def main(file, rank, world):
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)
    compared = 0
    for (name, options), mask, parts in product(OPTIONS, [False, True], PARTS):
        binary = LOSSES[name]
        for loss in [binary, plain()(binary)]:
            compared += compare(rank, parts[rank], loss, options, mask=mask, channels=1)
    for (name, options), mask in product(OPTIONS, [False, True]):
        loss = SOFTMAX_LOSSES[name]
        compared += compare(rank, PARTS[1][rank], loss, options, mask=mask, channels=3)
    several = PerClassLoss(LOSSES["unified_focal"])
    compared += compare(rank, PARTS[0][rank], several, {}, mask=True, channels=2)
    deep = DeepSupervisionLoss(LOSSES["hybrid_focal_margin"])
    compared += compare(rank, PARTS[0][rank], lambda z, t, **o: deep([z, 2 * z], t, **o), {},
                        mask=True, channels=1)  # fmt: skip
    compared += second_derivative(rank)
    total = sum_over_ranks(torch.full((2,), rank + 1.0))
    assert total.tolist() == [world * (world + 1) / 2] * 2
    if rank == 0:
        print(compared)
    dist.destroy_process_group()


# The images of each process: equal, unequal, none at all.
PARTS = [(slice(0, 3), slice(3, 6)), (slice(0, 5), slice(5, 6)), (slice(0, 6), slice(6, 6))]


def case(channels, *, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    z = (3 * torch.randn(6, channels, 5, 7, generator=generator)).to(dtype)
    crack = torch.rand(6, 1, 5, 7, generator=generator)
    crack[4] = 1.0  # an image without crack
    target = (crack < 0.3).to(torch.uint8)
    if channels == 2:
        target = torch.cat([target, target.flip(3)], 1)
    if channels == 3:
        target = target + (crack < 0.1).to(torch.uint8)
    mask = torch.rand(6, 1, 5, 7, generator=generator) < 0.6
    mask[5] = False  # an image of which no pixel counts
    return z, target, mask


def compare(rank, own, loss, options, *, mask, channels):
    """Check value and gradient of this process's part against those of the whole batch."""
    z, target, valid = case(channels)
    given = {"mask": valid} if mask else {}
    whole = z.clone().requires_grad_()
    expected = loss(whole, target, **options, **given)
    (gradient,) = torch.autograd.grad(expected, whole)
    part = z[own].clone().requires_grad_()
    given = {"mask": valid[own]} if mask else {}
    with pool("global"):
        value = loss(part, target[own], **options, **given)
    (slope,) = torch.autograd.grad(value, part)
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    # What DistributedDataParallel takes is the mean over the processes.
    scale = float(gradient.abs().max())
    torch.testing.assert_close(
        slope / dist.get_world_size(), gradient[own], rtol=1e-4, atol=1e-5 * scale + 1e-9
    )
    return 1


def second_derivative(rank):
    """Check a derivative of the gradient, which goes through the formula, after the block."""
    z, target, _ = case(1, dtype=torch.float64)
    own = PARTS[1][rank]
    loss = LOSSES["hybrid_focal_margin"]

    def penalty(z, target, world=1):
        (gradient,) = torch.autograd.grad(loss(z, target), z, create_graph=True)
        return (gradient / world).pow(2).sum()

    whole, part = z.clone().requires_grad_(), z[own].clone().requires_grad_()
    (expected,) = torch.autograd.grad(penalty(whole, target), whole)
    with pool("global"):
        mine = penalty(part, target[own], dist.get_world_size())
    # The penalty of all is the sum of the processes' penalties.
    (slope,) = torch.autograd.grad(mine, part)
    torch.testing.assert_close(slope, expected[own], rtol=1e-6, atol=1e-12)
    return 1


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
