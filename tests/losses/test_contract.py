"""What every loss promises, whatever its formula: one calling form, masks, stability, errors."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import grad, vmap

import fissura.losses
from fissura.losses import LOSSES

pytestmark = pytest.mark.usefixtures("both_ways")

NAMES = sorted(LOSSES)
SYMMETRIC = ["hybrid_focal", "unified_focal", "hybrid_focal_margin"]
ALL = [(name, {}) for name in NAMES] + [(name, {"symmetric": True}) for name in SYMMETRIC]
ALL += [("dice", {"squared": True}), ("focal", {"gamma_hat": 0.5}), ("tversky", {"smooth": 0.0})]
PIXEL_NAMES = [
    name for name in NAMES if "per_image" not in inspect.signature(LOSSES[name]).parameters
]
REGION_NAMES = [name for name in NAMES if name not in PIXEL_NAMES]


def raw(name):
    """The function as users have it: without the tests' checks of its annotations."""
    return inspect.unwrap(LOSSES[name])


def random_case(shape=(2, 1, 5, 6), seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(shape, generator=generator)).to(dtype)
    target = torch.rand(shape, generator=generator) < 0.3
    mask = torch.rand(shape, generator=generator) < 0.7
    return logits, target, mask


def value_and_gradient(name, logits, target, **options):
    logits = logits.detach().clone().requires_grad_()
    loss = LOSSES[name](logits, target, **options)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    return loss.detach(), gradient


# ---------------------------------------------------------------- modules


@pytest.mark.parametrize("name", NAMES)
def test_module_equals_function(name):
    function = raw(name)
    joined = function.__name__.replace("_", "")
    (module_name,) = [key for key in fissura.losses.__all__ if key.lower() == joined]
    module_class = getattr(fissura.losses, module_name)
    assert module_class.__module__ == function.__module__
    assert len(inspect.getsource(module_class).splitlines()) <= 20

    of_call = {"logits", "target", "mask"}
    of_function = inspect.signature(function).parameters
    of_module = inspect.signature(inspect.unwrap(module_class.__init__)).parameters
    expected = {k: (p.kind, p.default) for k, p in of_function.items() if k not in of_call}
    assert {k: (p.kind, p.default) for k, p in of_module.items() if k != "self"} == expected

    logits, target, mask = random_case()
    assert torch.equal(module_class()(logits, target), LOSSES[name](logits, target))
    options = {key: default for key, (_, default) in expected.items()}
    for key, value in options.items():  # every option away from its default arrives
        changed = {"reduction": "sum", "per_image": True, "focal_weight": 0.3}.get(key)
        if changed is None:
            changed = (not value) if isinstance(value, bool) else 0.9 * value
        given_options = {key: changed}
        if key == "reduction" and "per_image" in options:
            given_options["per_image"] = True
        result = module_class(**given_options)(logits, target, mask=mask)
        assert torch.equal(result, LOSSES[name](logits, target, mask=mask, **given_options))
        assert not torch.equal(result, LOSSES[name](logits, target, mask=mask))
    shown = repr(module_class(reduction="sum"))
    assert all(f"{key}={value!r}" in shown for key, value in options.items() if key != "reduction")
    per_image = {"per_image": True} if "per_image" in options else {}
    result = module_class(**per_image)(logits, target, mask=mask, reduction="none")
    expected = LOSSES[name](logits, target, mask=mask, reduction="none", **per_image)
    assert torch.equal(result, expected)


def test_everything_is_exported():
    assert sorted(fissura.losses.__all__) == list(dict.fromkeys(sorted(fissura.losses.__all__)))
    for name, function in LOSSES.items():
        assert raw(name).__name__ == f"{name}_loss"
        assert getattr(fissura.losses, f"{name}_loss") is function
        assert "Source:" in function.__doc__
        assert ">>>" in function.__doc__


# ---------------------------------------------------------------- numerics


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("name", "options"), ALL)
def test_extreme_logits_are_exact_in_every_dtype(name, options, dtype):
    signs = torch.tensor([1.0, 1.0, -1.0, -1.0])
    logits = (1e4 * signs).to(dtype).reshape(1, 1, 4)
    target = torch.tensor([1, 0, 1, 0], dtype=torch.uint8).reshape(1, 1, 4)
    loss, gradient = value_and_gradient(name, logits, target, **options)
    exact = LOSSES[name](logits.double(), target, **options)
    assert loss.dtype == torch.float32
    assert gradient.dtype == dtype
    assert loss.item() == pytest.approx(exact.item(), rel=2e-7)
    assert gradient.isfinite().all()
    big = logits.flatten()[0].item()  # bfloat16 rounds 1e4 to 9984
    if name == "bce":
        assert loss.item() == big / 2
    if name == "dice":
        assert loss.item() == pytest.approx(1 - 3 / 5)


@pytest.mark.parametrize(("name", "options"), ALL)
def test_gradients_are_finite_on_all_corners(name, options):
    for size, t, t_other in [
        (1, 0.0, 0.5),
        (1, 0.0, 1.0),
        (3, 0.0, 0.0),
        (3, 0.0, 1.0),
        (3, 1.0, 0.0),
        (3, 1.0, 1.0),
    ]:
        for z in [-1e4, -100.0, -1e-30, 0.0, 17.0, 104.0]:
            logits = torch.full((1, 1, size), z)
            target = torch.full((1, 1, size), t)
            target[..., 0] = t_other
            loss, gradient = value_and_gradient(name, logits, target, **options)
            assert loss.isfinite()
            assert loss >= 0
            assert gradient.isfinite().all(), (z, t, t_other)


@pytest.mark.parametrize(("name", "options"), ALL)
@pytest.mark.parametrize("t", [0, 1])
def test_perfect_prediction_costs_nothing(name, options, t):
    target = torch.full((2, 1, 3, 3), t)
    loss, gradient = value_and_gradient(name, 1e4 * (2.0 * target - 1), target, **options)
    assert loss == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", ["focal_tversky", "hybrid_focal_margin", "unified_focal"])
def test_gradient_near_the_perfect_prediction_is_the_true_one(name):
    """The exponent below 1 has an infinite slope at 0; close to it nothing may be cut off."""
    target = torch.tensor([[[1.0, 1.0, 0.0]]])
    for sharpness in [5.0, 10.0, 20.0]:
        logits = sharpness * (2 * target - 1)
        _, gradient = value_and_gradient(name, logits, target)
        _, exact = value_and_gradient(name, logits.double(), target)
        assert torch.allclose(gradient.double(), exact, rtol=1e-4, atol=0)
        assert (gradient != 0).all()


def test_power_of_finite_slope_is_exact_in_value_and_bounded_in_slope():
    from fissura.losses._valid_pixels import SMALLEST_BASE
    from fissura.losses.tversky import power_of_finite_slope

    base = torch.tensor([0.0, 1e-30, 1e-13, 1e-12, 1e-6, 0.5, 1.0], dtype=torch.float64)
    for exponent in [0.1, 0.5, 0.75]:
        x = base.clone().requires_grad_()
        value = power_of_finite_slope(x, exponent)
        assert torch.allclose(value, base**exponent, rtol=1e-12, atol=1e-18)
        (slope,) = torch.autograd.grad(value.sum(), x)
        expected = exponent * base.clamp_min(SMALLEST_BASE) ** (exponent - 1)
        assert torch.allclose(slope, expected, rtol=1e-9)


@pytest.mark.parametrize("name", REGION_NAMES)
def test_false_alarms_on_pure_background_are_punished(name):
    target = torch.zeros(2, 1, 4, 4)
    loss, gradient = value_and_gradient(name, torch.zeros(2, 1, 4, 4), target)
    assert loss > LOSSES[name](torch.full_like(target, -4), target)
    assert (gradient > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_confident_background_keeps_its_small_loss(name):
    """log(1−p) of z = −14 is −8e-7: lost by formulas that subtract two large numbers."""
    logits = torch.full((1, 1, 8), -14.0)
    single = LOSSES[name](logits, torch.zeros(1, 1, 8))
    double = LOSSES[name](logits.double(), torch.zeros(1, 1, 8))
    assert single.item() == pytest.approx(double.item(), rel=3e-6)


@pytest.mark.parametrize("name", NAMES)
def test_dtypes_of_target_and_mask_do_not_matter(name):
    logits, target, mask = random_case()
    expected = LOSSES[name](logits, target, mask=mask)
    for dtype in [torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64]:
        assert torch.equal(LOSSES[name](logits, target.to(dtype), mask=mask.to(dtype)), expected)
    assert expected.dtype == torch.float32
    assert LOSSES[name](logits.double(), target).dtype == torch.float64


@pytest.mark.parametrize("name", NAMES)
def test_autocast_stays_in_float32(name):
    logits, target, _ = random_case()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = LOSSES[name](logits, target)
    assert torch.equal(inside, LOSSES[name](logits, target))


# ---------------------------------------------------------------- invariance


@pytest.mark.parametrize(("name", "options"), ALL)
@given(seed=st.integers(0, 1000), images=st.integers(1, 4), pixels=st.integers(1, 12))
@settings(max_examples=settings.default.max_examples * 3 // 30)
def test_order_of_pixels_and_images_does_not_matter(name, options, seed, images, pixels):
    logits, target, mask = random_case((images, 1, pixels), seed, torch.float64)
    expected = LOSSES[name](logits, target, mask=mask, **options).item()
    order = torch.randperm(images * pixels, generator=torch.Generator().manual_seed(seed))
    shuffled = [x.flatten()[order].reshape(pixels, 1, images, 1) for x in (logits, target, mask)]
    result = LOSSES[name](shuffled[0], shuffled[1], mask=shuffled[2], **options).item()
    assert result == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_split_of_the_batch_does_not_matter(name):
    """Means over pixels, and over images where regions are per image, of equal halves."""
    logits, target, _ = random_case((4, 1, 3, 3), dtype=torch.float64)
    options = {"per_image": True} if name in REGION_NAMES else {}
    whole = LOSSES[name](logits, target, **options)
    halves = [
        LOSSES[name](z, t, **options) for z, t in zip(logits.split(2), target.split(2), strict=True)
    ]
    assert torch.allclose(torch.stack(halves).mean(), whole, rtol=1e-12)
    total = sum(LOSSES[name](z[None], t[None], reduction="sum", **options)
                for z, t in zip(logits, target, strict=True))  # fmt: skip
    whole = LOSSES[name](logits, target, reduction="sum", **options)
    assert torch.allclose(torch.as_tensor(total), whole, rtol=1e-12)


@pytest.mark.parametrize("name", REGION_NAMES)
def test_pooled_equals_per_image_for_one_image(name):
    logits, target, mask = random_case((1, 1, 4, 4))
    separate = LOSSES[name](logits, target, mask=mask, per_image=True)
    assert torch.allclose(separate, LOSSES[name](logits, target, mask=mask))


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize("junk", [1e30, float("nan"), float("-inf")])
@pytest.mark.parametrize(("name", "options"), ALL)
def test_mask_equals_dropping_the_pixels(name, options, junk):
    logits, target, mask = random_case(dtype=torch.float64)
    target = target.double()
    dropped = [x[mask].reshape(1, 1, -1) for x in (logits, target)]
    expected, expected_gradient = value_and_gradient(name, *dropped, **options)
    spoiled = [torch.where(mask, x, junk) for x in (logits, target)]
    loss, gradient = value_and_gradient(name, *spoiled, mask=mask, **options)
    assert torch.allclose(loss, expected, rtol=1e-12)
    assert torch.allclose(gradient[mask], expected_gradient.flatten(), rtol=1e-9)
    assert (gradient[~mask] == 0).all()


@pytest.mark.parametrize("name", PIXEL_NAMES)
def test_unreduced_loss_is_zero_where_invalid(name):
    logits, target, mask = random_case()
    loss = LOSSES[name](logits, target, mask=mask, reduction="none")
    assert (loss[~mask] == 0).all()
    assert torch.equal(loss[mask], LOSSES[name](logits, target, reduction="none")[mask])
    total = LOSSES[name](logits, target, mask=mask, reduction="sum")
    assert torch.allclose(total, loss.sum())


@pytest.mark.parametrize(("name", "options"), ALL)
def test_nothing_valid_is_zero(name, options):
    junk = torch.full((2, 1, 3), float("nan"))
    nothing = torch.zeros(2, 1, 3, dtype=torch.bool)
    loss, gradient = value_and_gradient(name, junk, junk, mask=nothing, **options)
    assert loss == 0
    assert (gradient == 0).all()
    if name in REGION_NAMES:
        options = options | {"per_image": True}
        loss, gradient = value_and_gradient(name, junk, junk, mask=nothing, **options)
        assert loss == 0
        assert (gradient == 0).all()


@pytest.mark.parametrize("name", REGION_NAMES)
def test_an_image_without_valid_pixels_does_not_count(name):
    logits, target, mask = random_case((3, 1, 4, 4))
    mask[1] = False
    kept = [x[[0, 2]] for x in (logits, target, mask)]
    expected = LOSSES[name](kept[0], kept[1], mask=kept[2], per_image=True)
    loss = LOSSES[name](logits, target, mask=mask, per_image=True)
    assert torch.allclose(loss, expected)
    values = LOSSES[name](logits, target, mask=mask, per_image=True, reduction="none")
    assert values.shape == (3,)
    assert values[1] == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (2, 1, 0)])
def test_empty_batch_is_zero(name, shape):
    assert LOSSES[name](torch.zeros(shape), torch.zeros(shape)) == 0


# ---------------------------------------------------------------- vmap


@pytest.mark.parametrize(("name", "options"), ALL)
def test_vmap_and_gradient_of_each_sample(name, options):
    logits, target, mask = random_case((4, 2, 1, 3, 3))
    samples = list(zip(logits, target.float(), mask, strict=True))

    def loss(z, t, m):
        return LOSSES[name](z, t, mask=m, **options)

    values = vmap(loss)(logits, target.float(), mask)
    assert torch.allclose(values, torch.stack([loss(*sample) for sample in samples]))
    gradients = vmap(grad(loss))(logits, target.float(), mask)
    expected = [value_and_gradient(name, z, t, mask=m, **options)[1] for z, t, m in samples]
    assert torch.allclose(gradients, torch.stack(expected), atol=1e-7)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("name", NAMES)
def test_wrong_tensors_are_named(name):
    loss = raw(name)
    z, t, _ = random_case((2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"\(N, 1, \*spatial\).*\(2, 3, 4, 4\)"):
        loss(z.expand(2, 3, 4, 4), t.expand(2, 3, 4, 4))
    with pytest.raises(ValueError, match=r"\(N, 1, \*spatial\)"):
        loss(z.flatten(), t.flatten())
    with pytest.raises(ValueError, match=r"target must have the shape.*target\[:, None\]"):
        loss(z, t[:, 0])
    for mask, hint in [
        (t[:1], "expand"), (t[:, 0], "None"), (t[0], "expand"), (t[0, 0], "expand"),
        (t[:, 0, ..., None], "movedim"), (t.expand(2, 3, 4, 4), "c:c"), (t[..., :3], "resize"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"mask must have the shape.*{hint}"):
            loss(z, t, mask=mask)
    with pytest.raises(ValueError, match=r"logits must be a floating-point tensor.*int64"):
        loss(z.long(), t)
    with pytest.raises(ValueError, match="logits must be a floating-point tensor, not list"):
        loss([0.0], t)
    with pytest.raises(ValueError, match=r"target must be .*complex"):
        loss(z, t.to(torch.complex64))
    with pytest.raises(ValueError, match=r"mask must be .*not list"):
        loss(z, t, mask=[True])
    with pytest.raises(ValueError, match="target is on meta"):
        loss(z, t.to("meta"))


@pytest.mark.parametrize("name", NAMES)
def test_targets_outside_the_range_are_refused(name):
    z, t, _ = random_case()
    with pytest.raises(ValueError, match=r"target must lie in \[0, 1\].* 0 to 255"):
        LOSSES[name](z, 255 * t.to(torch.uint8))
    with pytest.raises(ValueError, match="-1 to 1"):
        LOSSES[name](z, 1 - 2 * t.float())
    hidden = torch.where(t, 255, 0)
    assert LOSSES[name](z, hidden, mask=~t).isfinite()
    LOSSES[name](z, torch.full_like(z, math.nan))  # not looked for


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("values", [(0.1, 5), (0, 255), (1, math.nan), (-1, 1), (0, 2)])
def test_masks_of_weights_are_refused(name, values):
    z, t, mask = random_case()
    weights = torch.where(mask, *(torch.tensor(float(v)) for v in values))
    with pytest.raises(ValueError, match=r"mask marks the pixels .*0 and 1, but has the value"):
        LOSSES[name](z, t, mask=weights)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_options_are_named(name):
    loss = raw(name)
    z, t, _ = random_case()
    with pytest.raises(ValueError, match=r'"mean", "sum" or "none".*avg'):
        loss(z, t, reduction="avg")
    known = {"gamma_hat", "delta", "gamma", "margin", "smooth", "focal_weight"}
    for option in known & set(inspect.signature(loss).parameters):
        for value in [-0.1, math.nan, math.inf, -math.inf, "much", torch.tensor(0.5)]:
            with pytest.raises(ValueError, match=f"^{option} must be"):
                loss(z, t, **{option: value})
    for option in {"delta", "focal_weight"} & set(inspect.signature(loss).parameters):
        with pytest.raises(ValueError, match="between 0 and 1"):
            loss(z, t, **{option: 1.01})
    if "gamma" in inspect.signature(loss).parameters:
        with pytest.raises(ValueError, match=r"gamma must be .*constant"):
            loss(z, t, gamma=1.0 if name == "unified_focal" else 0.0)


@pytest.mark.parametrize("name", REGION_NAMES)
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_pooled_losses_reduce_by_mean_alone(name, reduction):
    z, t, _ = random_case()
    with pytest.raises(ValueError, match="per_image=True"):
        LOSSES[name](z, t, reduction=reduction)
