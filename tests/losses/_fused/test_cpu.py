"""The fused form on the CPU equals the plain one, and steps aside where it does not apply."""

import inspect
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from fissura.losses import LOSSES, hybrid_focal_margin_loss, plain
from fissura.losses._fused import chunk as chunks
from fissura.losses._fused import cpu

NAMES = sorted(LOSSES)
# As docs/losses.md states them: of the value, relative; of the gradient, of its largest.
TOLERANCES = {
    torch.float64: (1e-12, 1e-12),
    torch.float32: (1e-5, 1e-5),
    torch.bfloat16: (1e-5, 1e-2),
    torch.float16: (1e-5, 1e-3),
}
VALUES = {
    "gamma_hat": [0.0, 0.3, 0.5, 1.0, 2.0, 3.5],
    "margin": [0.0, 0.5, 1.5, 30.0],
    "delta": [0.1, 0.5, 0.7, 1.0],
    "gamma": [0.25, 0.5, 0.75],
    "smooth": [0.0, 1e-3, 1.0],
    "focal_weight": [0.0, 0.3, 1.0],
    "symmetric": [False, True],
    "per_image": [False, True],
    "squared": [False, True],
}


def value_and_gradient(name, logits, target, weight=1.0, **options):
    logits = logits.detach().clone().requires_grad_()
    loss = LOSSES[name](logits, target, **options)
    (gradient,) = torch.autograd.grad(weight * loss.sum(), logits)
    return loss.detach(), gradient


def assert_same(name, logits, target, **options):
    loss, gradient = value_and_gradient(name, logits, target, **options)
    with plain():
        expected, plain_gradient = value_and_gradient(name, logits, target, **options)
    of_value, of_gradient = TOLERANCES[logits.dtype]
    torch.testing.assert_close(loss, expected, rtol=of_value, atol=1e-7)
    largest = plain_gradient.abs().max().item()
    assert gradient.dtype == logits.dtype
    # Where every pixel is certain and wrong, p(1−p) is as exact as p itself, and nothing else.
    atol = of_gradient * largest + (1e-15 if logits.dtype == torch.float64 else 2e-7)
    torch.testing.assert_close(gradient, plain_gradient, rtol=0, atol=atol)


@st.composite
def cases(draw):
    name = draw(st.sampled_from(NAMES))
    parameters = inspect.signature(LOSSES[name]).parameters
    options = {key: draw(st.sampled_from(VALUES[key])) for key in parameters if key in VALUES}
    if "per_image" not in parameters or options["per_image"]:
        options["reduction"] = draw(st.sampled_from(["mean", "sum"]))
    shape = (
        draw(st.integers(1, 3)), 1, *draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    )  # fmt: skip
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    scale = draw(st.sampled_from([0.1, 3.0, 15.0, 100.0, 1e4]))
    dtype = draw(st.sampled_from(list(TOLERANCES)))
    logits = (scale * torch.randn(shape, generator=generator)).to(dtype)
    target = torch.rand(shape, generator=generator)
    kind = draw(st.sampled_from([torch.float32, torch.uint8, torch.bool, torch.bfloat16, "soft"]))
    if kind != "soft":
        target = (target < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))).to(kind)
    valid = draw(st.sampled_from([None, 0.0, 0.6, 1.0]))
    if valid is not None:
        options["mask"] = torch.rand(shape, generator=generator) < valid
    return name, logits, target, options


@given(case=cases(), chunk=st.sampled_from([5, 64, 131072]))
@example(  # without background, whose slope is 1/0 then
    case=(
        "unified_focal", torch.tensor([[[0.1541]]], dtype=torch.float64), torch.ones(1, 1, 1),
        {"delta": 1.0, "gamma": 0.25, "smooth": 0.0, "focal_weight": 0.0},
    ),
    chunk=5,
)  # fmt: skip
@example(  # nor with background's errors, but for rounding
    case=(
        "unified_focal", torch.tensor([[[1.9841, 0.8008, 0.1850, 1.8640]]], dtype=torch.float64),
        torch.ones(1, 1, 4), {"delta": 1.0, "gamma": 0.25, "smooth": 0.0, "focal_weight": 0.0},
    ),
    chunk=5,
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_fused_equals_plain(case, chunk):
    name, logits, target, options = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "CHUNK", chunk)
        patch.setattr(cpu, "SMALLEST_CHUNK", chunk)
        for module in (cpu, chunks):
            patch.setattr(module, "ROW", 2)
        patch.setattr(chunks, "SMALL", 2)
        assert_same(name, logits, target, **options)


def random_case(shape=(2, 1, 5, 6), seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator)
    return logits, (torch.rand(shape, generator=generator) < 0.3).float()


@pytest.fixture
def taken(monkeypatch):
    """How often the fused form was taken."""
    calls = []
    forward = cpu.forward
    monkeypatch.setattr(cpu, "forward", lambda *given: calls.append(given) or forward(*given))
    return calls


@pytest.mark.parametrize("name", NAMES)
def test_it_is_taken_by_default_and_not_when_off(name, taken):
    logits, target = random_case()
    with plain():
        LOSSES[name](logits, target)
    assert not taken
    LOSSES[name](logits, target)
    assert len(taken) == 1


def test_hard_and_soft_chunks_mix(monkeypatch):
    logits, target = random_case((4, 1, 8, 8))
    target[1, 0, 3, 3] = 0.5
    logits[2, 0, 0, 0], target[2, 0, 0, 0] = 200.0, 0.0
    monkeypatch.setattr(cpu, "CHUNK", 16)
    monkeypatch.setattr(cpu, "SMALLEST_CHUNK", 16)
    monkeypatch.setattr(cpu, "ROW", 2)
    monkeypatch.setattr(chunks, "ROW", 2)
    monkeypatch.setattr(chunks, "SMALL", 2)
    for name in NAMES:
        assert_same(name, logits, target)


def test_layouts_without_contiguous_memory():
    logits, target = random_case((6, 1, 8, 10))
    for view in [lambda x: x[::2], lambda x: x.transpose(2, 3), lambda x: x[..., ::3],
                 lambda x: x.contiguous(memory_format=torch.channels_last)]:  # fmt: skip
        assert_same("hybrid_focal_margin", view(logits), view(target))
    assert_same("hybrid_focal_margin", logits, target[:1].expand_as(logits))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_incoming_gradient_scales(dtype):
    logits, target = random_case((4, 1, 32, 32))
    logits = logits.to(dtype)
    for weight in [0.0, -1.0, 3.0, 2.0**16]:  # the last that of a gradient scaler
        _, gradient = value_and_gradient("bce_dice", logits, target, weight)
        with plain():
            _, expected = value_and_gradient("bce_dice", logits, target, weight)
        tolerance = TOLERANCES[dtype][1] * expected.abs().max().item()
        torch.testing.assert_close(gradient, expected, rtol=0, atol=tolerance)


def test_second_backward_through_a_kept_graph():
    logits, target = random_case()
    logits.requires_grad_()
    loss = hybrid_focal_margin_loss(logits, target)
    loss.backward(retain_graph=True)
    once = logits.grad.clone()
    (2 * loss).backward()
    torch.testing.assert_close(logits.grad, 3 * once)


def test_double_backward_is_that_of_the_plain_form():
    logits, target = random_case()
    for name in NAMES:
        second = []
        for loss_of in [LOSSES[name], plain()(LOSSES[name])]:
            z = logits.clone().requires_grad_()
            loss = loss_of(z, target)
            (gradient,) = torch.autograd.grad(loss, z, create_graph=True)
            second.append(torch.autograd.grad((gradient**2).sum(), z)[0])
        torch.testing.assert_close(*second, rtol=1e-4, atol=1e-8)


@pytest.mark.filterwarnings("ignore:.*jit.script:FutureWarning")  # of torch's make_dual
def test_it_steps_aside(taken):
    logits, target = random_case()

    class Own(torch.Tensor):
        pass

    loss = hybrid_focal_margin_loss
    soft = target.clone().requires_grad_()
    loss(logits, soft).backward()
    assert soft.grad is not None
    loss(logits.as_subclass(Own), target)
    loss(logits.to("meta"), target.to("meta"))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(logits, torch.ones_like(logits))
        assert forward_ad.unpack_dual(loss(dual, target)).tangent is not None
    torch.func.grad(loss)(logits, target)
    torch.func.vmap(loss)(logits[None], target[None])
    LOSSES["bce"](logits, target, reduction="none")
    LOSSES["dice"](logits, target, squared=True)
    LOSSES["unified_focal"](logits, target, delta=0.0)
    assert not taken


def test_no_gradient_asked_for_is_none_made(taken):
    logits, target = random_case()
    with torch.no_grad():
        without = hybrid_focal_margin_loss(logits.requires_grad_(), target)
    assert not taken[-1][-1]
    assert torch.equal(without, hybrid_focal_margin_loss(logits, target))
    assert taken[-1][-1]


def test_autocast_changes_nothing():
    logits, target = random_case((2, 1, 16, 16))
    half = logits.bfloat16()
    expected = value_and_gradient("hybrid_focal_margin", half, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = value_and_gradient("hybrid_focal_margin", half, target)
    assert all(map(torch.equal, inside, expected))


MEMORY = """
import resource, torch
from fissura.losses import hybrid_focal_margin_loss as loss
torch.set_num_threads(1)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
z = torch.ones(64, 1, 512, 512).requires_grad_()  # made without memory beside its own
t = torch.zeros(z.shape, dtype=torch.uint8)
first = z.detach()[:1].requires_grad_()
loss(first, t[:1]).backward()
before = peak()
torch.autograd.grad(loss(z, t), z)
print((peak() - before) / (4 * z.numel()))
"""


def test_memory_is_that_of_the_gradient():
    """Logits of 64 MB, whose gradient there must be: beside it a thread's buffers alone."""
    result = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    assert float(result.stdout) < 1.5


THREADS = """
import threading, torch
from functools import partial
from fissura.losses import hybrid_focal_margin_loss, unified_focal_loss
from fissura.losses._fused import threads as ways
ways.SMALLEST = 0
generator = torch.Generator().manual_seed(0)
z = 3 * torch.randn((5, 1, 200, 200), generator=generator)
t = (torch.rand(z.shape, generator=generator) < 0.1).float()
t[3, 0, :9] = 0.5
mask = torch.rand(z.shape, generator=generator) < 0.9

def run():
    results = []
    for loss in [hybrid_focal_margin_loss, partial(unified_focal_loss, per_image=True)]:
        x = z.clone().requires_grad_()
        value = loss(x, t, mask=mask)
        results += [value.detach(), *torch.autograd.grad(value, x)]
    return results

torch.set_num_threads(1)
expected = run()
for threads in [2, 3, 5, 7]:
    torch.set_num_threads(threads)
    ways.paces.clear()
    for _ in range(8):
        assert all(map(torch.equal, run(), expected))
    assert all(all(pace.times.values()) for pace in ways.paces.values())  # both ways were taken
    assert torch.get_num_threads() == threads
found = []
other = threading.Thread(target=lambda: found.append((torch.get_num_threads(), run())))
other.start()
assert all(map(torch.equal, run(), expected))  # two callers at once
other.join()
assert found[0][0] == threads  # a thread that begins later has as many threads as before
assert all(map(torch.equal, found[0][1], expected))
with torch.inference_mode():
    hybrid_focal_margin_loss(z, t)
try:
    hybrid_focal_margin_loss(z, 3 * t)
except ValueError as error:
    assert "target must lie in [0, 1]" in str(error)
else:
    raise AssertionError
"""


FORK = """
import os, torch
from fissura.losses import hybrid_focal_margin_loss
torch.set_num_threads(2)
logits = [torch.linspace(-3, 3, 2 * 200 * 200).reshape(2, 1, 200, 200) for _ in range(3)]
target = torch.zeros(2, 1, 200, 200)
target[:, :, 50] = 1

def run(z):
    value = hybrid_focal_margin_loss(z.requires_grad_(), target)
    return value.item(), torch.autograd.grad(value, z)[0].numpy().tobytes()

expected = run(logits[0])
child = os.fork()
if child == 0:
    torch.set_num_threads(1)
    os._exit(0 if run(logits[1]) == expected else 1)
assert os.waitpid(child, 0) == (child, 0)
assert run(logits[0]) == expected
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing to fork")
def test_a_forked_child_computes_the_same_and_does_not_hang():
    """Its parent's threads are not there any more. (With two, all of torch would wait for them.)"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_one_thread_needs_no_pool(monkeypatch):
    from fissura.losses._fused import threads

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(threads, "single_threads", pytest.fail)
    done = []
    with threads.sharing(2**30) as share_out:
        share_out(done.append, range(5))
    assert done == [0, 1, 2, 3, 4]


def test_the_faster_way_is_taken_and_the_other_one_tried_the_less_often_the_slower_it_is():
    from fissura.losses._fused.threads import LOOKS, PATIENCE, Pace

    def turns(pace, seconds, count):
        taken = []
        for _ in range(count):
            taken.append(pace.choose())
            pace.took(taken[-1], seconds[taken[-1]])
        return taken

    pace, trial, least = Pace(), [True] * (LOOKS + 1), [False] * (PATIENCE - 1)
    assert turns(pace, {False: 9, True: 9}, 1) == [False]  # the first turn of a way says nothing
    assert turns(pace, {False: 1, True: 2}, LOOKS) == [False] * LOOKS
    assert turns(pace, {False: 1, True: 2}, LOOKS + 1) == trial
    assert turns(pace, {False: 1, True: 2}, PATIENCE + LOOKS) == least + trial
    # It cost four turns, which are two hundredths of 200.
    for _ in range(2):  # the trial before counts
        assert turns(pace, {False: 1, True: 1.05}, 200 + LOOKS) == [False] * 199 + trial
    assert turns(pace, {False: 1, True: 1.05}, PATIENCE + LOOKS) == least + trial
    # One turn is late, and then another program has begun: torch's own way is slow.
    assert turns(pace, {False: 9}, 1) == [False]
    assert turns(pace, {False: 1}, 4) == [False] * 4
    assert turns(pace, {False: 9, True: 3}, 9) == [False] * LOOKS + [True] * (9 - LOOKS)


def test_any_number_of_threads_gives_the_same_bits():
    """In a process of its own, as others here have one thread."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", THREADS],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("values", "said"),
    [([1.2071068, 0.5], "0.5 to 1.2"), ([1.5, 0.5, 0.5, 0.5], "0.5 to 1.5"), ([-1, 2], "-1 to 2")],
)
def test_targets_outside_the_range_whose_errors_cancel_are_refused(values, said):
    """Σt² = Σt holds for them, or nearly."""
    target = torch.tensor(values).reshape(1, 1, -1)
    with pytest.raises(ValueError, match=rf"\[0, 1\], but reaches from {said}"):
        hybrid_focal_margin_loss(torch.zeros_like(target, dtype=torch.float32), target)


def test_deterministic():
    logits, target = random_case((3, 1, 70, 70))
    first = value_and_gradient("hybrid_focal_margin", logits, target)
    for _ in range(5):
        again = value_and_gradient("hybrid_focal_margin", logits, target)
        assert all(map(torch.equal, first, again))
