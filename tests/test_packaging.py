"""What the repository promises beside its code: files, versions, encodings."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import fissura

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# Whose `open` is not about text.
BINARY = {"Image", "rasterio", "archive", "os", "webbrowser"}


def constrained():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}


def test_every_requirement_is_constrained():
    project = PROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    required = {re.split(r"[\[<>=]", entry)[0] for group in groups for entry in group}
    assert required - {"fissura"} <= constrained()


def test_the_version_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == fissura.__version__
    assert f"## {fissura.__version__}," in changelog


@pytest.mark.parametrize("file", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda p: p.name)
def test_workflows_call_make_targets_that_exist(file):
    text = file.read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"run: make ([a-z-]+)", text)) <= targets


def unencoded(path):
    """Yield the calls in a file that open text in whatever encoding the system has."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        attribute = node.func.attr if isinstance(node.func, ast.Attribute) else None
        called = attribute or getattr(node.func, "id", None)
        owner = getattr(node.func.value, "id", None) if attribute else None
        if called not in {"read_text", "write_text", "open"} or owner in BINARY:
            continue
        words = [*node.args, *(keyword.value for keyword in node.keywords)]
        values = [word.value for word in words if isinstance(word, ast.Constant)]
        binary = any(value in ("rb", "wb", "ab", "r+b", "xb") for value in values)
        if not binary and not any(keyword.arg == "encoding" for keyword in node.keywords):
            yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("folder", ["benchmarks", "recipes", "examples", ".ci"])
def test_text_is_opened_with_its_encoding(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert not [call for file in files for call in unencoded(file)]


def test_a_call_without_encoding_is_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "file.py"
    file.write_text("open('a')\nopen('a', 'rb')\npath.read_text()\nopen('a', encoding='x')\n")
    assert [call.split(":")[1] for call in unencoded(file)] == ["1", "3"]
