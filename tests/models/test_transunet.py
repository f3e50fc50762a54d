import json
from functools import partial

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from fissura.checkpoint import ModelConfig, load_model, save_model
from fissura.errors import InputError
from fissura.models import build_model, transunet
from fissura.models.blocks import pad_to_multiple
from fissura.models.transunet import HYBRID, CascadeLevel, HybridEncoder
from fissura.training.options import TrainOptions
from fissura.training.train import train


@pytest.fixture(scope="module")
def model():
    model = transunet().eval()
    # timm starts every residual branch at zero, which would hide it from the tests.
    for name, parameter in model.named_parameters():
        if name.endswith("norm3.weight"):
            nn.init.ones_(parameter)
    return model


@pytest.fixture
def shallow(monkeypatch):
    """One of the twelve transformer blocks, where all twelve would only cost time and disk."""
    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, depth=1))


def test_it_is_as_large_as_published(model):
    count = sum(p.numel() for p in model.parameters())
    # Chen's code has 105 276 066 with two classes, whose head has one bias and 144 weights more.
    assert count == 105_276_066 - 145
    assert count == pytest.approx(105.28e6, rel=0.015)


def test_any_size_and_aspect(model):
    with torch.no_grad():
        for size_hw in [(33, 50), (1, 1)]:
            logits = model(torch.randn(1, 3, *size_hw))
            assert logits.shape == (1, 1, *size_hw)
            assert logits.isfinite().all()


def test_padding_changes_nothing_where_16_divides_and_is_cropped_elsewhere(model):
    with torch.no_grad():
        image = torch.randn(1, 3, 32, 48)
        assert torch.equal(model(image), model.network(image))
        image = torch.randn(1, 3, 33, 41)
        expected = model.network(pad_to_multiple(image, 16))[..., :33, :41]
        assert torch.equal(model(image), expected)


def test_constant_padding_is_timms_where_16_divides(model):
    ours = model.network.encoder.backbone
    timms = timm.create_model(HYBRID, num_classes=0, depth=1).patch_embed.backbone.eval()
    timms.load_state_dict(ours.state_dict())
    with torch.no_grad():
        for size_hw in [(32, 48), (16, 16)]:
            image = torch.randn(1, 3, *size_hw)
            assert torch.equal(ours(image), timms(image))


def test_the_encoder_is_chens(model):
    encoder = model.network.encoder
    assert [len(stage.blocks) for stage in encoder.backbone.stages] == [3, 4, 9]
    assert len(encoder.blocks) == 12
    assert encoder.position.shape == (1, 768, 14, 14)
    rates = {name: m.p for name, m in encoder.named_modules() if isinstance(m, nn.Dropout)}
    assert {name for name, rate in rates.items() if rate == 0.1} == {
        "position_dropout",
        *(f"blocks.{i}.mlp.drop{j}" for i in range(12) for j in (1, 2)),
    }
    assert set(rates.values()) == {0.0, 0.1}
    assert not any("cls" in name or "head" in name for name, _ in encoder.named_parameters())


def test_the_encoder_computes_what_timm_does_without_a_class_token(shallow):
    torch.manual_seed(0)
    encoder = HybridEncoder().eval()
    torch.manual_seed(0)
    vit = timm.create_model(HYBRID, num_classes=0, dynamic_img_size=True).eval()
    vit.cls_token, vit.num_prefix_tokens = None, 0
    vit.pos_embed = nn.Parameter(vit.pos_embed[:, 1:])
    image = torch.randn(1, 3, 48, 80)
    with torch.no_grad():
        deepest, skips = encoder(image)
        tokens = vit.forward_features(image)[0]
        stem = vit.patch_embed.backbone.stem.norm(vit.patch_embed.backbone.stem.conv(image))
        first = vit.patch_embed.backbone.stages[0](vit.patch_embed.backbone.stem.pool(stem))
        second = vit.patch_embed.backbone.stages[1](first)
    assert deepest.shape == (1, 768, 3, 5)
    for row in range(3):
        for column in range(5):
            torch.testing.assert_close(
                deepest[0, :, row, column], tokens[5 * row + column], rtol=1e-4, atol=1e-4
            )
    for skip, reference in zip(skips, [second, first, stem], strict=True):
        torch.testing.assert_close(skip, reference)
    assert [skip.shape[1:] for skip in skips] == [(512, 6, 10), (256, 12, 20), (64, 24, 40)]


def test_the_decoder_is_the_pinned_down_one(model):
    network = model.network
    neck = network.bottleneck[0]
    assert (neck.in_channels, neck.out_channels, neck.kernel_size) == (768, 512, (3, 3))
    plan = [
        [(c[0].in_channels, c[0].out_channels) for c in level.refine] for level in network.decoder
    ]
    assert plan == [
        [(512 + 512, 256), (256, 256)],
        [(256 + 256, 128), (128, 128)],
        [(128 + 64, 64), (64, 64)],
        [(64, 16), (16, 16)],
    ]
    for level in network.decoder:
        for conv in level.refine:
            assert [type(layer) for layer in conv] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
            assert conv[0].kernel_size == (3, 3)
    assert (network.head.out_channels, network.head.kernel_size) == (1, (3, 3))


def test_a_level_upsamples_bilinearly_corner_to_corner():
    level = CascadeLevel(1, 2, 3)
    seen = []
    level.refine.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x, skip = torch.randn(1, 1, 3, 5), torch.randn(1, 2, 6, 10)
    assert level(x, skip).shape == (1, 3, 6, 10)
    columns = np.array(
        [np.interp(np.linspace(0, 4, 10), np.arange(5), row) for row in x[0, 0].numpy()]
    )
    both = np.array(
        [np.interp(np.linspace(0, 2, 6), np.arange(3), column) for column in columns.T]
    ).T
    np.testing.assert_allclose(seen[0][0, 0].numpy(), both, rtol=1e-5, atol=1e-6)
    assert torch.equal(seen[0][:, 1:], skip)


def test_every_parameter_learns(model):
    model(torch.randn(1, 3, 32, 48)).square().sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    model.zero_grad(set_to_none=True)
    assert idle == []


@pytest.mark.parametrize("size_hw", [(32, 32), (16, 16)])
def test_trains_in_bfloat16_and_channels_last(shallow, size_hw):
    model = transunet().train().to(memory_format=torch.channels_last)
    image = torch.randn(2, 3, *size_hw).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(image)
    assert logits.dtype == torch.bfloat16
    logits.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_batch_that_cannot_be_normalized_gets_a_sentence(shallow):
    model = transunet().train()
    with pytest.raises(InputError, match=r"One image of 16×9 pixels .*--crop"):
        model(torch.randn(1, 3, 16, 9))
    assert model(torch.randn(1, 3, 16, 17)).shape == (1, 1, 16, 17)


def test_saved_and_loaded_it_gives_the_same_logits(shallow, tmp_path):
    model = transunet().eval()
    save_model(tmp_path, model, ModelConfig(model="transunet", options={}))
    loaded, _ = load_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()  # large
    image = torch.randn(1, 3, 50, 40)
    assert torch.equal(loaded(image), model(image))


def test_initial_weights_depend_on_the_seed_alone(shallow):
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(transunet().state_dict())
    first, same, other = states
    assert all(torch.equal(same[name], tensor) for name, tensor in first.items())
    for name in ("position", "backbone.stem.conv.weight", "blocks.0.mlp.fc1.weight"):
        assert not torch.equal(other[f"network.encoder.{name}"], first[f"network.encoder.{name}"])


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty cache of huggingface.co, and no network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_unreachable_weights_get_a_sentence(shallow, hub):
    with pytest.raises(InputError, match=r"vit_base_r50_s16.* could not be .*leave out --pretrain"):
        build_model("transunet", pretrained=True)


def test_pretrained_weights_arrive(shallow, hub):
    repository = hub / f"models--timm--{HYBRID}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
    file = repository / "snapshots" / ("0" * 40) / "model.safetensors"
    weights = timm.create_model(HYBRID, num_classes=0).state_dict()
    save_file(weights, file)
    encoder = HybridEncoder(pretrained=True)
    file.unlink()  # large
    position = weights.pop("pos_embed")[0, 1:].view(14, 14, 768)
    weights.pop("cls_token")
    assert torch.equal(encoder.position[0, :, 3, 5], position[3, 5])
    ours = encoder.state_dict()
    places = {"patch_embed.backbone.": "backbone.", "patch_embed.proj.": "projection."}
    for name, tensor in weights.items():
        for theirs, place in places.items():
            name = name.replace(theirs, place)
        assert torch.equal(ours.pop(name), tensor), name
    assert list(ours) == ["position"]


@pytest.mark.slow  # the network has 105 million parameters
def test_fissura_train_takes_it(shallow, lines, tmp_path):
    config = TrainOptions(model="transunet", epochs=1, batch_size=6, accelerator="cpu")
    train(lines, out=tmp_path / "run", options=config, quiet=True)
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert 0 < line["loss"] < 10
    model, card = load_model(tmp_path / "run")
    for large in ("model/model.safetensors", "state/state.pt"):
        (tmp_path / "run" / large).unlink()
    assert (card.model, card.options) == ("transunet", {})
    assert model(torch.zeros(1, 3, 20, 30)).shape == (1, 1, 20, 30)
