"""The transitions between the losses: the paper's Fig. 1, and those to its baselines."""

import pytest
import torch

from fissura.losses import (
    asymmetric_focal_loss,
    asymmetric_focal_margin_loss,
    asymmetric_large_margin_loss,
    bce_dice_loss,
    bce_loss,
    dice_loss,
    focal_loss,
    focal_margin_loss,
    focal_tversky_loss,
    hybrid_focal_loss,
    hybrid_focal_margin_loss,
    tversky_loss,
    unified_focal_loss,
)

pytestmark = pytest.mark.usefixtures("both_ways")

PLAIN = {"gamma_hat": 0.0, "delta": 0.5, "gamma": 1.0}


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def case(request):
    generator = torch.Generator().manual_seed(1)
    logits = (4 * torch.randn(3, 1, 6, 7, generator=generator)).to(request.param)
    return logits, torch.rand(3, 1, 6, 7, generator=generator)


def same(a, b):
    torch.testing.assert_close(a, b, rtol=2e-6 if a.dtype == torch.float32 else 1e-13, atol=0)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("gamma_hat", "margin"), [(0.0, 0.0), (0.5, 0.5), (2.0, 0.5), (3.0, 1.5)])
def test_figure_1(case, gamma_hat, margin, reduction):
    z, t = case
    of_focal = {"gamma_hat": gamma_hat, "reduction": reduction}
    of_margin = {"margin": margin, "reduction": reduction}
    bce = bce_loss(z, t, reduction=reduction)
    # m = 0: focal; γ̂ = 0: large margin; both: BCE.
    same(
        asymmetric_focal_margin_loss(z, t, **of_focal, margin=0.0),
        asymmetric_focal_loss(z, t, **of_focal),
    )
    same(
        asymmetric_focal_margin_loss(z, t, **of_margin, gamma_hat=0.0),
        asymmetric_large_margin_loss(z, t, **of_margin),
    )
    same(focal_margin_loss(z, t, **of_focal, margin=0.0), focal_loss(z, t, **of_focal))
    zero = {"gamma_hat": 0.0, "margin": 0.0, "reduction": reduction}
    same(asymmetric_focal_margin_loss(z, t, **zero), bce)
    same(focal_margin_loss(z, t, **zero), bce)
    same(focal_loss(z, t, gamma_hat=0.0, reduction=reduction), bce)
    same(asymmetric_focal_loss(z, t, gamma_hat=0.0, reduction=reduction), bce)
    same(asymmetric_large_margin_loss(z, t, margin=0.0, reduction=reduction), bce)


def test_symmetric_large_margin_moves_both_classes(case):
    """FM at γ̂ = 0: cross-entropy of logits shifted towards the other class, as in Li 2019."""
    z, t = case
    t = (t < 0.5).to(z.dtype)
    shifted = z - 0.7 * (2 * t - 1)
    same(focal_margin_loss(z, t, gamma_hat=0.0, margin=0.7), bce_loss(shifted, t))


@pytest.mark.parametrize("per_image", [False, True])
def test_regions(case, per_image):
    z, t = case
    options = {"per_image": per_image}
    dice = dice_loss(z, t, smooth=2.0, **options)
    same(tversky_loss(z, t, delta=0.5, smooth=1.0, **options), dice)
    same(focal_tversky_loss(z, t, gamma=1.0, **options), tversky_loss(z, t, **options))
    same(
        bce_dice_loss(z, t, smooth=0.7, **options),
        bce_loss(z, t) + dice_loss(z, t, smooth=0.7, **options),
    )


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_hybrid_losses_become_bce_plus_dice(case, symmetric, per_image):
    z, t = case
    for smooth in [0.5, 1.0]:  # the paper's Dice smoothing of 1 is a Tversky smoothing of ½
        options = {"smooth": smooth, "symmetric": symmetric, "per_image": per_image, **PLAIN}
        expected = bce_dice_loss(z, t, smooth=2 * smooth, per_image=per_image)
        same(hybrid_focal_loss(z, t, **options), expected)
        same(hybrid_focal_margin_loss(z, t, margin=0.0, **options), expected)
        half = hybrid_focal_margin_loss(z, t, margin=0.0, focal_weight=0.5, **options)
        same(half, expected / 2)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("focal_weight", [None, 0.0, 0.3, 1.0])
def test_hybrid_losses_are_their_terms(case, symmetric, focal_weight):
    z, t = case
    options = {"symmetric": symmetric, "focal_weight": focal_weight}
    focal = focal_loss(z, t) if symmetric else asymmetric_focal_loss(z, t)
    margin = focal_margin_loss(z, t) if symmetric else asymmetric_focal_margin_loss(z, t)
    region = focal_tversky_loss(z, t)
    a, b = (1.0, 1.0) if focal_weight is None else (focal_weight, 1 - focal_weight)
    same(hybrid_focal_loss(z, t, **options), a * focal + b * region)
    same(hybrid_focal_margin_loss(z, t, **options), a * margin + b * region)
    same(hybrid_focal_margin_loss(z, t, margin=0.0, **options), hybrid_focal_loss(z, t, **options))


def test_unified_focal_becomes_bce_and_both_dice(case):
    z, t = case
    both = bce_loss(z, t) + dice_loss(z, t, smooth=2.0) + dice_loss(-z, 1 - t, smooth=2.0)
    for symmetric in [False, True]:
        loss = unified_focal_loss(z, t, gamma=0.0, delta=0.5, symmetric=symmetric)
        same(loss, both / 4)


def test_symmetric_unified_focal_of_equal_weights_does_not_know_which_class_is_crack(case):
    z, t = case
    loss = unified_focal_loss(z, t, delta=0.5, symmetric=True)
    same(loss, unified_focal_loss(-z, 1 - t, delta=0.5, symmetric=True))
    with pytest.raises(AssertionError):
        same(loss, unified_focal_loss(-z, 1 - t, delta=0.5))
