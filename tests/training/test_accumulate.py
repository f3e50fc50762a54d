"""A batch in parts has the loss and the gradient of the whole batch."""

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from fissura.losses import DeepSupervisionLoss, hybrid_focal_margin_loss
from fissura.training.accumulate import backward_in_parts


class Two(nn.Module):
    """A network with two outputs."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 1, 1)

    def forward(self, image):
        features = self.first(image).relu()
        return [self.second(features), self.second(features[:, :, ::2, ::2])]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(5, 3, 8, 8, generator=generator)
    return image, (torch.rand(5, 1, 8, 8, generator=generator) < 0.2).float()


def gradients(network, image, loss_of, sizes=None):
    network.zero_grad()
    torch.manual_seed(1)
    if sizes is None:
        loss = loss_of(network(image))
        loss.backward()
    else:
        fabric = Fabric(accelerator="cpu")
        model = fabric.setup(network)
        loss = backward_in_parts(fabric, model, list(image.split(sizes)), loss_of)
    return loss.detach(), [parameter.grad for parameter in network.parameters()]


def test_loss_and_gradient_are_those_of_the_whole_batch(batch):
    image, mask = batch
    torch.manual_seed(0)
    one = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
    whole, parts = (
        gradients(one, image, lambda z: hybrid_focal_margin_loss(z, mask), sizes)
        for sizes in (None, [2, 2, 1])
    )
    torch.testing.assert_close(parts, whole)


def test_several_outputs_too(batch):
    image, mask = batch
    torch.manual_seed(0)
    network, loss = Two(), DeepSupervisionLoss(hybrid_focal_margin_loss)
    whole, parts = (
        gradients(network, image, lambda z: loss(z, [mask, mask[:, :, ::2, ::2]]), sizes)
        for sizes in (None, [3, 2])
    )
    torch.testing.assert_close(parts, whole)


def test_dropout_is_the_same_in_both_passes_and_running_means_move_once(batch):
    image, mask = batch
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 1, 1)
    )
    seen = []
    network.register_forward_hook(lambda module, given, output: seen.append(output.detach()))
    gradients(network, image, lambda z: hybrid_focal_margin_loss(z, mask), [3, 2])
    assert torch.equal(torch.cat(seen[:2]), torch.cat(seen[2:]))
    assert network[1].num_batches_tracked == 2
