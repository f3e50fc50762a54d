"""Dice and Tversky losses of several classes, of which each pixel has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from .._loss import LossModule
from .._valid_pixels import Pixels, check_option
from ..tversky import check_focal_tversky_options
from ._class_pixels import class_loss, foreground, raised, rare_classes, tversky_errors

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def softmax_dice_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    smooth: float = 1.0,
    squared: bool = False,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Dice loss of several classes: one minus the overlap, summed over the classes.

    Σ_{c≥1} [1 − (2Σp_c·t_c + s)/(Σp_c + Σt_c + s)], with p = softmax(z) and the inner sums over the
    valid pixels of the batch; `squared`: Σp_c² + Σt_c² in the denominator. The background, c = 0,
    has no term. With two classes it is `dice_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        smooth: s ≥ 0. Above 0, false positives where a class is absent are punished too.
        squared: Milletari's squares in the denominator.
        per_image: False pools the sums over the batch; True makes one loss per image, and its
            mean is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: the paper's L_dice, equations 1 and 5, whose sums begin at c = 1. Others take the mean
    over the classes, which makes the loss smaller by their number.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_dice_loss(logits, target)
    tensor(0.7721)
    >>> softmax_dice_loss(logits, target, squared=True)
    tensor(0.5537)
    """
    check_option("smooth", smooth, 0.0)

    def formula(pixels: Pixels) -> Tensor:
        errors = tversky_errors(pixels, 0.5, smooth / 2, per_image=per_image, squared=squared)
        return foreground(list(errors.unbind(-1)))

    return class_loss(formula, logits, target, mask, reduction, pooled=True, per_image=per_image)


class SoftmaxDiceLoss(LossModule):
    """`softmax_dice_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_dice_loss)

    def __init__(
        self, *, reduction: str = "mean", smooth: float = 1.0, squared: bool = False,
        per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, smooth=smooth, squared=squared, per_image=per_image)


def softmax_tversky_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    delta: float = 0.7,
    smooth: float = 1.0,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Tversky loss of several classes: false negatives weigh δ, summed over the classes.

    Σ_{c≥1} (1 − TI_c), TI_c = (TP + s)/(TP + δ·FN + (1−δ)·FP + s), with p = softmax(z), TP =
    Σp_c·t_c, FN = Σ(1−p_c)·t_c, FP = Σp_c·(1−t_c) over the valid pixels of the batch. The
    background, c = 0, has no term. With two classes it is `tversky_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        delta: δ in [0, 1], the weight of false negatives in TI_c.
        smooth: s ≥ 0. Above 0, false positives where a class is absent are punished too.
        per_image: False pools the sums over the batch; True makes one loss per image, and its
            mean is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: S. Salehi et al., "Tversky loss function for image segmentation using 3D fully
    convolutional deep networks", MLMI 2017; the paper's equation 4, whose sum begins at c = 1.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_tversky_loss(logits, target)
    tensor(0.5608)
    """
    check_option("delta", delta, 0.0, 1.0)
    check_option("smooth", smooth, 0.0)

    def formula(pixels: Pixels) -> Tensor:
        errors = tversky_errors(pixels, delta, smooth, per_image=per_image)
        return foreground(list(errors.unbind(-1)))

    return class_loss(formula, logits, target, mask, reduction, pooled=True, per_image=per_image)


class SoftmaxTverskyLoss(LossModule):
    """`softmax_tversky_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_tversky_loss)

    def __init__(
        self, *, reduction: str = "mean", delta: float = 0.7, smooth: float = 1.0,
        per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, delta=delta, smooth=smooth, per_image=per_image)


def softmax_focal_tversky_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    rare: Sequence[int] | None = None,
    delta: float = 0.7,
    gamma: float = 0.75,
    smooth: float = 1.0,
    per_image: bool = False,
) -> Float[Tensor, "*reduced"]:
    """Focal Tversky loss of several classes: a power of the Tversky loss of rare ones.

    Σ_{c∈R} (1 − TI_c)^γ + Σ_{c∉R, c≥1} (1 − TI_c), TI_c as in `softmax_tversky_loss`. It is that
    loss at γ = 1. The background, c = 0, has no term. With two classes it is `focal_tversky_loss`
    of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean"; with `per_image` also "sum", or "none" (one value per image).
        rare: R, numbers of the rare classes; None: all but the background, 0.
        delta: δ in [0, 1], the weight of false negatives in TI_c.
        gamma: γ > 0, the exponent of 1 − TI_c.
        smooth: s ≥ 0. Above 0, false positives where a class is absent are punished too.
        per_image: False pools the sums over the batch; True makes one loss per image, and its
            mean is over the images with valid pixels.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape (N,).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: N. Abraham and N. Khan, "A novel focal Tversky loss function with improved attention
    U-Net for lesion segmentation", ISBI 2019; the paper's equation 6, whose sum begins at c = 1,
    with its equation 8, by which classes that are not rare have the exponent 1.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_focal_tversky_loss(logits, target)
    tensor(0.7528)
    >>> softmax_focal_tversky_loss(logits, target, rare=[2])
    tensor(0.6628)
    """
    check_focal_tversky_options(delta, gamma, smooth)

    def formula(pixels: Pixels) -> Tensor:
        errors = tversky_errors(pixels, delta, smooth, per_image=per_image)
        return foreground(raised(errors, gamma, rare_classes(rare, pixels.z.shape[1])))

    return class_loss(formula, logits, target, mask, reduction, pooled=True, per_image=per_image)


class SoftmaxFocalTverskyLoss(LossModule):
    """`softmax_focal_tversky_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_focal_tversky_loss)

    def __init__(
        self, *, reduction: str = "mean", rare: Sequence[int] | None = None, delta: float = 0.7,
        gamma: float = 0.75, smooth: float = 1.0, per_image: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            reduction=reduction,
            rare=rare,
            delta=delta,
            gamma=gamma,
            smooth=smooth,
            per_image=per_image,
        )
