"""The one door: `import fissura` loads nothing, and offers all that people import."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fissura

HEAVY = ["torch", "numpy", "cv2", "PIL", "scipy", "yaml", "rich", "cyclopts"]
README = Path(__file__).parents[1] / "README.md"


def loaded(code):
    """Which of the heavy packages are loaded after `code` has run in a new process."""
    code += f"; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_loads_nothing_heavy():
    assert loaded("import fissura; fissura.__version__; dir(fissura)") == "[]"


@pytest.mark.parametrize("name", ["TrainOptions", "EvaluateOptions", "PredictOptions"])
def test_options_need_no_numpy_and_no_torch(name):
    found = loaded(f"import fissura; fissura.{name}()")
    assert not {"torch", "numpy", "cv2", "PIL", "scipy"} & set(re.findall(r"\w+", found))


def test_every_name_is_there_and_listed():
    assert sorted(fissura.__all__) == sorted(dir(fissura))
    for name in fissura.__all__:
        assert getattr(fissura, name) is not None
    wanted = (
        "Predictor Prediction predict inspect measure train evaluate load_model save_model "
        "build_model losses metrics __version__"
    )
    assert set(wanted.split()) <= set(fissura.__all__)


def test_what_is_not_offered_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fissura.nothing  # noqa: B018


def test_the_readme_needs_nothing_deeper():
    imports = re.findall(r"^(?:from|import) (fissura\S*)", README.read_text("utf-8"), re.MULTILINE)
    assert imports
    assert set(imports) <= {"fissura", "fissura.losses", "fissura.metrics"}
