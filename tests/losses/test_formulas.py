"""Each loss against a slow scalar reference, written from the equations in python floats."""

import math
import os

import pytest
import torch

from fissura.losses import LOSSES

pytestmark = pytest.mark.usefixtures("both_ways")

# (name, options): every loss with its defaults, and with every option away from its default.
VARIANTS = [
    ("bce", {}),
    ("dice", {}),
    ("dice", {"smooth": 0.3, "squared": True}),
    ("focal", {}),
    ("focal", {"gamma_hat": 0.5}),
    ("asymmetric_focal", {}),
    ("asymmetric_focal", {"gamma_hat": 3.5}),
    ("asymmetric_large_margin", {}),
    ("asymmetric_large_margin", {"margin": 1.5}),
    ("asymmetric_focal_margin", {}),
    ("asymmetric_focal_margin", {"gamma_hat": 1.0, "margin": 1.25}),
    ("focal_margin", {}),
    ("focal_margin", {"gamma_hat": 0.7, "margin": 1.25}),
    ("tversky", {}),
    ("tversky", {"delta": 0.2, "smooth": 0.01}),
    ("focal_tversky", {}),
    ("focal_tversky", {"delta": 0.9, "gamma": 1.5, "smooth": 3.0}),
    ("bce_dice", {}),
    ("bce_dice", {"smooth": 0.1}),
    ("hybrid_focal", {}),
    ("hybrid_focal", {"gamma_hat": 1.5, "delta": 0.4, "gamma": 0.5, "smooth": 2.0}),
    ("hybrid_focal", {"symmetric": True, "focal_weight": 0.3}),
    ("unified_focal", {}),
    ("unified_focal", {"delta": 0.7, "gamma": 0.2, "smooth": 0.5, "focal_weight": 0.3}),
    ("unified_focal", {"symmetric": True, "gamma": 0.4}),
    ("hybrid_focal_margin", {}),
    ("hybrid_focal_margin", {"gamma_hat": 1.5, "delta": 0.4, "gamma": 0.5, "margin": 1.5}),
    ("hybrid_focal_margin", {"symmetric": True, "focal_weight": 0.3, "smooth": 0.5}),
]
PER_PIXEL = {
    "bce",
    "focal",
    "asymmetric_focal",
    "asymmetric_large_margin",
    "asymmetric_focal_margin",
    "focal_margin",
}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def focal_term(name, z, t, *, gamma_hat=2.0, margin=0.5):
    """One pixel of the entropy losses, as the paper's equations print them."""
    p = sigmoid(z)
    p_hat = sigmoid(z - margin)
    terms = {
        "bce": (t * math.log(p), (1 - t) * math.log(1 - p)),
        "focal": (
            (1 - p) ** gamma_hat * t * math.log(p),
            p**gamma_hat * (1 - t) * math.log(1 - p),
        ),
        "asymmetric_focal": (t * math.log(p), p**gamma_hat * (1 - t) * math.log(1 - p)),
        "asymmetric_large_margin": (t * math.log(p_hat), (1 - t) * math.log(1 - p)),
        "asymmetric_focal_margin": (
            t * math.log(p_hat),
            p**gamma_hat * (1 - t) * math.log(1 - p),
        ),
        "focal_margin": (
            (1 - p) ** gamma_hat * t * math.log(p_hat),
            p**gamma_hat * (1 - t) * math.log(1 - sigmoid(z + margin)),
        ),
    }
    return -sum(terms[name])


def mean_term(name, pixels, **options):
    return sum(focal_term(name, z, t, **options) for z, t in pixels) / len(pixels)


def dice(pixels, *, smooth=1.0, squared=False):
    power = 2 if squared else 1
    above = below = 0.0
    for z, t in pixels:
        above += 2 * sigmoid(z) * t
        below += sigmoid(z) ** power + t**power
    return 1 - (above + smooth) / (below + smooth)


def tversky(pixels, *, delta=0.7, smooth=1.0, background=False):
    tp = fn = fp = 0.0
    for z, t in pixels:
        p, g = (1 - sigmoid(z), 1 - t) if background else (sigmoid(z), t)
        tp += p * g
        fn += (1 - p) * g
        fp += p * (1 - g)
    return 1 - (tp + smooth) / (tp + delta * fn + (1 - delta) * fp + smooth)


def hybrid(focal, pixels, *, delta=0.7, gamma=0.75, smooth=1.0, focal_weight=None):
    region = tversky(pixels, delta=delta, smooth=smooth) ** gamma
    if focal_weight is None:
        return focal + region
    return focal_weight * focal + (1 - focal_weight) * region


def unified(pixels, *, delta=0.6, gamma=0.5, smooth=1.0, symmetric=False, focal_weight=0.5):
    focal = 0.0
    for z, t in pixels:
        p = sigmoid(z)
        fade = (1 - p) ** gamma if symmetric else 1.0
        focal -= delta * t * fade * math.log(p)
        focal -= (1 - delta) * p**gamma * (1 - t) * math.log(1 - p)
    crack = tversky(pixels, delta=delta, smooth=smooth) ** (1 - gamma)
    rest = tversky(pixels, delta=delta, smooth=smooth, background=True)
    rest = rest ** (1 - gamma) if symmetric else rest
    region = (crack + rest) / 2
    return focal_weight * focal / len(pixels) + (1 - focal_weight) * region


def reference(name, pixels, **options):
    """The loss `name` of a list of (logit, target), in python floats."""
    if name in PER_PIXEL:
        return mean_term(name, pixels, **options)
    if name == "dice":
        return dice(pixels, **options)
    if name == "bce_dice":
        return mean_term("bce", pixels) + dice(pixels, **options)
    if name == "tversky":
        return tversky(pixels, **options)
    if name == "focal_tversky":
        return tversky(pixels, **{k: options[k] for k in options if k != "gamma"}) ** options.get(
            "gamma", 0.75
        )
    if name == "unified_focal":
        return unified(pixels, **options)
    symmetric = options.pop("symmetric", False)
    term = {
        "hybrid_focal": "focal" if symmetric else "asymmetric_focal",
        "hybrid_focal_margin": "focal_margin" if symmetric else "asymmetric_focal_margin",
    }[name]
    of_focal = {k: options.pop(k) for k in ("gamma_hat", "margin") if k in options}
    return hybrid(mean_term(term, pixels, **of_focal), pixels, **options)


def random_pixels(shape, seed, *, soft=False):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.rand(shape, generator=generator, dtype=torch.float64)
    return logits, target if soft else (target < 0.3).double()


def pairs(logits, target):
    return list(zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True))


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_equals_the_scalar_reference(name, options, soft):
    for seed, shape in enumerate([(3, 1, 7), (1, 1, 2, 3, 2)]):
        logits, target = random_pixels(shape, seed, soft=soft)
        expected = reference(name, pairs(logits, target), **dict(options))
        assert LOSSES[name](logits, target, **options).item() == pytest.approx(expected, rel=1e-11)
        single = LOSSES[name](logits.float(), target, **options)
        assert single.dtype == torch.float32
        assert single.item() == pytest.approx(expected, rel=3e-5)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_per_image_is_the_loss_of_each_image(name, options):
    logits, target = random_pixels((3, 1, 4, 5), 7, soft=True)
    images = zip(logits, target, strict=True)
    expected = [reference(name, pairs(z, t), **dict(options)) for z, t in images]
    if name in PER_PIXEL:
        values = LOSSES[name](logits, target, reduction="none", **options)
        assert values.shape == logits.shape
        assert values.flatten(1).mean(1).tolist() == pytest.approx(expected, rel=1e-11)
        total = LOSSES[name](logits, target, reduction="sum", **options).item()
        assert total == pytest.approx(20 * sum(expected), rel=1e-11)
        return
    options = options | {"per_image": True}
    values = LOSSES[name](logits, target, reduction="none", **options)
    assert values.tolist() == pytest.approx(expected, rel=1e-11)
    mean = LOSSES[name](logits, target, **options).item()
    assert mean == pytest.approx(sum(expected) / 3, rel=1e-11)
    total = LOSSES[name](logits, target, reduction="sum", **options).item()
    assert total == pytest.approx(sum(expected), rel=1e-11)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_gradients_are_those_of_finite_differences(name, options):
    logits, target = random_pixels((2, 1, 1, 3), 3, soft=True)
    logits.requires_grad_()
    mask = torch.tensor([1, 1, 0, 0, 1, 1]).reshape(logits.shape)
    extra = {} if name in PER_PIXEL else {"per_image": True}

    def pooled(z):
        return LOSSES[name](z, target, mask=mask, **options)

    def separate(z):
        return LOSSES[name](z, target, reduction="none", **options, **extra)

    assert torch.autograd.gradcheck(pooled, logits)
    if os.environ.get("FISSURA_PLAIN_LOSSES") == "1":  # the plain form does these two always
        assert torch.autograd.gradcheck(separate, logits)
        assert torch.autograd.gradgradcheck(pooled, logits, fast_mode=True)
