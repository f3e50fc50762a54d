import pytest
import torch

from fissura.checkpoint import ModelConfig, save_model
from fissura.export.export import export_model
from fissura.models import build_model

CARD = ModelConfig(
    model="crackseg",
    options={"width": 2},
    mean=(0.4, 0.5, 0.6),
    std=(0.2, 0.25, 0.3),
    threshold=0.37,
    training={"terms": "for tests only"},
)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model folder of a small network whose probabilities are neither 0 nor 1."""
    torch.manual_seed(3)
    network = build_model("crackseg", width=2).eval()
    with torch.no_grad():
        network.head.bias.fill_(-0.5)
    folder = tmp_path_factory.mktemp("model") / "model"
    save_model(folder, network, CARD)
    return folder


@pytest.fixture(scope="session")
def onnx_file(model, tmp_path_factory):
    pytest.importorskip("onnxscript", reason="the extra fissura[onnx] is not installed")
    return export_model(model, tmp_path_factory.mktemp("onnx") / "model.onnx").file


@pytest.fixture(scope="session")
def torchscript_file(model, tmp_path_factory):
    return export_model(model, tmp_path_factory.mktemp("jit") / "model.torchscript").file
