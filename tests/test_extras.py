"""The base alone predicts and inspects; whatever an extra is missing for says so in a sentence."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fissura.errors import InputError, extra

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
# Packages as they are imported, where that is not the name that they are installed by.
IMPORTED = {"scikit-image": "skimage", "scikit-learn": "sklearn", "pytest-xdist": "xdist"}
PRELUDE = """
import sys

class Without:
    def __init__(self, finder, missing):
        self.finder, self.missing = finder, missing

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in self.missing:
            return self.finder.find_spec(name, path, target)

MISSING = set(sys.argv.pop(1).split())
sys.meta_path[:] = [Without(finder, MISSING) for finder in sys.meta_path]
"""
COMMAND = PRELUDE + "from fissura.cli import main; main()"


def names(requirements):
    return {re.split(r"[\[<>=]", requirement)[0] for requirement in requirements}


def packages_of_extras():
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    needed = {name for group in project["optional-dependencies"].values() for name in names(group)}
    needed -= names(project["dependencies"]) | {"fissura"}
    return sorted(IMPORTED.get(name, name).replace("-", "_") for name in needed)


def without_extras(*arguments, code=COMMAND, also=()):
    missing = [*packages_of_extras(), *also]
    return subprocess.run(
        [sys.executable, "-c", code, " ".join(missing), *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    image = np.full((96, 128, 3), 170, np.uint8)
    image[40:43, 10:120] = 40
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(image).save(path)
    return path


def test_the_blocked_packages_are_those_of_the_extras():
    packages = packages_of_extras()
    assert {"timm", "skimage", "lightning_fabric", "filelock", "rasterio"} <= set(packages)
    assert not {"torch", "numpy", "scipy", "rich"} & set(packages)
    installed = importlib.metadata.packages_distributions()
    assert "lightning_fabric" in installed  # or the test below would block nothing


def test_the_base_predicts(photo, tmp_path):
    result = without_extras("predict", photo, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "masks" / "photo.png").is_file()


def test_the_base_inspects(photo, tmp_path):
    result = without_extras("inspect", photo, "--out", tmp_path / "out", "--mm-per-pixel", 0.2)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_training_names_its_extra(photo, tmp_path):
    data = tmp_path / "data"
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
    for index in range(6):
        image = np.random.default_rng(index).integers(0, 255, (64, 64, 3)).astype(np.uint8)
        Image.fromarray(image).save(data / "images" / f"{index}.png")
        Image.fromarray(np.eye(64, dtype=np.uint8) * 255).save(data / "masks" / f"{index}.png")
    result = without_extras("train", data, "--out", tmp_path / "run")
    assert result.returncode == 2, result.stdout
    assert "Traceback" not in result.stderr
    assert "pip install 'fissura[train]'" in " ".join(result.stderr.split())


def test_the_desk_names_its_extra(tmp_path):
    result = without_extras("serve", tmp_path)
    assert result.returncode == 2, result.stdout
    assert "Traceback" not in result.stderr
    assert "pip install 'fissura[serve]'" in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_other_networks_name_their_extra():
    models = ["smp:Unet", "efficient_unet", "transunet"]
    code = PRELUDE + (
        "from fissura.errors import InputError\n"
        "from fissura.models import build_model\n"
        "for model in sys.argv[1:]:\n"
        "    try: build_model(model)\n"
        "    except InputError as error: print(error)\n"
    )
    result = without_extras(*models, code=code)
    assert result.stdout.count("pip install 'fissura[train]'") == len(models), result.stderr


def test_losses_need_torch_alone():
    """As after `pip install torch` and `pip install --no-deps fissura`."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    imported = {"pillow": "PIL", "opencv-python-headless": "cv2", "pyyaml": "yaml"}
    base = {imported.get(name, name) for name in names(project["dependencies"])} - {"torch"}
    assert {"PIL", "cv2", "numpy", "scipy", "rich", "cyclopts"} <= base
    code = PRELUDE + (
        "import warnings; warnings.simplefilter('ignore')\n"  # torch misses NumPy
        "import torch, fissura\n"
        "from fissura.losses import HybridFocalMarginLoss\n"
        "logits = torch.zeros(2, 1, 4, 4, requires_grad=True)\n"
        "HybridFocalMarginLoss()(logits, torch.ones(2, 1, 4, 4)).backward()\n"
        "assert fissura.losses.LOSSES and fissura.__version__\n"
        "print(bool((logits.grad < 0).all()))\n"
    )
    result = without_extras(code=code, also=base)
    assert result.stdout == "True\n", result.stderr


def test_every_named_extra_exists():
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    sources = [
        *(PROJECT.parent / "src").rglob("*.py"),
        *PROJECT.parent.glob("docs/**/*.md"),
        PROJECT.parent / "README.md",
    ]
    pattern = re.compile(r"fissura\[([a-z, ]+)\]|\bextra\(\"(\w+)\"")
    named = {
        name.strip()
        for source in sources
        for groups in pattern.findall(source.read_text(encoding="utf-8"))
        for name in "".join(groups).split(",")
    }
    assert {"train", "geo", "openvino"} <= named
    assert named <= set(project["optional-dependencies"])


def test_a_missing_module_of_our_own_is_a_bug_and_stays_one():
    with pytest.raises(ModuleNotFoundError), extra("train", "Training"):
        import fissura.not_there  # noqa: F401
    sentence = r"^Reading them needs the package not_there, .*'fissura\[geo\]'$"
    with pytest.raises(InputError, match=sentence), extra("geo", "Reading them"):
        import not_there.inner  # noqa: F401
