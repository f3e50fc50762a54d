import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fissura.export.export import export_model
from fissura.inference.predictor import Predictor
from fissura.shipped import PHOTOS
from fissura.study.recipe_file import read_recipe

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loss_falls_in_a_plain_loop():
    losses = example("losses_in_a_loop").main()
    assert losses[-1] < 0.5 * losses[0]


def test_train_and_predict(tmp_path):
    prediction = example("train_and_predict").main(tmp_path, count=8, epochs=1)
    assert prediction.mask.shape == (64, 64)
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_inspect_a_folder(tmp_path):
    cracks = example("inspect_a_folder").main(tmp_path)
    assert (tmp_path / "report" / "report.html").is_file()
    rows = (tmp_path / "report" / "cracks.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + cracks > 1


def test_a_recipe_of_ones_own_can_be_read():
    # Its study runs in tests/study.
    name = "compare_losses"
    recipe = read_recipe(EXAMPLES / f"{name}.py")
    assert [row.name for row in recipe.rows] == ["BCE + Dice", "hybrid focal margin"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The shipped model as .onnx, a photo of another size than the exporter's, and its mask."""
    pytest.importorskip("onnxscript", reason="the extra fissura[onnx] is not installed")
    folder = tmp_path_factory.mktemp("exported")
    export_model("crackseg-small", folder / "cracks.onnx")
    with Image.open(PHOTOS / "concrete_1.jpg") as opened:
        photo = opened.convert("RGB").crop((0, 0, 431, 301))
    photo.save(folder / "photo.png")
    predictor = Predictor.load("crackseg-small", device="cpu", precision="float32")
    return folder, photo, predictor(np.asarray(photo).copy()).mask


def same(found, expected):
    return np.count_nonzero(found & expected) >= 0.999 * np.count_nonzero(found | expected) > 0


@pytest.mark.slow
def test_an_exported_model_needs_neither_torch_nor_fissura(exported):
    folder, _, expected = exported
    code = (
        "import runpy, sys; sys.modules['torch'] = sys.modules['fissura'] = None; "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    arguments = [EXAMPLES / "onnx_alone.py", "cracks.onnx", "photo.png", "mask.png"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{expected.mean():.2%} of the photo is crack.\n"
    assert same(np.asarray(Image.open(folder / "mask.png")) > 0, expected)
    assert callable(example("onnx_alone").main)


NODE = """
import * as ort from "onnxruntime-web";
import { readFile, writeFile } from "node:fs/promises";
import { findCracks, loadModel } from "./find_cracks.mjs";
const model = await loadModel(ort, new Uint8Array(await readFile("cracks.onnx")));
await writeFile("mask.raw", await findCracks(model, await readFile("photo.raw"), 431, 301));
console.log(JSON.stringify(model.told));
process.exit(0);
"""


@pytest.fixture(scope="module")
def node_folder(exported):
    """A folder with onnxruntime-web, the JavaScript, the model and the photo."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("there is no node")
    folder, photo, _ = exported
    install = ["npm", "install", "--no-audit", "--no-fund", "onnxruntime-web@1.30.0"]
    if subprocess.run(install, cwd=folder, capture_output=True, timeout=300).returncode:
        pytest.skip("onnxruntime-web cannot be installed")
    for name in ("find_cracks.mjs", "find_cracks.html"):
        shutil.copy(EXAMPLES / name, folder)
    (folder / "photo.raw").write_bytes(photo.convert("RGBA").tobytes())
    return folder


@pytest.mark.slow
def test_the_javascript_finds_the_same_cracks(exported, node_folder):
    _, _, expected = exported
    (node_folder / "run.mjs").write_text(NODE, encoding="utf-8")
    done = subprocess.run(
        ["node", "run.mjs"], cwd=node_folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["threshold"] == "0.8046875"
    assert json.loads(told["config"])["model"] == "crackseg"
    mask = np.frombuffer((node_folder / "mask.raw").read_bytes(), np.uint8)
    assert same(mask.reshape(expected.shape) > 0, expected)


@pytest.mark.slow
def test_the_page_finds_the_same_cracks(exported, node_folder):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no chromium")
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=node_folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split("port ")[1].split()[0]
        page = f"http://127.0.0.1:{port}/find_cracks.html?photo=photo.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=600000"]
        done = subprocess.run(
            [browser, *options, "--dump-dom", page], capture_output=True, text=True, timeout=120
        )
    finally:
        server.terminate()
        server.communicate()
    _, _, expected = exported
    assert f"{100 * expected.mean():.2f} % of the photo is crack." in done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_each_example_is_tested_and_listed(path):
    assert f'"{path.stem}"' in Path(__file__).read_text(encoding="utf-8")
    assert f"examples/{path.name}" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
