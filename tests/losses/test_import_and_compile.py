"""`fissura.losses` as its users have it: imported alone, and compiled, in processes of their own.

(In the tests' own process every annotation is checked at run time, which no compiler can trace.)
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fissura.losses
from fissura.losses import LOSSES

SOURCES = Path(fissura.losses.__file__).parents[2]

COPIED = """
import sys
import torch
import torch.nn.functional
before = set(sys.modules)
import our_own_losses as copied
z, t = torch.tensor([[[2.0, -1.0, 0.0]]]).requires_grad_(), torch.tensor([[[1, 0, 0]]])
copied.hybrid_focal_margin_loss(z, t, margin=1.5).backward()
assert repr(z.grad) == "tensor([[[-0.1692,  0.0456,  0.1351]]])"
new = set(sys.modules) - before
strangers = {m for m in new if m.partition(".")[0] not in sys.stdlib_module_names | {"torch"}}
assert strangers == {m for m in new if m.split(".")[0] == "our_own_losses"}, strangers
assert not {"triton", "jaxtyping"} & new
assert "torch._dynamo" not in sys.modules
import fissura.losses  # both in one process
assert fissura.losses.bce_loss is not copied.bce_loss
assert torch.equal(fissura.losses.bce_dice_loss(z, t), copied.bce_dice_loss(z, t))
with copied.plain():
    assert torch.allclose(fissura.losses.bce_dice_loss(z, t), copied.bce_dice_loss(z, t))
"""

COMPILE = """
import inspect, sys
import torch
from fissura.losses import LOSSES, HybridFocalMarginLoss, plain

torch.manual_seed(0)
backend = sys.argv[1]
logits = 3 * torch.randn(2, 1, 5, 6)
target = (torch.rand(2, 1, 5, 6) < 0.3).to(torch.uint8)
mask = torch.rand(2, 1, 5, 6) < 0.7

def run(loss, **options):
    z = logits.clone().requires_grad_()
    value = loss(z, target, **options)
    return value.detach(), *torch.autograd.grad(value.sum(), z)

def compare(name, **options):
    torch.compiler.reset()
    compiled = torch.compile(LOSSES[name], fullgraph=True, backend=backend)
    torch.testing.assert_close(run(compiled, **options), run(LOSSES[name], **options))
    return compiled

for name in sys.argv[3:]:
    parameters = inspect.signature(LOSSES[name]).parameters
    per_image = {"per_image": True} if "per_image" in parameters else {}
    compare(name, mask=mask, reduction="none", **per_image)
    if sys.argv[2] == "thorough":
        compare(name)
        compare(name, mask=mask)
        if "symmetric" in parameters:
            compare(name, symmetric=True, focal_weight=0.3)

compiled = compare("hybrid_focal_margin")
for margin in [0.25, 0.0, 1.5]:  # a schedule of the margin: new values in a compiled graph
    a, b = run(compiled, margin=margin), run(LOSSES["hybrid_focal_margin"], margin=margin)
    torch.testing.assert_close(a, b)
logits, target = torch.randn(3, 1, 7, 4), torch.rand(3, 1, 7, 4)  # another shape and dtype
torch.testing.assert_close(run(compiled), run(LOSSES["hybrid_focal_margin"]))
torch.compiler.reset()
# A derivative of the gradient, which aot_autograd itself does not support.
if backend == "eager":
    second = []
    for loss in [compare("unified_focal"), LOSSES["unified_focal"]]:
        z = logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(z, target), z, create_graph=True)
        second.append(torch.autograd.grad((gradient**2).sum(), z)[0])
    torch.testing.assert_close(*second, rtol=1e-4, atol=1e-8)
with plain():  # around a compiled loss and within one
    torch.testing.assert_close(run(compiled), run(LOSSES["hybrid_focal_margin"]))
for strange in [2 * target, target - 1]:
    assert compiled(logits, strange).isnan()
assert compiled(logits, target, mask=0.5 * torch.ones_like(target)).isnan()
torch.compiler.reset()
module = HybridFocalMarginLoss(margin=1.0)
torch.testing.assert_close(run(torch.compile(module, fullgraph=True, backend=backend)), run(module))
"""


def python(code, *arguments, path=()):
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [SOURCES, *path]))}
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_folder_can_be_copied_under_another_name_and_needs_torch_alone(tmp_path):
    shutil.copytree(SOURCES / "fissura/losses", tmp_path / "our_own_losses")
    python(COPIED, path=[tmp_path])


@pytest.mark.slow
def test_compiles_as_one_graph():
    python(COMPILE, "eager", "quick")


@pytest.mark.slow
def test_gradients_compile_too():
    python(COMPILE, "aot_eager", "thorough", *LOSSES)


@pytest.mark.slow
def test_compiles_with_inductor():
    python(
        COMPILE, "inductor", "quick", "bce", "focal_tversky", "unified_focal", "hybrid_focal_margin"
    )
