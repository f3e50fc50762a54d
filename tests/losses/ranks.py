"""One of several processes that compare pooled losses with those of the whole batch.

`python ranks.py FILE RANK WORLD`: FILE is where they meet. test_pooling.py starts them.
"""

import copy
import inspect
import sys
from itertools import product

import torch
from torch import distributed as dist
from torch import nn

from fissura.losses import (
    LOSSES,
    SOFTMAX_LOSSES,
    DeepSupervisionLoss,
    PerClassLoss,
    plain,
    pool,
    sum_over_ranks,
)
from fissura.training.processes.batch_norm import pool_batch_norm

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
    for index, ((name, options), mask) in enumerate(product(OPTIONS, [False, True])):
        binary, parts = LOSSES[name], PARTS[index // 2 % 3]
        for loss in [binary, plain()(binary)]:
            compared += compare(rank, parts[rank], loss, options, mask=mask, channels=1)
    for (name, options), mask in product(OPTIONS, [False, True]):
        loss = SOFTMAX_LOSSES[name]
        compared += compare(rank, PARTS[1][rank], loss, options, mask=mask, channels=3)
    for name in LOSSES:
        compared += compare(rank, PARTS[1][rank], LOSSES[name], {}, mask=True, channels=1,
                            dtype=torch.float32)  # fmt: skip
    several = PerClassLoss(LOSSES["unified_focal"])
    compared += compare(rank, PARTS[0][rank], several, {}, mask=True, channels=2)
    deep = DeepSupervisionLoss(LOSSES["hybrid_focal_margin"])
    compared += compare(rank, PARTS[0][rank], lambda z, t, **o: deep([z, 2 * z], t, **o), {},
                        mask=True, channels=1)  # fmt: skip
    compared += second_derivative(rank) + batch_norm(rank)
    total = sum_over_ranks(torch.full((2,), rank + 1.0))
    assert total.tolist() == [world * (world + 1) / 2] * 2
    if rank == 0:
        print(compared)
    dist.destroy_process_group()


# The images of each process: equal, unequal, none at all.
PARTS = [(slice(0, 3), slice(3, 6)), (slice(0, 5), slice(5, 6)), (slice(0, 6), slice(6, 6))]


def case(channels, *, dtype=torch.float64):
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


def compare(rank, own, loss, options, *, mask, channels, dtype=torch.float64):
    """Check value and gradient of this process's part against those of the whole batch."""
    z, target, valid = case(channels, dtype=dtype)
    given = {"mask": valid} if mask else {}
    whole = z.clone().requires_grad_()
    expected = loss(whole, target, **options, **given)
    (gradient,) = torch.autograd.grad(expected, whole)
    part = z[own].clone().requires_grad_()
    given = {"mask": valid[own]} if mask else {}
    with pool("global"):
        value = loss(part, target[own], **options, **given)
    (slope,) = torch.autograd.grad(value, part)
    rtol = {torch.float64: 1e-10, torch.float32: 1e-4}[dtype]
    torch.testing.assert_close(value, expected, rtol=rtol, atol=0)
    # What DistributedDataParallel takes is the mean over the processes.
    slope = slope / dist.get_world_size()
    atol = rtol * float(gradient.abs().max())
    torch.testing.assert_close(slope, gradient[own], rtol=rtol, atol=atol)
    return 1


def second_derivative(rank):
    """Check a derivative of the gradient, which goes through the formula, after the block."""
    z, target, _ = case(1)
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


def batch_norm(rank):
    """Check the batch normalization of trainings with several processes, of unequal parts."""
    x = 3 + torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(2)).double()
    own = [slice(0, 4), slice(4, 5)][rank]
    one = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3)).double()
    nn.init.normal_(one[0].weight, generator=torch.Generator().manual_seed(3))
    several = copy.deepcopy(one)
    assert pool_batch_norm(several, torch.device("cpu")) == []
    whole, part = x.clone().requires_grad_(), x[own].clone().requires_grad_()
    expected, normal = one(whole), several(part)
    expected.pow(3).sum().backward()
    normal.pow(3).sum().backward()
    torch.testing.assert_close(normal, expected[own])
    torch.testing.assert_close(part.grad, whole.grad[own])
    for name, parameter in several.named_parameters():
        total = sum_over_ranks(parameter.grad)
        torch.testing.assert_close(total, one.get_parameter(name).grad)
    assert several.state_dict().keys() == one.state_dict().keys()
    for name, buffer in one.named_buffers():
        torch.testing.assert_close(several.get_buffer(name), buffer)
    one.eval(), several.eval()
    torch.testing.assert_close(several(x), one(x))
    return 1


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
