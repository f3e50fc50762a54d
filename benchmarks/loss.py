"""How long does a loss take, forward and backward, beside its peers, alone and on a busy machine?

The busy machine has two loops that take a core each, or a second process that multiplies matrices
on two threads. --quick measures less often, and records nothing.
"""

from __future__ import annotations

import math
import shutil
import statistics
import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from side_by_side import Goal, Result, arguments, finish, in_turn, milliseconds
from situations import SITUATIONS, prepared

from fissura.device import choose_device
from fissura.losses import (
    bce_dice_loss,
    focal_loss,
    hybrid_focal_loss,
    hybrid_focal_margin_loss,
    plain,
    unified_focal_loss,
)
from fissura.losses._fused import cpu

with warnings.catch_warnings():  # of their own imports
    warnings.simplefilter("ignore")
    import kornia.losses
    import monai.losses
    import segmentation_models_pytorch.losses as smp

QUESTION = __doc__.partition("\n")[0]
CRACK = 0.05
SMP, MONAI, TWO = "smp Tversky + Focal", "MONAI DiceFocal", "MONAI Tversky + Focal"
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
HYBRID, PLAIN = "hybrid focal margin, fused", "hybrid focal margin, plain"
# Ours and what each is held against: the same formula twice, then the paper's own loss.
RIVALS = [
    ("focal + Tversky, fused", SMP),
    ("focal + Dice, fused", MONAI),
    (HYBRID, SMP),
    (HYBRID, MONAI),
    (HYBRID, PLAIN),
]
MOST = 20.0  # seconds of repetitions of a case, beyond the first three
ENOUGH = 0.4  # seconds that the plain form may take on a case; with more, it gets fewer images
OURS: dict[str, Loss] = {
    HYBRID: hybrid_focal_margin_loss,
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
        PLAIN: plain()(hybrid_focal_margin_loss),
    }


def step(loss: Loss, z: torch.Tensor, t: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Forward and backward."""
    return lambda: torch.autograd.grad(loss(z, t), z)[0]


def check(device: torch.device) -> list[str]:
    """Ours equal the plain form, and the peers of the same formula, in value and gradient."""
    z, t = inputs((4, 1, 96, 96), torch.float32, device)
    theirs = peers()
    plain = theirs[PLAIN]
    # smp adds its smoothing to TP, as our Tversky; MONAI's Dice to 2TP, hence our ½.
    pairs = [
        (HYBRID, plain),
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


def measure(
    result: Result, case: str, z: torch.Tensor, t: torch.Tensor, ways: dict[str, Loss],
    **timing: object,
) -> None:  # fmt: skip
    """Time these ways on one case, and print it."""
    steps = {name: step(loss, z, t) for name, loss in ways.items()}
    steps["copies of the bytes"] = bound(z, t)
    result.seconds[case] = in_turn(steps, most_seconds=MOST, **timing)  # type: ignore[arg-type]
    result.work[case] = z.numel() / 1e6
    print(case, flush=True)
    for name, seconds in result.seconds[case].items():
        print(f"    {name:42} {milliseconds(seconds)}", flush=True)


def images_that_fit() -> int:
    """As many images of 512×512 as the plain form takes in time on this machine: 16 at most."""
    z, t = inputs((2, 1, 512, 512), torch.float32, torch.device("cpu"))
    trial = in_turn({"plain": step(peers()[PLAIN], z, t)}, repeats=3)["plain"]
    each = statistics.median(trial) / 2
    return next((images for images in (16, 8, 4) if images * each <= ENOUGH), 2)


def where_time_goes(z: torch.Tensor, t: torch.Tensor, repeats: int) -> str:
    """What the operations of the fused hybrid focal margin loss take on the CPU.

    They are timed alone, on as many chunks as there are threads, of hard targets in float32.
    """
    threads = torch.get_num_threads()
    size = min(cpu.slices(z.numel())[0].stop * threads, z.numel())
    x, odds, flat = torch.randn(size), torch.rand(size), t.flatten()[:size].float()
    room, rounds = torch.empty(size), math.ceil(z.numel() / size)
    operations = {
        "exp and log": lambda: (torch.exp(x, out=room), torch.log(odds, out=room)),
        "5 divisions": lambda: [torch.div(odds, x, out=room) for _ in range(5)],
        "6 reductions": lambda: [torch.sum(odds) for _ in range(6)],
        "18 products and sums": lambda: [torch.addcmul(odds, x, flat, out=room) for _ in range(18)],
    }
    whole = in_turn({"loss": step(hybrid_focal_margin_loss, z, t)}, repeats=repeats, warmup=2)
    total = statistics.median(whole["loss"])
    seconds = in_turn(operations, repeats=3 * repeats, least_seconds=0.002)
    fractions = {k: rounds * statistics.median(values) / total for k, values in seconds.items()}
    told = ", ".join(f"{name} {100 * fraction:.0f} %" for name, fraction in fractions.items())
    rest = 100 * (1 - sum(fractions.values()))
    return (
        f"Where the {1e3 * total:.1f} ms of hybrid focal margin, fused, go (its operations timed "
        f"alone, on one chunk of each thread in cache): {told}; the other {rest:.0f} % are reading "
        "logits and targets from memory, writing the gradient, and calling operations."
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
    return (
        f"torch's log1p took {ratio:.0f} times as long as its log here: the plain form and the "
        "peers suffer by that, the fused form avoids it."
    )


def on_cpu(result: Result, repeats: int, *, quick: bool) -> None:
    images, few = images_that_fit(), max(repeats // 2, 3)
    large, small = f"CPU, {images}×1×512×512, float32", "CPU, 16×1×96×96, float32"
    compared = {way for pair in RIVALS for way in pair}
    of_large = inputs((images, 1, 512, 512), torch.float32, torch.device("cpu"))
    of_small = inputs((16, 1, 96, 96), torch.float32, torch.device("cpu"))
    with prepared() as resumed:
        for situation in SITUATIONS:
            alone = situation == "alone"
            ways = OURS | peers()
            if not alone or quick:
                ways = {name: loss for name, loss in ways.items() if name in compared}
            else:
                ways |= compiled()
            suffix = "" if alone else f", {situation}"
            with resumed(situation):
                measure(result, large + suffix, *of_large, ways, repeats=repeats)
                ways = {name: loss for name, loss in ways.items() if "compile" not in name}
                measure(
                    result, small + suffix, *of_small, ways,
                    repeats=2 * repeats, least_seconds=0.005,
                )  # fmt: skip
            for ours, peer in RIVALS:
                wanted = 10 if alone and peer != PLAIN else None
                result.goals.append(Goal(large + suffix, ours, peer, at_least=wanted))
            result.goals.append(Goal(small + suffix, HYBRID, SMP))
            result.goals.append(Goal(small + suffix, HYBRID, MONAI))
    result.notes.append(where_time_goes(*of_large, few))
    if not quick:
        z, t = of_large
        measure(result, f"{large}, uint8 targets", z, t.to(torch.uint8), OURS, repeats=few)
        half = inputs(tuple(z.shape), torch.bfloat16, torch.device("cpu"))
        case = large.replace("float32", "bfloat16")
        measure(result, case, *half, OURS | peers(), repeats=few)
    copies = statistics.median(result.seconds[large]["copies of the bytes"])
    result.notes.append(
        f"On the CPU arithmetic decides: copies of the bytes take {1e3 * copies:.1f} ms at {large}."
    )
    slow = slow_logarithm()
    if slow:
        result.notes.append(slow)


def on_gpu(result: Result, device: torch.device, repeats: int) -> None:
    for images in (64, 256):
        for dtype in (torch.float32, torch.bfloat16):
            case = f"GPU, {images}×1×512×512, {str(dtype).removeprefix('torch.')}"
            z, t = inputs((images, 1, 512, 512), dtype, device)
            ways = OURS | peers() | compiled()
            timing = {"repeats": repeats, "device": device, "least_seconds": 0.02}
            measure(result, case, z, t, ways, **timing)
            ours = HYBRID
            result.goals += [
                Goal(case, ours, PLAIN, at_least=8),
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
    parser = arguments(QUESTION)
    parser.add_argument("--quick", action="store_true", help="a glance; records nothing")
    asked = parser.parse_args()
    asked.no_record |= asked.quick
    began = time.perf_counter()
    device = choose_device(asked.device)
    result = Result(QUESTION, unit="megapixels", checked=check(device))
    repeats = asked.repeats or (3 if asked.quick else 11)
    if device.type == "cuda":
        on_gpu(result, device, repeats)
    else:
        on_cpu(result, repeats, quick=asked.quick)
    if not compiled():
        result.notes.append("No C++ compiler here: torch.compile is left out.")
    print(f"{time.perf_counter() - began:.0f} s")
    finish("loss", result, asked)


if __name__ == "__main__":
    main()
