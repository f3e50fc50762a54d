"""`fissura.losses` as its users have it: imported alone, and compiled, in processes of their own.

(In the tests' own process every annotation is checked at run time, which no compiler can trace.)
"""

import subprocess
import sys

import pytest

IMPORT = """
import sys, time
import torch
import torch.nn.functional
before = set(sys.modules)
start = time.perf_counter()
import fissura.losses
seconds = time.perf_counter() - start
new = set(sys.modules) - before
strangers = {m for m in new if m.partition(".")[0] not in sys.stdlib_module_names | {"torch"}}
assert strangers == {"fissura"} | {m for m in new if m.startswith("fissura.losses")}, strangers
assert "jaxtyping" not in sys.modules
print(seconds)
"""

COMPILE = """
import inspect, sys
import torch
from fissura.losses import LOSSES, HybridFocalMarginLoss

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
module = HybridFocalMarginLoss(margin=1.0)
torch.testing.assert_close(run(torch.compile(module, fullgraph=True, backend=backend)), run(module))
"""


def python(code, *arguments):
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_brings_torch_alone_and_costs_little():
    seconds = min(float(python(IMPORT)) for _ in range(2))
    assert seconds < 0.1


def test_compiles_as_one_graph():
    from fissura.losses import LOSSES

    python(COMPILE, "eager", "quick", *LOSSES)


@pytest.mark.slow
def test_gradients_compile_too():
    from fissura.losses import LOSSES

    python(COMPILE, "aot_eager", "thorough", *LOSSES)


@pytest.mark.slow
def test_compiles_with_inductor():
    python(
        COMPILE, "inductor", "quick", "bce", "focal_tversky", "unified_focal", "hybrid_focal_margin"
    )
