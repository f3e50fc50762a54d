"""Losses for segmentation under class imbalance: torch in, torch out, torch alone.

Every loss is called `loss(logits, target, *, mask=None, reduction="mean", …)`, with logits and
target of one shape (N, 1, *spatial); those of several classes take logits (N, C, *spatial). The
functions are the truth; each has a module beside it.

    cross_entropy dice tversky focal margin focal_margin   one family of losses each
    bce_dice hybrid_focal hybrid_focal_margin unified_focal   sums of two
    deep_supervision   one loss over several outputs of a network
    softmax/           the same losses of several classes, of which each pixel has one
    per_class          a binary loss of each of several classes that may overlap
    _loss              the one way from a formula to a loss
    _valid_pixels      inputs checked and masked, reductions
    pooling            sums over the processes of a training
    _plain             the switch that has formulas computed as they are written
    _fused/            value and gradient at once: form, autograd, cpu, cuda

>>> import torch
>>> logits = torch.tensor([[[2.0, -1.0, 0.0]]], requires_grad=True)
>>> loss = hybrid_focal_margin_loss(logits, torch.tensor([[[1, 0, 0]]]), margin=1.5)
>>> loss.backward()
>>> logits.grad
tensor([[[-0.1692,  0.0456,  0.1351]]])
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ._plain import plain
from .bce_dice import BCEDiceLoss, bce_dice_loss
from .cross_entropy import BCELoss, bce_loss
from .deep_supervision import DeepSupervisionLoss
from .dice import DiceLoss, dice_loss
from .focal import (
    AsymmetricFocalLoss,
    FocalLoss,
    asymmetric_focal_loss,
    focal_loss,
)
from .focal_margin import (
    AsymmetricFocalMarginLoss,
    FocalMarginLoss,
    asymmetric_focal_margin_loss,
    focal_margin_loss,
)
from .hybrid_focal import HybridFocalLoss, hybrid_focal_loss
from .hybrid_focal_margin import HybridFocalMarginLoss, hybrid_focal_margin_loss
from .margin import (
    AsymmetricLargeMarginLoss,
    asymmetric_large_margin_loss,
    recommended_margin,
)
from .per_class import PerClassLoss
from .pooling import pool, sum_over_ranks
from .softmax.focal import (
    SoftmaxAsymmetricFocalLoss,
    SoftmaxCrossEntropyLoss,
    SoftmaxFocalLoss,
    softmax_asymmetric_focal_loss,
    softmax_cross_entropy_loss,
    softmax_focal_loss,
)
from .softmax.hybrid import (
    SoftmaxCrossEntropyDiceLoss,
    SoftmaxHybridFocalLoss,
    SoftmaxHybridFocalMarginLoss,
    softmax_cross_entropy_dice_loss,
    softmax_hybrid_focal_loss,
    softmax_hybrid_focal_margin_loss,
)
from .softmax.margin import (
    SoftmaxAsymmetricFocalMarginLoss,
    SoftmaxAsymmetricLargeMarginLoss,
    SoftmaxFocalMarginLoss,
    softmax_asymmetric_focal_margin_loss,
    softmax_asymmetric_large_margin_loss,
    softmax_focal_margin_loss,
)
from .softmax.overlap import (
    SoftmaxDiceLoss,
    SoftmaxFocalTverskyLoss,
    SoftmaxTverskyLoss,
    softmax_dice_loss,
    softmax_focal_tversky_loss,
    softmax_tversky_loss,
)
from .softmax.unified import SoftmaxUnifiedFocalLoss, softmax_unified_focal_loss
from .tversky import (
    FocalTverskyLoss,
    TverskyLoss,
    focal_tversky_loss,
    tversky_loss,
)
from .unified_focal import UnifiedFocalLoss, unified_focal_loss

LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": bce_loss,
    "dice": dice_loss,
    "focal": focal_loss,
    "asymmetric_focal": asymmetric_focal_loss,
    "asymmetric_large_margin": asymmetric_large_margin_loss,
    "asymmetric_focal_margin": asymmetric_focal_margin_loss,
    "focal_margin": focal_margin_loss,
    "tversky": tversky_loss,
    "focal_tversky": focal_tversky_loss,
    "bce_dice": bce_dice_loss,
    "hybrid_focal": hybrid_focal_loss,
    "unified_focal": unified_focal_loss,
    "hybrid_focal_margin": hybrid_focal_margin_loss,
}

# The form of each for several classes of which a pixel has one.
SOFTMAX_LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": softmax_cross_entropy_loss,
    "dice": softmax_dice_loss,
    "focal": softmax_focal_loss,
    "asymmetric_focal": softmax_asymmetric_focal_loss,
    "asymmetric_large_margin": softmax_asymmetric_large_margin_loss,
    "asymmetric_focal_margin": softmax_asymmetric_focal_margin_loss,
    "focal_margin": softmax_focal_margin_loss,
    "tversky": softmax_tversky_loss,
    "focal_tversky": softmax_focal_tversky_loss,
    "bce_dice": softmax_cross_entropy_dice_loss,
    "hybrid_focal": softmax_hybrid_focal_loss,
    "unified_focal": softmax_unified_focal_loss,
    "hybrid_focal_margin": softmax_hybrid_focal_margin_loss,
}

__all__ = [
    "LOSSES",
    "SOFTMAX_LOSSES",
    "AsymmetricFocalLoss",
    "AsymmetricFocalMarginLoss",
    "AsymmetricLargeMarginLoss",
    "BCEDiceLoss",
    "BCELoss",
    "DeepSupervisionLoss",
    "DiceLoss",
    "FocalLoss",
    "FocalMarginLoss",
    "FocalTverskyLoss",
    "HybridFocalLoss",
    "HybridFocalMarginLoss",
    "PerClassLoss",
    "SoftmaxAsymmetricFocalLoss",
    "SoftmaxAsymmetricFocalMarginLoss",
    "SoftmaxAsymmetricLargeMarginLoss",
    "SoftmaxCrossEntropyDiceLoss",
    "SoftmaxCrossEntropyLoss",
    "SoftmaxDiceLoss",
    "SoftmaxFocalLoss",
    "SoftmaxFocalMarginLoss",
    "SoftmaxFocalTverskyLoss",
    "SoftmaxHybridFocalLoss",
    "SoftmaxHybridFocalMarginLoss",
    "SoftmaxTverskyLoss",
    "SoftmaxUnifiedFocalLoss",
    "TverskyLoss",
    "UnifiedFocalLoss",
    "asymmetric_focal_loss",
    "asymmetric_focal_margin_loss",
    "asymmetric_large_margin_loss",
    "bce_dice_loss",
    "bce_loss",
    "dice_loss",
    "focal_loss",
    "focal_margin_loss",
    "focal_tversky_loss",
    "hybrid_focal_loss",
    "hybrid_focal_margin_loss",
    "plain",
    "pool",
    "recommended_margin",
    "softmax_asymmetric_focal_loss",
    "softmax_asymmetric_focal_margin_loss",
    "softmax_asymmetric_large_margin_loss",
    "softmax_cross_entropy_dice_loss",
    "softmax_cross_entropy_loss",
    "softmax_dice_loss",
    "softmax_focal_loss",
    "softmax_focal_margin_loss",
    "softmax_focal_tversky_loss",
    "softmax_hybrid_focal_loss",
    "softmax_hybrid_focal_margin_loss",
    "softmax_tversky_loss",
    "softmax_unified_focal_loss",
    "sum_over_ranks",
    "tversky_loss",
    "unified_focal_loss",
]
