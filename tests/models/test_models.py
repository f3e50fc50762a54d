import subprocess
import sys

import pytest
import torch
from torch import nn

from fissura.errors import InputError
from fissura.models import MODELS, build_model, crackseg
from fissura.models.blocks import DecoderLevel, ResidualBlock, pad_to_multiple


@pytest.mark.parametrize("size_hw", [(1, 1), (16, 16), (33, 70)])
def test_any_size_in_same_size_out(size_hw):
    model = crackseg(width=2).eval()
    assert model(torch.randn(2, 3, *size_hw)).shape == (2, 1, *size_hw)


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-b0", "mit_b0", "tu-convnext_atto"])
def test_encoders_of_smp_under_the_same_decoder(encoder):
    model = build_model("crackseg", encoder=encoder).eval()
    assert model(torch.randn(1, 3, 45, 70)).shape == (1, 1, 45, 70)


SMALL = {"DPT": "tu-vit_tiny_patch16_224", "Segformer": "mit_b0"}


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("smp:")])
def test_every_architecture_of_smp(name):
    encoder = SMALL.get(name.removeprefix("smp:"), "resnet18")
    model = build_model(name, encoder=encoder).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 40, 70)).shape == (1, 1, 40, 70)


def test_widths_and_layers_are_the_pinned_down_ones():
    model = crackseg(width=16)
    assert model.encoder.channels == [16, 32, 64, 128, 256]
    inner = [layer for level in model.decoder[:-1] for layer in level.refine]
    assert [type(layer) for layer in inner] == [nn.Sequential, ResidualBlock, ResidualBlock] * 3
    assert [len(list(level.parameters())) for level in model.decoder] == [11, 11, 11, 6]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in inner[1].modules())
    assert all(conv.bias is not None for conv in inner[1].children())
    assert model.decoder[0].refine[0][0].in_channels == 256 + 128
    assert model.decoder[-1].refine[1][0].out_channels == 16
    assert model.head.kernel_size == (3, 3)


def test_residual_block_adds_and_does_nothing_after():
    block = ResidualBlock(4)
    x = torch.randn(1, 4, 5, 5)
    expected = x + torch.relu(block.second(torch.relu(block.first(x))))
    torch.testing.assert_close(block(x), expected)
    nn.init.zeros_(block.second.weight)
    nn.init.zeros_(block.second.bias)
    assert torch.equal(block(x), x)  # negative values pass: no ReLU follows the sum


def test_decoder_level_upsamples_by_nearest_neighbor():
    level = DecoderLevel(2, 1, 3, last=True)
    seen = []
    level.refine.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x, skip = torch.randn(1, 2, 4, 4), torch.randn(1, 1, 8, 8)
    level(x, skip)
    assert torch.equal(seen[0][:, :2], x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert torch.equal(seen[0][:, 2:], skip)


def test_he_initialization_keeps_the_variance():
    torch.manual_seed(0)
    for name, weight in crackseg(width=32).named_parameters():
        if weight.ndim == 4 and weight.numel() > 5000:
            fan_in = weight[0].numel()
            assert weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1), name


@pytest.mark.parametrize("encoder", [None, "resnet18"])
def test_deep_supervision_gives_full_size_logits_of_every_level_in_training(encoder):
    model = crackseg(width=4, encoder=encoder, deep_supervision=True)
    image = torch.randn(2, 3, 40, 56)
    logits = model.train()(image)
    assert len(logits) == len(model.decoder)
    assert all(side.shape == (2, 1, 40, 56) for side in logits)
    sum(side.sum() for side in logits).backward()
    assert all(p.grad is not None for p in model.side_heads.parameters())
    assert isinstance(model.eval()(image), torch.Tensor)


def test_padding_repeats_the_border_and_leaves_fitting_sizes_alone():
    image = torch.arange(6.0).view(1, 1, 2, 3)
    padded = pad_to_multiple(image, 4)
    assert padded[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert pad_to_multiple(padded, 2) is padded


@pytest.mark.parametrize("name", ["efficient_unet", "efficient-unet", "Efficient-UNet"])
def test_names_are_taken_as_one_types_them(name):
    model = build_model(name, encoder="efficientnet-b0")
    assert isinstance(model, nn.Module)


def test_networks_need_no_library_of_networks_until_one_is_built():
    code = (
        "import sys; from fissura.models import build_model; build_model('crackseg', width=2); "
        "print([name for name in ('segmentation_models_pytorch', 'timm') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet", {}, "There is no model 'unet'"),
        ("crackseg", {"depth": 3}, "does not have the option depth"),
        ("crackseg", {"encoder": "resnet19"}, "no encoder 'resnet19'"),
        ("crackseg", {"width": 0}, "at least 1"),
        ("crackseg", {"pretrained": True}, "no pretrained weights for the U-Net basis"),
        ("smp:Unet", {"encoder": "nothing"}, "no encoder 'nothing'"),
        (
            "efficient-unet",
            {"width": 16},
            "does not have the option width; it has channels, encoder",
        ),
        ("transunet", {"encoder": "resnet50"}, "does not have the option encoder"),
    ],
)
def test_bad_requests_get_a_sentence(name, options, message):
    with pytest.raises(InputError, match=message):
        build_model(name, **options)


def test_unreachable_weights_get_a_sentence(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"resnet18 could not be loaded .*leave out --pretrained"):
        build_model("smp:Unet", encoder="resnet18", pretrained=True)


@pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated")
@pytest.mark.parametrize("encoder", ["efficientnet-b0", "timm-efficientnet-b0"])
@pytest.mark.parametrize("model", ["crackseg", "smp:Unet"])
def test_every_weight_that_learns_gets_a_gradient(model, encoder):
    """Training in several processes waits for the gradient of each."""
    network = build_model(model, encoder=encoder).train()
    network(torch.randn(2, 3, 64, 64)).sum().backward()
    learning = dict(network.named_parameters())
    assert [n for n, p in learning.items() if p.requires_grad and p.grad is None] == []
