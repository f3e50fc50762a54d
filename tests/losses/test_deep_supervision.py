"""Several outputs of a network under one loss."""

import pytest
import torch

from fissura.losses import BCELoss, DeepSupervisionLoss, bce_loss

TARGET = torch.tensor([[[1.0, 0.0, 0.0, 1.0]]])
LOGITS = [torch.full((1, 1, 4), x) for x in (1.0, 2.0, 4.0)]


def test_one_output_is_the_loss_alone():
    loss = DeepSupervisionLoss(BCELoss())
    assert torch.equal(loss(LOGITS[0], TARGET), bce_loss(LOGITS[0], TARGET))


@pytest.mark.parametrize(
    ("weights", "used"), [(None, (1, 0.5, 0.25)), ((1, 0, 0), (1, 0, 0)), ((3, 2, 1), (3, 2, 1))]
)
def test_the_mean_is_weighted(weights, used):
    mask = torch.tensor([[[True, True, False, True]]])
    loss = DeepSupervisionLoss(bce_loss, weights)(LOGITS, TARGET, mask=mask)
    values = [w * bce_loss(z, TARGET, mask=mask) for w, z in zip(used, LOGITS, strict=True)]
    torch.testing.assert_close(loss, sum(values) / sum(used))


def test_each_output_may_have_its_own_size():
    logits, targets = [LOGITS[0], LOGITS[1][..., ::2]], [TARGET, TARGET[..., ::2]]
    expected = (bce_loss(logits[0], targets[0]) + bce_loss(logits[1], targets[1])) / 2
    torch.testing.assert_close(DeepSupervisionLoss(bce_loss, (1, 1))(logits, targets), expected)


def test_misfits_are_refused():
    with pytest.raises(ValueError, match="3 outputs, but 2 weights"):
        DeepSupervisionLoss(bce_loss, (1, 1))(LOGITS, TARGET)
    with pytest.raises(ValueError, match="3 outputs, but 2 targets"):
        DeepSupervisionLoss(bce_loss)(LOGITS, [TARGET, TARGET])
    for weights in [(0, 0), (-1, 2), ()]:
        with pytest.raises(ValueError, match="weights"):
            DeepSupervisionLoss(bce_loss, weights)
