"""Cross-entropy and focal losses of several classes, of which each pixel has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from .._loss import LossModule
from .._valid_pixels import Pixels, check_option
from ._class_pixels import class_loss, entropy_per_pixel, rare_classes

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def softmax_cross_entropy_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "*reduced"]:
    """Cross-entropy of several classes: the log-likelihood of each pixel.

    −mean[Σ_c t_c·log p_c], with p = softmax(z) over the classes c of the logits z and the target t.
    With two classes it is `bce_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape
        (N, 1, *spatial).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: the paper's L_bce over its classes c. It differs from torch's `cross_entropy` by the
    mask and by computing in float32.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_cross_entropy_loss(logits, target)
    tensor(1.1697)
    """

    def formula(pixels: Pixels) -> Tensor:
        return entropy_per_pixel(pixels)

    return class_loss(formula, logits, target, mask, reduction)


class SoftmaxCrossEntropyLoss(LossModule):
    """`softmax_cross_entropy_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_cross_entropy_loss)

    def __init__(
        self, *, reduction: str = "mean"
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction)


def softmax_focal_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    gamma_hat: float = 2.0,
) -> Float[Tensor, "*reduced"]:
    """Focal loss of several classes: pixels of every class fade that are already right.

    −mean[Σ_c (1−p_c)^γ̂·t_c·log p_c], with p = softmax(z). It is `softmax_cross_entropy_loss` at
    γ̂ = 0. With two classes it is `focal_loss` of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        gamma_hat: γ̂ ≥ 0, the focusing exponent.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape
        (N, 1, *spatial).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 4 over
    the classes, as in Z. Li et al., "Overfitting of neural nets under class imbalance",
    MICCAI 2019. No α.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_focal_loss(logits, target)
    tensor(0.7141)
    >>> softmax_focal_loss(logits, target, gamma_hat=0.0)
    tensor(1.1697)
    """
    check_option("gamma_hat", gamma_hat, 0.0)

    def formula(pixels: Pixels) -> Tensor:
        return entropy_per_pixel(pixels, gamma_hat=gamma_hat)

    return class_loss(formula, logits, target, mask, reduction)


class SoftmaxFocalLoss(LossModule):
    """`softmax_focal_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_focal_loss)

    def __init__(
        self, *, reduction: str = "mean", gamma_hat: float = 2.0,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, gamma_hat=gamma_hat)


def softmax_asymmetric_focal_loss(
    logits: Float[Tensor, "n c *spatial"],
    target: Shaped[Tensor, "n k *spatial"],
    *,
    mask: Shaped[Tensor, "n 1 *spatial"] | None = None,
    reduction: str = "mean",
    rare: Sequence[int] | None = None,
    gamma_hat: float = 2.0,
) -> Float[Tensor, "*reduced"]:
    """Asymmetric focal loss of several classes: rare ones keep their full weight.

    −mean[Σ_{c∈R} t_c·log p_c + Σ_{c∉R} (1−p_c)^γ̂·t_c·log p_c], with p = softmax(z): only pixels of
    classes that are not rare fade where they are right. It is `softmax_focal_loss` where no class
    is rare, `softmax_cross_entropy_loss` at γ̂ = 0. With two classes it is `asymmetric_focal_loss`
    of z₁ − z₀.

    Args:
        logits: z, finite, (N, C, *spatial) of any floating dtype, channel 0 that of the background;
            computed in float32, float64 for float64.
        target: classes 0 … C − 1 as integers (N, 1, *spatial); or t, soft, of the shape of the
            logits, adding up to 1 over the classes.
        mask: the valid pixels (N, 1, *spatial), boolean, or 0 and 1; the others have no influence,
            whatever they hold. None: all are valid. Where none is valid, the loss is 0.
        reduction: "mean" over the valid pixels, "sum", or "none" (per pixel, 0 where invalid).
        rare: R, numbers of the rare classes; None: all but the background, 0.
        gamma_hat: γ̂ ≥ 0, the focusing exponent.

    Returns:
        The loss in float32 (float64 for float64): a scalar, or of the shape
        (N, 1, *spatial).

    Raises:
        ValueError: for other shapes, dtypes and options, and for targets that are no classes.

    Source: Z. Li et al., "Overfitting of neural nets under class imbalance", MICCAI 2019, for one
    rare class r; the paper's equation 2, L_aFL. Ours takes a set R of them.

    >>> import torch
    >>> logits = torch.tensor([[[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    >>> target = torch.tensor([[[1, 0, 2]]])
    >>> softmax_asymmetric_focal_loss(logits, target)
    tensor(0.9682)
    >>> softmax_asymmetric_focal_loss(logits, target, rare=[2])
    tensor(0.8919)
    """
    check_option("gamma_hat", gamma_hat, 0.0)

    def formula(pixels: Pixels) -> Tensor:
        rare_ = rare_classes(rare, pixels.z.shape[1])
        fading = set(range(pixels.z.shape[1])) - rare_
        return entropy_per_pixel(pixels, gamma_hat=gamma_hat, fading=fading)

    return class_loss(formula, logits, target, mask, reduction)


class SoftmaxAsymmetricFocalLoss(LossModule):
    """`softmax_asymmetric_focal_loss` as a module, whose options are given once."""

    function = staticmethod(softmax_asymmetric_focal_loss)

    def __init__(
        self, *, reduction: str = "mean", rare: Sequence[int] | None = None, gamma_hat: float = 2.0,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction, rare=rare, gamma_hat=gamma_hat)
