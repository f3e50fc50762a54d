"""`Form`: the fourteen numbers that say which loss the fused form computes."""

from __future__ import annotations

from typing import NamedTuple


class Form(NamedTuple):
    """The parameters of a pooled loss; p = σ(z), s(x) = −log σ(−x), the softplus.

    All losses here (but squared Dice) are w·mean[ℓ] + w₁·(1 − TI₁)^e₁ + w₀·(1 − TI₀)^e₀, with three
    pooled sums (Σpt, Σ(1−p)t, Σp(1−t)) and one pointwise one. So the gradient of a pixel needs one
    coefficient per class, besides its own logit and target. In full:

    focal·mean[crack·t·(1−p)^γ̂·s(m₁−z) + background·(1−t)·p^γ̂·s(z+m₀)]
    + region·(1 − TI₁)^power + region_background·(1 − TI₀)^power_background,
    TI₁ = (TP + smooth)/(TP + δ·FN + (1−δ)·FP + smooth), TI₀ the same of the background class.
    A weight of 0 leaves its term out.

    Attributes:
        focal: the weight of the focal term.
        crack: the weight of crack in it.
        background: the weight of background in it.
        gamma: γ̂.
        crack_fades: 1 where the crack term has its factor (1−p)^γ̂, else 0.
        margin: m₁, of crack.
        margin_background: m₀, of background.
        mean: 0 for the sum over the pixels instead of the mean.
        region: the weight of the crack class's region term.
        power: its exponent.
        region_background: the weight of the background class's region term.
        power_background: its exponent.
        delta: δ, the weight of false negatives.
        smooth: the smoothing of both TI.
    """

    focal: float = 1.0
    crack: float = 1.0
    background: float = 1.0
    gamma: float = 0.0
    crack_fades: float = 0.0
    margin: float = 0.0
    margin_background: float = 0.0
    mean: float = 1.0
    region: float = 0.0
    power: float = 1.0
    region_background: float = 0.0
    power_background: float = 1.0
    delta: float = 0.5
    smooth: float = 1.0

    def weighted(self, focal_weight: float | None) -> Form:
        """λ times the focal term and 1 − λ times the region terms; None leaves them."""
        if focal_weight is None:
            return self
        rest = 1 - focal_weight
        return self._replace(
            focal=focal_weight * self.focal,
            region=rest * self.region,
            region_background=rest * self.region_background,
        )
