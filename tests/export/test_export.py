"""Exported models compute what the model computes, say what they are, and are refused otherwise."""

import json
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fissura.checkpoint import ModelConfig, config_of, load_model, save_model
from fissura.cli import run
from fissura.data.images import read_image
from fissura.errors import InputError
from fissura.export import export as module
from fissura.export.export import export_model
from fissura.export.options import ExportOptions
from fissura.export.parity import compared, iou, photos
from fissura.exported import read_entries
from fissura.inference.engines.backends import ExportedNetwork
from fissura.inference.engines.portable import PortableNetwork
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.models import build_model
from fissura.models.normalize import normalize
from fissura.shipped import PHOTOS

LOADED = {}


def pixels(*size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def original(model, image):
    """The model's probabilities of pixels (n, h, w, 3), by its own parts."""
    network, config = LOADED.setdefault(model, load_model(model))
    x = normalize(torch.from_numpy(image).permute(0, 3, 1, 2), config.mean, config.std)
    with torch.no_grad():
        return network(x).sigmoid().numpy()


@given(st.tuples(st.integers(1, 3), st.integers(1, 80), st.integers(1, 80)))
@settings(max_examples=20, deadline=None)
def test_any_size_gives_the_models_probabilities(model, size):
    image = pixels(*size)
    expected = original(model, image)
    with torch.no_grad():
        found = PortableNetwork(*LOADED[model]).eval()(torch.from_numpy(image)).numpy()
    assert found.shape == (size[0], 1, *size[1:])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 31, 64), (3, 5, 7), (2, 100, 47)])
def test_torchscript_gives_the_models_probabilities(model, torchscript_file, size):
    image = pixels(*size)
    network = ExportedNetwork(torchscript_file, PredictOptions())
    with torch.no_grad():
        found = network(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(found, original(model, image), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 31, 64), (3, 5, 7), (1, 1, 1), (2, 100, 47), (1, 64, 128)])
def test_onnx_runtime_gives_the_models_probabilities(model, onnx_file, size):
    onnxruntime = pytest.importorskip("onnxruntime")
    image = pixels(*size)
    session = onnxruntime.InferenceSession(onnx_file)
    (found,) = session.run(["probability"], {"image": image})
    np.testing.assert_allclose(found, original(model, image), atol=1e-5)


def test_openvino_reads_the_onnx_file(model, onnx_file):
    openvino = pytest.importorskip("openvino")
    compiled = openvino.Core().compile_model(onnx_file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    image = pixels(2, 45, 70)
    np.testing.assert_allclose(compiled(image)[0], original(model, image), atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"tile": 64}, {"tile": 96, "tta": True, "batch_size": 3}])
@pytest.mark.parametrize("file", ["onnx_file", "torchscript_file"])
def test_the_predictor_runs_it_with_tiles(model, file, options, request):
    image = read_image(PHOTOS / "concrete_1.jpg")[:150, :203]
    options = {"tile": 512} | options  # or the model itself would be streamed
    expected = Predictor.load(model, precision="float32", device="cpu", **options).prob(image)
    predictor = Predictor.load(request.getfixturevalue(file), **options)
    assert predictor.threshold == 0.37
    np.testing.assert_allclose(predictor.prob(image), expected, atol=1e-5)


def test_each_file_says_what_it_is(model, onnx_file, torchscript_file, tmp_path):
    weights = export_model(model, tmp_path / "weights", ExportOptions(to="safetensors")).file
    assert weights == tmp_path / "weights.safetensors"
    told = {}
    for file in (onnx_file, torchscript_file, weights):
        entries = read_entries(file)
        told[file] = {name: text for name, text in entries.items() if name != "format"}
        assert config_of(file) == config_of(model)
    first, *others = told.values()
    assert all(other == first for other in others)
    assert first["threshold"] == "0.37"
    assert first["scale"] == "1.0"
    assert json.loads(first["classes"]) == ["crack"]
    assert first["terms"] == "for tests only"
    assert "torch" in json.loads(first["versions"])


def test_no_path_of_the_machine_is_in_the_file(onnx_file, torchscript_file):
    for file in (onnx_file, torchscript_file):
        assert str(module.__file__).encode().rpartition(b"/fissura/")[0] not in file.read_bytes()


def test_exported_weights_are_a_model_of_ours(model, tmp_path):
    file = export_model(model, tmp_path / "model.safetensors").file
    network, config = load_model(file)
    assert config == config_of(model)
    expected, _ = load_model(model)
    for name, weight in expected.state_dict().items():
        assert torch.equal(network.state_dict()[name], weight)


@pytest.mark.parametrize("overlapping", [False, True])
def test_a_model_of_several_classes(overlapping, tmp_path):
    classes, channels = ("crack", "rust"), 2 + (not overlapping)
    torch.manual_seed(5)
    network = build_model("crackseg", width=2, channels=channels)
    config = ModelConfig(
        "crackseg", {"width": 2, "channels": channels}, classes=classes, overlapping=overlapping
    )
    save_model(tmp_path / "model", network, config)
    made = export_model(tmp_path / "model", tmp_path / "model.torchscript")
    told = json.loads(read_entries(made.file)["classes"])
    assert told == [*([] if overlapping else ["background"]), *classes]
    image = read_image(PHOTOS / "concrete_2.jpg")[:90, :110]
    (found,) = Predictor.load(made.file).class_predictions([image])
    expected = Predictor.load(tmp_path / "model", device="cpu", precision="float32", tile=512)
    (wanted,) = expected.class_predictions([image])
    np.testing.assert_allclose(found.probs, wanted.probs, atol=1e-5)


def test_a_file_that_computes_something_else_is_not_written(model, tmp_path, monkeypatch):
    def other(network):
        with torch.no_grad():
            network.network.head.bias += 0.1
        return convert(network)

    convert = module.to_torchscript
    monkeypatch.setattr(module, "to_torchscript", other)
    with pytest.raises(InputError, match=r"does not compute what the model does: on 3 photos"):
        export_model(model, tmp_path / "model.torchscript")
    assert not list(tmp_path.iterdir())


def test_probabilities_that_are_no_numbers_are_refused(model, monkeypatch):
    broken = Predictor.load(model)
    monkeypatch.setattr(broken, "prob", lambda image: np.full(image.shape[:2], np.nan, np.float32))
    with pytest.raises(InputError, match="does not compute"):
        compared(broken, Predictor.load(model), photos()[2:])


def test_iou_of_masks():
    one, other = np.array([True, True, False]), np.array([False, True, True])
    assert iou(one, other) == pytest.approx(1 / 3)
    assert iou(one & False, one & False) == 1


@pytest.mark.parametrize(
    ("out", "options", "sentence"),
    [
        ("model", {}, r"Which format\? Give .*model an ending \(\.onnx, \.xml"),
        ("model.onnx", {"to": "openvino"}, "has the ending of onnx, but --to says openvino"),
        ("model.torchscript", {"int8": True}, "int8 is for onnx and openvino, not for torchscript"),
        (".", {"to": "onnx"}, "is a folder. Give the file to write"),
        ("there.torchscript", {}, "exists. Give another name, or add --overwrite"),
    ],
)
def test_what_cannot_be_written_is_told(model, tmp_path, out, options, sentence):
    (tmp_path / "there.torchscript").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        export_model(model, tmp_path / out, ExportOptions(**options))
    assert (tmp_path / "there.torchscript").read_text(encoding="utf-8") == "mine"


def test_an_exported_model_is_run_but_not_trained(torchscript_file):
    with pytest.raises(InputError, match="was exported to be run, by predict, inspect and evalu"):
        load_model(torchscript_file)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": "onnx"}, "is computed by torch, not by onnx"),
        ({"precision": "bfloat16"}, "computes in float32 on CPUs here"),
        ({"device": "cuda"}, "computes in float32 on CPUs here"),
    ],
)
def test_what_an_exported_model_cannot_is_told(torchscript_file, options, sentence):
    with pytest.raises(InputError, match=sentence):
        Predictor.load(torchscript_file, **options)


def test_models_of_others_and_damaged_ones_are_told(model, onnx_file, tmp_path):
    import onnx

    foreign = onnx.load(onnx_file)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    (tmp_path / "damaged.onnx").write_bytes(onnx_file.read_bytes()[:2000])
    (tmp_path / "damaged.torchscript").write_bytes(b"nothing")
    with pytest.raises(InputError, match="was not exported by Fissura"):
        Predictor.load(tmp_path / "foreign.onnx")
    for name in ("damaged.onnx", "damaged.torchscript"):
        with pytest.raises(InputError, match="cannot be read as an exported model"):
            Predictor.load(tmp_path / name)
    with pytest.raises(InputError, match="There is no model"):
        Predictor.load(tmp_path / "missing.onnx")
    weights = model / "model.safetensors"
    with pytest.raises(InputError, match=f"Give the folder {model}"):
        Predictor.load(weights)


def test_missing_packages_are_named(model, onnx_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"onnxruntime, .*pip install 'fissura\[onnx\]'"):
        Predictor.load(onnx_file)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript, .*pip install 'fissura\[onnx\]'"):
        export_model(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_model_that_predicts(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["export", str(model), "cracks", "--to", "torchscript"]) == 0
    told = capsys.readouterr().out
    assert "Written: cracks.torchscript (torchscript, " in told
    assert "Compared: on 3 photos, probabilities differ by" in told
    assert "Terms: for tests only." in told
    photo = PHOTOS / "concrete_1.jpg"
    assert run(["predict", str(photo), "--model", "cracks.torchscript", "--out", "found"]) == 0
    assert "cracks.torchscript (for tests only)" in capsys.readouterr().out
    assert run(["predict", str(photo), "--model", str(model), "--out", "expected"]) == 0
    masks = [
        read_image(tmp_path / out / "masks" / "concrete_1.png") for out in ("found", "expected")
    ]
    assert iou(masks[0] > 0, masks[1] > 0) > 0.99  # the model itself may compute in bfloat16


def ten_photos():
    """Six photos that come along, and enlarged, turned and cut ones: ten sizes."""
    import cv2

    files = sorted(PHOTOS.glob("*.jpg"))
    for index in range(10):
        image = read_image(files[index % 6])
        height, width = 300 + 37 * index, 680 - 41 * index
        if index >= 6:
            image = np.ascontiguousarray(image[::-1].swapaxes(0, 1))
        yield cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crackseg-small", "fissura-general"])
def test_the_shipped_model_gives_the_same_masks_of_ten_photos(name, tmp_path):
    for package in ("onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    onnx_file = export_model(name, tmp_path / "model.onnx").file
    xml = export_model(name, tmp_path / "model.xml").file
    expected = Predictor.load(name, device="cpu", precision="float32")
    whole = {"tile": 1024, "precision": "float32", "device": "cpu"}  # no photo is cut
    found = {
        "onnxruntime": Predictor.load(onnx_file, **whole),
        "openvino of onnx": Predictor.load(onnx_file, engine="openvino", **whole),
        "openvino": Predictor.load(xml, **whole),
        "onnxruntime of the folder": Predictor.load(name, engine="onnx", **whole),
    }
    cracked = 0
    for image in ten_photos():
        mask = expected(image).mask
        cracked += bool(mask.any())
        for way, predictor in found.items():
            assert iou(predictor(image).mask, mask) >= 0.999, (way, image.shape)
    assert cracked >= 8  # or there would be nothing to compare


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("smp:Unet", {}),
        ("smp:FPN", {"encoder": "mobilenet_v2"}),
        ("smp:Segformer", {"encoder": "mit_b0"}),
        ("efficient_unet", {"encoder": "efficientnet-b0"}),
        ("crackseg", {"encoder": "resnet18"}),
        ("lite_unet", {}),
        ("transunet", {}),  # the largest: a minute
    ],
)
def test_other_networks_are_exported(network, options, tmp_path):
    torch.manual_seed(0)
    save_model(tmp_path / "model", build_model(network, **options), ModelConfig(network, options))
    for name in ("model.onnx", "model.xml", "model.torchscript"):
        assert export_model(tmp_path / "model", tmp_path / name).parity.largest < 1e-3


@pytest.mark.slow
def test_int8_says_what_it_loses(tmp_path):
    made = export_model("crackseg-small", tmp_path / "model.onnx", ExportOptions(int8=True))
    assert made.parity is None
    assert 0.95 < made.int8.agreement < 1
    assert made.int8.iou is None
    assert read_entries(made.file)["int8"] == str(made.int8)
    whole = export_model("crackseg-small", tmp_path / "whole.onnx")
    assert made.bytes < 0.3 * whole.bytes
