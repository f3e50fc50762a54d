"""The kernels become machine code for a card that is not here, which the interpreter can't show."""

import inspect

import pytest
import torch

triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from fissura.losses._fused import (  # noqa: E402
    Form,
    cuda,
)

FORMS = {
    "bce": Form(),
    "hybrid focal margin": Form(gamma=2.0, margin=0.5, region=1.0, power=0.75, delta=0.7),
    "symmetric unified focal": Form(
        gamma=0.5, crack_fades=1.0, crack=0.6, background=0.4, focal=0.5,
        region=0.25, power=0.5, region_background=0.25, power_background=0.5, delta=0.6,
    ),
    "symmetric focal margin": Form(gamma=3.0, crack_fades=1.0, margin=1.5, margin_background=1.5),
}  # fmt: skip
POINTERS = {
    "z_at": "logits", "gradient_at": "logits", "t_at": "target", "valid_at": "*u8",
}  # fmt: skip


def signature(kernel, constants: dict, logits: str, target: str) -> dict[str, str]:
    """The type of each argument, as a launch would find it."""
    of_pointers = {"logits": logits, "target": target}
    types = {}
    for name in inspect.signature(kernel.fn).parameters:
        if name in constants:
            types[name] = "constexpr"
        elif name.endswith("_at"):
            kind = POINTERS.get(name, "*fp32")
            types[name] = of_pointers.get(kind, kind)
        else:
            types[name] = "i32" if name in ("pixels", "programs") else "fp32"
    return types


# Two seconds each; what a loss is used for most is seen every time.
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, id=name, marks=() if name == "hybrid focal margin" else pytest.mark.slow)
        for name, form in FORMS.items()
    ],
)
@pytest.mark.parametrize(
    ("logits", "target"),
    [("*fp32", "*u8"), pytest.param("*bf16", "*fp32", marks=pytest.mark.slow)],
)
def test_every_kernel_compiles(form, logits, target, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    mask = torch.ones(1, 1, 4) if target == "*u8" else None
    pixels = cuda.options(form, mask)
    combine = {
        "MEAN": True, "PROGRAMS": 1024, "SUMS": cuda.SUMS,
        "SMALLEST_BASE": 1e-12, "SMALLEST_DENOMINATOR": 1e-30,
    }  # fmt: skip
    kernels = {"sum_pixels": pixels, "combine": combine, "spread": pixels}
    for name, constants in kernels.items():
        kernel = getattr(cuda, name)
        types = signature(kernel, constants, logits, target)
        source = ASTSource(fn=kernel, signature=types, constexprs=constants)
        options = {"enable_fp_fusion": True}
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        assert compiled.asm["cubin"]
