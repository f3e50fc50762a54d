"""The recommended margin, and what a margin does."""

import math

import pytest
import torch

from fissura.losses import asymmetric_large_margin_loss, bce_loss, recommended_margin


@pytest.mark.parametrize(
    ("crack_fraction", "margin"),
    [(0.0, 1.5), (0.003, 1.5), (0.03, 1.5), (0.04, 1.25), (0.05, 1.0), (0.07, 0.5), (1.0, 0.5)],
)
def test_recommended_margin(crack_fraction, margin):
    assert recommended_margin(crack_fraction) == pytest.approx(margin, abs=1e-12)


@pytest.mark.parametrize("crack_fraction", [-0.01, 1.01, math.nan, math.inf])
def test_recommended_margin_refuses_what_is_no_fraction(crack_fraction):
    with pytest.raises(ValueError, match="crack_fraction must be between 0 and 1"):
        recommended_margin(crack_fraction)


def test_a_margin_raises_the_loss_of_crack_alone():
    logits = torch.linspace(-5, 5, 11).reshape(1, 1, -1)
    crack, background = torch.ones_like(logits), torch.zeros_like(logits)
    plain, options = {"reduction": "none"}, {"reduction": "none", "margin": 1.0}
    higher = asymmetric_large_margin_loss(logits, crack, **options)
    assert (higher > bce_loss(logits, crack, **plain)).all()
    torch.testing.assert_close(higher[..., 1:], bce_loss(logits, crack, **plain)[..., :-1])
    same = asymmetric_large_margin_loss(logits, background, **options)
    assert torch.equal(same, bce_loss(logits, background, **plain))
