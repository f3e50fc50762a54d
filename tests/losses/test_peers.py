"""Equality with the losses of torch, torchvision, smp and MONAI, their parameter names mapped."""

import monai.losses
import pytest
import segmentation_models_pytorch.losses as smp
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from fissura.losses import (
    bce_loss,
    dice_loss,
    focal_loss,
    focal_tversky_loss,
    tversky_loss,
    unified_focal_loss,
)

SHAPES = [(3, 1, 8, 9), (2, 1, 4, 5, 3)]


@pytest.fixture(params=[(shape, seed) for shape in SHAPES for seed in range(1)], ids=str)
def case(request):
    shape, seed = request.param
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(shape, generator=generator) < 0.2).double()


def close(ours, theirs, rtol=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=1e-12, check_dtype=False)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_bce_of_torch(case, reduction):
    z, t = case
    for target in [t, (t + 0.3) / 2]:
        theirs = F.binary_cross_entropy_with_logits(z, target, reduction=reduction)
        close(bce_loss(z, target, reduction=reduction), theirs)


@pytest.mark.parametrize("gamma_hat", [0.0, 1.0, 2.0, 3.5])
def test_focal_of_torchvision(case, gamma_hat):
    z, t = case
    for reduction in ["mean", "sum", "none"]:
        theirs = sigmoid_focal_loss(z, t, alpha=-1, gamma=gamma_hat, reduction=reduction)
        close(focal_loss(z, t, gamma_hat=gamma_hat, reduction=reduction), theirs)


@pytest.mark.parametrize("gamma_hat", [0.0, 1.0, 2.0, 3.5])
def test_focal_of_smp_and_monai(case, gamma_hat):
    z, t = case
    ours = focal_loss(z, t, gamma_hat=gamma_hat)
    close(ours, smp.FocalLoss("binary", alpha=None, gamma=gamma_hat)(z, t))
    close(ours, monai.losses.FocalLoss(gamma=gamma_hat)(z, t), rtol=2e-6)  # in float32


@pytest.mark.parametrize("smooth", [1e-3, 1.0])
def test_dice_of_smp_and_monai(case, smooth):
    z, t = case
    # smp's smooth is added to ½(2TP), as Tversky's: half of ours.
    close(dice_loss(z, t, smooth=smooth), smp.DiceLoss("binary", smooth=smooth / 2)(z, t))
    options = {"sigmoid": True, "smooth_nr": smooth, "smooth_dr": smooth}
    for squared in [False, True]:
        theirs = monai.losses.DiceLoss(**options, squared_pred=squared, batch=True)(z, t)
        close(dice_loss(z, t, smooth=smooth, squared=squared), theirs)
        theirs = monai.losses.DiceLoss(**options, squared_pred=squared)(z, t)
        close(dice_loss(z, t, smooth=smooth, squared=squared, per_image=True), theirs)


@pytest.mark.parametrize("delta", [0.3, 0.5, 0.7])
def test_tversky_of_smp_and_monai(case, delta):
    z, t = case
    weights = {"alpha": 1 - delta, "beta": delta}  # theirs: alpha of FP, beta of FN
    ours = tversky_loss(z, t, delta=delta)
    close(ours, smp.TverskyLoss("binary", smooth=1.0, **weights)(z, t))
    options = {"sigmoid": True, "smooth_nr": 1.0, "smooth_dr": 1.0}
    close(ours, monai.losses.TverskyLoss(**options, batch=True, **weights)(z, t))
    theirs = monai.losses.TverskyLoss(**options, **weights)(z, t)
    close(tversky_loss(z, t, delta=delta, per_image=True), theirs)
    ours = focal_tversky_loss(z, t, delta=delta, gamma=0.75)
    close(ours, smp.TverskyLoss("binary", smooth=1.0, gamma=0.75, **weights)(z, t))


def test_unified_focal_of_monai(case):
    z, t = case
    # MONAI takes probabilities whatever its docstring says, clamps them, and averages the focal
    # term over the two classes where the equation sums: half of the weight of ours.
    z = z.clamp(-8, 8)
    theirs = monai.losses.AsymmetricUnifiedFocalLoss(gamma=0.5, delta=0.6, weight=0.5)
    focal = unified_focal_loss(z, t, focal_weight=1.0)
    options = {"focal_weight": 0.0, "smooth": 1e-7, "per_image": True}
    region = unified_focal_loss(z, t, **options)
    close(0.5 * (focal / 2) + 0.5 * region, theirs(z.sigmoid(), t))
