"""The Triton kernels equal the CPU's fused form: in Triton's interpreter, and on a GPU if there is.

The interpreter must be chosen before Triton is first imported, hence the process of its own.
"""

import os
import subprocess
import sys
import warnings
from importlib.util import find_spec

import pytest
import torch

from fissura.losses import LOSSES, hybrid_focal_margin_loss, plain
from fissura.losses._fused import Form, cpu
from fissura.losses._fused.autograd import kernels_work

HAS_TRITON = find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
on_kernels = pytest.mark.skipif(
    not (INTERPRETED or torch.cuda.is_available()), reason="neither a GPU nor the interpreter"
)
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
pytestmark = pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")

FORMS = [
    Form(),
    Form(mean=0.0),
    Form(gamma=2.0, crack_fades=1.0),
    Form(gamma=0.7, margin=0.5),
    Form(focal=0.0, region=1.0),
    Form(focal=0.0, region=1.0, power=1.5, smooth=0.0),
    Form(gamma=2.0, margin=0.5, region=1.0, power=0.75, delta=0.7),
    Form(gamma=1.0, margin=0.5, margin_background=0.5, crack_fades=1.0, focal=0.3, region=0.7),
    Form(
        focal=0.5, crack=0.6, background=0.4, gamma=0.5, region=0.25, power=0.5,
        region_background=0.25, delta=0.6,
    ),
]  # fmt: skip


def case(shape, dtype, kind, valid, scale=4.0):
    generator = torch.Generator().manual_seed(0)
    logits = (scale * torch.randn(shape, generator=generator)).to(dtype)
    target = torch.rand(shape, generator=generator)
    if kind != "soft":
        target = (target < 0.1).to(kind)
    mask = None if valid is None else torch.rand(shape, generator=generator) < valid
    return logits, target, mask


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TRITON or INTERPRETED, reason="no Triton, or within the interpreter")
def test_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-n0", __file__]
    environment = os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "passed" in result.stdout


CASES = [
    ((3, 1, 33, 41), torch.float32, "soft", 0.6, 4.0),
    ((2, 1, 50, 60), torch.bfloat16, torch.uint8, None, 4.0),
]
CORNERS = [
    ((2, 1, 7), torch.float16, torch.bool, 0.6, 4.0),
    ((2, 1, 40), torch.float32, torch.bool, None, 1e4),
    ((2, 1, 40), torch.float32, torch.float32, 0.0, 4.0),
]


@on_kernels
@pytest.mark.parametrize(
    ("form", "shape", "dtype", "kind", "valid", "scale"),
    [(form, *case) for case in CASES for form in FORMS] + [(FORMS[-1], *case) for case in CORNERS],
    ids=str,
)
def test_kernels_equal_the_cpu(form, shape, dtype, kind, valid, scale):
    from fissura.losses._fused import cuda

    logits, target, mask = case(shape, dtype, kind, valid, scale)
    there = [None if x is None else x.to(DEVICE) for x in (logits, target, mask)]
    for images in {1, shape[0]}:
        grad = torch.arange(1.0, images + 1)
        expected = cpu.forward(logits.float(), target, mask, form, images, None, True)
        values, counts, saved = cuda.forward(*there, form, images)
        gradient = cuda.backward(grad.to(DEVICE), saved, *there, form)
        torch.testing.assert_close(values.cpu(), expected[0], rtol=1e-5, atol=1e-7)
        assert torch.equal(counts.cpu(), expected[1])
        wanted = expected[2] * grad.reshape(-1, *[1] * (logits.ndim - 1))
        tolerance = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-3}[dtype]
        atol = tolerance * wanted.abs().max().item() + 1e-30
        torch.testing.assert_close(gradient.cpu().float(), wanted, rtol=0, atol=atol)


@on_kernels
def test_confident_pixels_keep_their_small_loss():
    from fissura.losses._fused import cuda

    logits, target = torch.full((1, 1, 100), -14.0), torch.zeros(1, 1, 100)
    values, _, _ = cuda.forward(
        logits.to(DEVICE), target.to(DEVICE), None, Form(), 1
    )  # fmt: skip
    assert values.item() == pytest.approx(8.315287e-07, rel=3e-6)


@on_gpu
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_on_the_gpu_equal_the_plain_ones(name):
    logits, target, mask = (x.cuda() for x in case((3, 1, 65, 70), torch.float32, "soft", 0.7))
    results = []
    for loss_of in [LOSSES[name], plain()(LOSSES[name])]:
        z = logits.clone().requires_grad_()
        loss = loss_of(z, target, mask=mask)
        results.append((loss.detach(), *torch.autograd.grad(loss, z)))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-7)
    atol = 1e-5 * results[1][1].abs().max().item()
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=atol)


@on_gpu
def test_graph_capture_without_a_synchronization():
    logits, target, _ = case((8, 1, 128, 128), torch.float32, torch.uint8, None)
    z, t = logits.cuda().requires_grad_(), target.cuda()

    def step():
        return torch.autograd.grad(hybrid_focal_margin_loss(z, t), z)[0]

    expected = step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    graph.replay()
    assert torch.equal(captured, expected)  # the sums are in a fixed order


@on_gpu
def test_memory_on_the_gpu_is_that_of_the_gradient():
    z = torch.randn(64, 1, 512, 512, device="cuda").requires_grad_()
    t = (torch.rand_like(z) < 0.05).to(torch.uint8)
    torch.autograd.grad(hybrid_focal_margin_loss(z, t), z)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    torch.autograd.grad(hybrid_focal_margin_loss(z, t), z)
    assert torch.cuda.max_memory_allocated() - before < 1.01 * 4 * z.numel()


@pytest.mark.skipif(
    not HAS_TRITON or INTERPRETED or torch.cuda.is_available(), reason="where Triton does not work"
)
def test_where_triton_does_not_work_the_plain_form_is_taken_and_said_once():
    kernels_work.cache_clear()
    with pytest.warns(UserWarning, match="Triton does not work on cpu"):
        assert not kernels_work(torch.device("cpu"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not kernels_work(torch.device("cpu"))
