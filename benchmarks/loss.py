"""How long does a loss take, forward and backward, beside its peers?"""

from __future__ import annotations

import math
import shutil
import statistics
import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from side_by_side import Goal, Result, arguments, finish, in_turn

from fissura.device import choose_device
from fissura.losses import (
    bce_dice_loss,
    focal_loss,
    hybrid_focal_loss,
    hybrid_focal_margin_loss,
    plain,
    unified_focal_loss,
)
from fissura.losses._fused.cpu import CHUNK

with warnings.catch_warnings():  # of their own imports
    warnings.simplefilter("ignore")
    import kornia.losses
    import monai.losses
    import segmentation_models_pytorch.losses as smp

QUESTION = __doc__
CRACK = 0.05
SMP, MONAI, TWO = "smp Tversky + Focal", "MONAI DiceFocal", "MONAI Tversky + Focal"
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
OURS: dict[str, Loss] = {
    "hybrid focal margin, fused": hybrid_focal_margin_loss,
    "focal + Tversky, fused": lambda z, t: hybrid_focal_loss(z, t, symmetric=True),
    "focal + Dice, fused": lambda z, t: hybrid_focal_loss(
        z, t, symmetric=True, delta=0.5, gamma=1.0, smooth=0.5
    ),
    "BCE + Dice, fused": bce_dice_loss,
    "unified focal, fused": unified_focal_loss,
    "focal, fused": focal_loss,
}


def inputs(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a network in training, and targets of which 5 % are crack, 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand(shape, generator=generator) < CRACK).float()
    logits = 2 * torch.randn(shape, generator=generator) + 6 * target - 4
    return logits.to(device, dtype).requires_grad_(), target.to(device)


def peers() -> dict[str, Loss]:
    """The losses of other libraries, their settings ours: delta 0.7, gamma 0.75, smooth 1."""
    weights = {"alpha": 0.3, "beta": 0.7}
    tversky, focal = smp.TverskyLoss("binary", smooth=1.0, gamma=0.75, **weights), smp.FocalLoss(
        "binary", gamma=2.0
    )  # fmt: skip
    both = {"sigmoid": True, "smooth_nr": 1.0, "smooth_dr": 1.0, "batch": True}
    dice_focal = monai.losses.DiceFocalLoss(**both, gamma=2.0)
    monai_tversky = monai.losses.TverskyLoss(**both, **weights)
    monai_focal = monai.losses.FocalLoss(gamma=2.0)

    def kornia_two(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        channels = torch.cat([torch.zeros_like(z), z], dim=1)  # its Tversky takes a softmax
        region = kornia.losses.tversky_loss(channels, t[:, 0].long(), alpha=0.3, beta=0.7)
        return region + kornia.losses.binary_focal_loss_with_logits(
            z, t, alpha=None, gamma=2.0, reduction="mean"
        )  # fmt: skip

    return {
        SMP: lambda z, t: tversky(z, t) + focal(z, t),
        MONAI: dice_focal,
        TWO: lambda z, t: monai_tversky(z, t) + monai_focal(z, t),
        "kornia Tversky + focal": kornia_two,
        "torch BCE": F.binary_cross_entropy_with_logits,
        "hybrid focal margin, plain": plain()(hybrid_focal_margin_loss),
    }


def step(loss: Loss, z: torch.Tensor, t: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Forward and backward."""
    return lambda: torch.autograd.grad(loss(z, t), z)[0]


def check(device: torch.device) -> list[str]:
    """Ours equal the plain form, and the peers of the same formula, in value and gradient."""
    z, t = inputs((4, 1, 96, 96), torch.float32, device)
    theirs = peers()
    plain = theirs["hybrid focal margin, plain"]
    # smp adds its smoothing to TP, as our Tversky; MONAI's Dice to 2TP, hence our ½.
    pairs = [
        ("hybrid focal margin, fused", plain),
        ("focal + Tversky, fused", theirs[SMP]),
        ("focal + Dice, fused", theirs[MONAI]),
    ]
    for name, other in pairs:
        for ours, expected in [
            (OURS[name](z, t), other(z, t)),
            (step(OURS[name], z, t)(), step(other, z, t)()),
        ]:
            largest = expected.detach().abs().max().item()
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5 * largest)
    return [
        "Value and gradient equal to 1e-5: hybrid focal margin, fused, and its plain form; focal + "
        f"Tversky, fused, and {SMP}; focal + Dice, fused, and {MONAI}; on {z.numel()} pixels."
    ]


def compiled() -> dict[str, Loss]:
    """The plain form under torch.compile, where there is a compiler."""
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        return {}
    loss = torch.compile(plain()(hybrid_focal_margin_loss))
    return {"hybrid focal margin, plain, torch.compile": loss}


def bound(z: torch.Tensor, t: torch.Tensor) -> Callable[[], object]:
    """Copies of as many bytes as must move: read z and t twice, write the gradient."""
    moved = 2 * (z.numel() * z.element_size() + t.numel() * t.element_size())
    moved += z.numel() * z.element_size()
    source = torch.empty(moved // 2, dtype=torch.uint8, device=z.device)  # each is read, written
    to = torch.empty_like(source)
    return lambda: to.copy_(source)


def measure(result: Result, case: str, z: torch.Tensor, t: torch.Tensor, **timing: object) -> None:
    """Time every way on one case."""
    others = peers() | (compiled() if z.numel() > 10**6 and t.is_floating_point() else {})
    if not t.is_floating_point():
        others = {}
    ways = {name: step(loss, z, t) for name, loss in (OURS | others).items()}
    ways["copies of the bytes"] = bound(z, t)
    result.seconds[case] = in_turn(ways, **timing)  # type: ignore[arg-type]
    result.work[case] = z.numel() / 1e6


def where_time_goes(z: torch.Tensor, t: torch.Tensor, repeats: int) -> str:
    """The parts of the fused hybrid focal margin loss on the CPU, timed on a chunk in cache."""
    size = min(CHUNK * torch.get_num_threads(), z.numel())
    x, odds, flat = torch.randn(size), torch.rand(size), t.flatten()[:size].float()
    room, chunks = torch.empty(size), math.ceil(z.numel() / size)
    parts = {
        "exp2, log1p": lambda: (torch.exp2(x, out=room), torch.log1p(odds, out=room)),
        "divisions": lambda: [torch.div(odds, x, out=room) for _ in range(3)],
        "sums": lambda: (flat.sum(), *[torch.dot(odds, x) for _ in range(3)], odds.sum()),
        "products": lambda: [torch.addcmul(odds, x, flat, out=room) for _ in range(12)],
    }
    whole = in_turn({"loss": step(hybrid_focal_margin_loss, z, t)}, repeats=repeats, warmup=2)
    total = statistics.median(whole["loss"])
    seconds = in_turn(parts, repeats=3 * repeats, least_seconds=0.002)
    shares = {name: chunks * statistics.median(values) for name, values in seconds.items()}
    told = ", ".join(f"{name} {100 * s / total:.0f} %" for name, s in shares.items())
    rest = 100 * (1 - sum(shares.values()) / total)
    return (
        f"Where the {1e3 * total:.1f} ms of hybrid focal margin, fused, go (its operations timed "
        f"alone, on one chunk in cache): {told}; the remaining {rest:.0f} % are reading logits and "
        "targets from memory, writing the gradient, and calling operations."
    )


def slow_logarithm() -> str | None:
    """A sentence if this machine's log1p is far slower than its log."""
    x = torch.rand(2**18)
    seconds = in_turn(
        {"log": lambda: torch.log(x), "log1p": lambda: torch.log1p(x)},
        repeats=9, least_seconds=0.005,
    )  # fmt: skip
    ratio = statistics.median(seconds["log1p"]) / statistics.median(seconds["log"])
    if ratio < 3:
        return None
    return f"torch's log1p took {ratio:.0f} times as long as its log here, all ways suffer by that."


def on_cpu(result: Result, repeats: int) -> None:
    device = torch.device("cpu")
    large = "CPU, 16×1×512×512, float32"
    z, t = inputs((16, 1, 512, 512), torch.float32, device)
    measure(result, large, z, t, repeats=repeats)
    measure(
        result, "CPU, 16×1×512×512, float32, uint8 targets", z, t.to(torch.uint8), repeats=repeats
    )  # fmt: skip
    result.notes.append(where_time_goes(z, t, repeats))
    z, t = inputs((16, 1, 512, 512), torch.bfloat16, device)
    measure(result, "CPU, 16×1×512×512, bfloat16", z, t, repeats=max(repeats // 2, 3))
    z, t = inputs((16, 1, 96, 96), torch.float32, device)
    measure(result, "CPU, 16×1×96×96, float32", z, t, repeats=2 * repeats, least_seconds=0.005)
    for ours, peer in [
        ("focal + Tversky, fused", SMP),
        ("focal + Dice, fused", MONAI),
        ("hybrid focal margin, fused", SMP),
        ("hybrid focal margin, fused", MONAI),
    ]:
        result.goals.append(Goal(large, ours, peer, at_least=10))
    result.goals.append(
        Goal(large, "hybrid focal margin, fused", "hybrid focal margin, plain")
    )  # fmt: skip
    copies = [statistics.median(v["copies of the bytes"]) for v in result.seconds.values()]
    result.notes.append(
        f"On the CPU arithmetic decides: copies of the bytes take {1e3 * copies[0]:.1f} ms at "
        f"{large}."
    )
    slow = slow_logarithm()
    if slow:
        result.notes.append(slow)


def on_gpu(result: Result, device: torch.device, repeats: int) -> None:
    for images in (64, 256):
        for dtype in (torch.float32, torch.bfloat16):
            case = f"GPU, {images}×1×512×512, {str(dtype).removeprefix('torch.')}"
            z, t = inputs((images, 1, 512, 512), dtype, device)
            measure(result, case, z, t, repeats=repeats, device=device, least_seconds=0.02)
            ours = "hybrid focal margin, fused"
            result.goals += [
                Goal(case, ours, "hybrid focal margin, plain", at_least=8),
                Goal(case, ours, "copies of the bytes", at_most=1.2),
            ]
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            step(hybrid_focal_margin_loss, z, t)()
            peak = (torch.cuda.max_memory_allocated() - before) / (z.numel() * z.element_size())
            result.notes.append(
                f"{case}: peak memory of forward and backward {peak:.3f} times that of the logits, "
                "the gradient itself included."
            )


def main() -> None:
    asked = arguments(QUESTION).parse_args()
    began = time.perf_counter()
    device = choose_device(asked.device)
    result = Result(QUESTION, unit="megapixels", checked=check(device))
    if device.type == "cuda":
        on_gpu(result, device, asked.repeats or 11)
    else:
        on_cpu(result, asked.repeats or 11)
    if not compiled():
        result.notes.append("No C++ compiler here: torch.compile is left out.")
    print(f"{time.perf_counter() - began:.0f} s")
    finish("loss", result, asked)


if __name__ == "__main__":
    main()
