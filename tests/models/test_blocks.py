import pytest
import torch
import torch.nn.functional as F

from fissura.models import crackseg
from fissura.models.blocks import DecoderLevel, upsample_concat_conv


@pytest.mark.parametrize("skip_channels", [0, 3])
def test_the_merged_convolution_is_that_of_the_enlarged_and_concatenated(skip_channels):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 3, dtype=torch.float64, requires_grad=True)
    skip = torch.randn(2, skip_channels, 10, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 4 + skip_channels, 3, 3, dtype=torch.float64, requires_grad=True)
    enlarged = torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1)
    plain = F.conv2d(enlarged, weight, padding=1)
    merged = upsample_concat_conv(x, skip if skip_channels else None, weight)
    torch.testing.assert_close(merged, plain)
    slope = torch.randn_like(plain)
    inputs = (x, skip, weight) if skip_channels else (x, weight)
    ours, theirs = (torch.autograd.grad(y, inputs, slope) for y in (merged, plain))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_only_the_training_of_a_merged_network_is_computed_otherwise():
    torch.manual_seed(0)
    network, image = crackseg(width=4), torch.randn(2, 3, 32, 48)
    names = list(network.state_dict())
    plain = {mode: network.train(mode)(image) for mode in (True, False)}
    for level in network.decoder:
        assert isinstance(level, DecoderLevel)
        level.merged = True
    assert list(network.state_dict()) == names
    # The running statistics have moved by now, so that modes are compared with themselves.
    training = network.train()(image)
    assert not torch.equal(training, plain[True])
    torch.testing.assert_close(training, plain[True], rtol=1e-4, atol=1e-4)
    network.eval()
    merged = network(image)
    for level in network.decoder:
        level.merged = False
    assert torch.equal(network(image), merged)
