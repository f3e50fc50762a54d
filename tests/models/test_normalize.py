import numpy as np
import pytest
import torch

from fissura.models.normalize import normalize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_it_is_the_formula(dtype):
    image = torch.randint(0, 256, (2, 3, 5, 7), generator=torch.Generator().manual_seed(0))
    ours = normalize(image.to(dtype), MEAN, STD)
    expected = (image.numpy() / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    assert ours.dtype == torch.float32
    assert ours.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


def test_a_call_within_inference_mode_leaves_nothing_that_training_cannot_use():
    with torch.inference_mode():
        normalize(torch.zeros(1, 3, 2, 2), MEAN, STD)
    image = torch.ones(1, 3, 2, 2, requires_grad=True)
    normalize(image, MEAN, STD).sum().backward()
    assert image.grad is not None
    expected = torch.tensor([1 / (255 * std) for std in STD]).view(1, 3, 1, 1)
    torch.testing.assert_close(image.grad, expected.expand(1, 3, 2, 2))
