import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fissura.checkpoint import ModelConfig, load_model, save_model
from fissura.errors import InputError
from fissura.models import build_model, efficient_unet
from fissura.models.blocks import pad_to_multiple
from fissura.training.options import TrainOptions
from fissura.training.train import train

SMALL = "efficientnet-b0"


@pytest.fixture(scope="module")
def b7():
    return efficient_unet().eval()


@pytest.fixture(scope="module")
def b0():
    torch.manual_seed(0)
    return efficient_unet(encoder=SMALL).eval()


def test_b7_is_as_large_as_published(b7):
    count = sum(p.numel() for p in b7.parameters())
    assert count == 67_095_329  # what segmentation-models-pytorch's own has
    assert count == pytest.approx(67e6, rel=0.015)


def test_b7_takes_any_size_and_aspect(b7):
    with torch.no_grad():
        for size_hw in [(33, 50), (1, 1)]:
            logits = b7(torch.randn(1, 3, *size_hw))
            assert logits.shape == (1, 1, *size_hw)
            assert logits.isfinite().all()


def test_the_decoder_is_the_pinned_down_one(b7):
    blocks = b7.network.decoder.blocks
    skips = [224, 80, 48, 64, 0]
    widths = [256, 128, 64, 32, 16]
    assert [block.conv2[0].out_channels for block in blocks] == widths
    assert [block.conv1[0].in_channels for block in blocks] == [
        before + skip for before, skip in zip([640, *widths[:-1]], skips, strict=True)
    ]
    for block in blocks:
        for conv in (block.conv1, block.conv2):
            assert [type(layer) for layer in conv] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
            assert conv[0].kernel_size == (3, 3)
    head = b7.network.segmentation_head[0]
    assert (head.in_channels, head.out_channels, head.kernel_size) == (16, 1, (3, 3))


def test_the_decoder_upsamples_by_nearest_neighbor(b0):
    seen = []
    level = b0.network.decoder.blocks[4]  # without a skip
    before = b0.network.decoder.blocks[3].conv2.register_forward_hook(
        lambda _, inputs, output: seen.append(output)
    )
    after = level.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        b0(torch.randn(1, 3, 32, 64))
    before.remove()
    after.remove()
    x, upsampled = seen
    assert torch.equal(upsampled, x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_padding_changes_nothing_where_32_divides_and_is_cropped_elsewhere(b0):
    with torch.no_grad():
        image = torch.randn(2, 3, 32, 96)
        assert torch.equal(b0(image), b0.network(image))
        image = torch.randn(2, 3, 33, 70)
        expected = b0.network(pad_to_multiple(image, 32))[..., :33, :70]
        assert torch.equal(b0(image), expected)


def test_every_parameter_learns_but_the_classifiers(b0):
    # In evaluation mode, where no residual branch is dropped.
    model = efficient_unet(encoder=SMALL).eval()
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    unused = {"_conv_head.weight", "_bn1.weight", "_bn1.bias"}
    for name, parameter in model.named_parameters():
        learns = name.removeprefix("network.encoder.") not in unused
        assert parameter.requires_grad == learns, name
        assert (parameter.grad is not None and bool(parameter.grad.any())) == learns, name


def test_trains_in_bfloat16_and_channels_last():
    model = efficient_unet(encoder=SMALL).train().to(memory_format=torch.channels_last)
    image = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(image)
    assert logits.dtype == torch.bfloat16
    logits.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_a_batch_that_cannot_be_normalized_gets_a_sentence():
    model = efficient_unet(encoder=SMALL).train()
    with pytest.raises(InputError, match=r"One image of 20×32 pixels .*--crop"):
        model(torch.randn(1, 3, 20, 32))
    assert model(torch.randn(1, 3, 20, 33)).shape == (1, 1, 20, 33)


def test_saved_and_loaded_it_gives_the_same_logits(b0, tmp_path):
    save_model(tmp_path, b0, ModelConfig(model="efficient-unet", options={"encoder": SMALL}))
    loaded, _ = load_model(tmp_path)
    image = torch.randn(1, 3, 50, 40)
    assert torch.equal(loaded(image), b0(image))


def test_initial_weights_depend_on_the_seed_alone(b0):
    torch.manual_seed(0)
    same = efficient_unet(encoder=SMALL).state_dict()
    assert all(torch.equal(same[name], tensor) for name, tensor in b0.state_dict().items())
    torch.manual_seed(1)
    other = efficient_unet(encoder=SMALL).state_dict()
    stem = "network.encoder._conv_stem.weight"
    assert not torch.equal(other[stem], same[stem])


def test_other_encoders_are_sent_elsewhere():
    with pytest.raises(InputError, match=r"no encoder 'resnet34' for efficient_unet.*smp:Unet"):
        efficient_unet(encoder="resnet34")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty cache of huggingface.co, and no network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_unreachable_weights_get_a_sentence(hub):
    with pytest.raises(InputError, match=r"efficientnet-b7 could not be .*leave out --pretrained"):
        build_model("efficient-unet", pretrained=True)


def test_pretrained_weights_arrive(hub, b0):
    from segmentation_models_pytorch.encoders import encoders

    place = encoders[SMALL]["pretrained_settings"]["imagenet"]
    folder = hub / f"models--{place['repo_id'].replace('/', '--')}" / "snapshots"
    (folder / place["revision"]).mkdir(parents=True)
    (folder / place["revision"] / "config.json").write_text("{}")
    weights = {name: torch.randn_like(p) for name, p in b0.network.encoder.named_parameters()}
    complete = b0.network.encoder.state_dict() | weights
    save_file(complete, folder / place["revision"] / "model.safetensors")
    model = efficient_unet(encoder=SMALL, pretrained=True)
    for name, parameter in model.network.encoder.named_parameters():
        assert torch.equal(parameter, weights[name]), name


def test_fissura_train_takes_it(lines, tmp_path):
    config = TrainOptions(
        model="efficient-unet", encoder=SMALL, epochs=1, batch_size=6, accelerator="cpu", ema=0.9
    )
    train(lines, out=tmp_path / "run", options=config, quiet=True)
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert 0 < line["loss"] < 10
    model, card = load_model(tmp_path / "run")
    assert (card.model, card.options) == ("efficient-unet", {"encoder": SMALL})
    assert model(torch.zeros(1, 3, 20, 30)).shape == (1, 1, 20, 30)
