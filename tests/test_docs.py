"""The documentation's Python runs, its links lead somewhere, its commands and options exist."""

import re
import shlex
import shutil
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

import fissura
from fissura.cli import app
from fissura.losses import LOSSES, SOFTMAX_LOSSES
from fissura.shipped import shipped_folder

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
BLOCK = re.compile(r"(<!-- not run: .+? -->\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")
PLACES = (ROOT, ROOT / "src" / "fissura")
COMMANDS = [command for command in app if not command.startswith("-")]
COMMAND = re.compile(r"(?:^|[`\s/])fissura ([a-z]+(?: [^`\n]*)?)")


def text(page):
    return page.read_text(encoding="utf-8")


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page):
    return [(code, bool(excuse)) for excuse, code in BLOCK.findall(text(page))]


def commands(page):
    """Return the words of each `fissura COMMAND …`, without comments."""
    return [
        (match.split()[0], match.split("#")[0])
        for match in COMMAND.findall(text(page))
        if match.split()[0] in COMMANDS
    ]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The current folder as the pages assume it: photo.jpg, photos, my_photos, runs/mine."""
    for index in range(6):
        image = np.random.default_rng(index).normal(170, 4, (96, 128, 3))
        mask = np.zeros((96, 128), np.uint8)
        points = np.array([[10, 20 + 8 * index], [60, 40], [120, 30 + 9 * index]])
        cv2.polylines(mask, [points], False, 255, 3)
        image[mask > 0] = 45
        image = np.clip(image, 0, 255).astype(np.uint8)
        for folder, content in (("images", image), ("masks", mask)):
            (tmp_path / "my_photos" / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "my_photos" / folder / f"{index}.png"), content)
    (tmp_path / "photos" / "deck").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "photo.jpg"), image)
    cv2.imwrite(str(tmp_path / "photos" / "deck" / "7.jpg"), image)
    for run in ("mine", "dc"):
        shutil.copytree(shipped_folder("crackseg-small"), tmp_path / "runs" / run)
    monkeypatch.setenv("FISSURA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name)
def test_the_python_of_a_page_runs(page, desk):
    names = {"images": [cv2.imread("photo.jpg")]}
    for code, excused in blocks(page):
        compiled = compile(code, name(page), "exec")
        if not excused:
            exec(compiled, names)


def test_most_of_the_python_runs():
    excused = [excused for page in PAGES for _, excused in blocks(page)]
    assert excused.count(False) > excused.count(True) > 0


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page):
    missing = [link for link in LINK.findall(text(page)) if not (page.parent / link).exists()]
    assert not missing


@cache
def options(command):
    """Return the options that a command takes, as they are typed."""
    arguments = app[command].assemble_argument_collection(parse_docstring=False)
    return {"--help", *(option for argument in arguments for option in argument.names)}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_options_of_commands_exist(page):
    for command, line in commands(page):
        given = {word.split("=")[0] for word in re.findall(r"(?<!\S)--[a-z][\w-]*", line)}
        assert given <= options(command), f"fissura {line}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_option_is_one_of_some_command(page):
    """Options in prose, `--like-this`, belong to Fissura, to a script that the page names, or to a
    program that is named here."""
    known = {
        option for command in COMMANDS for option in options(command) if option.startswith("--")
    }
    others = {
        "--no-deps",
        "--index-url",
        "--help",
        "--version",
        "--logdir",
        "--only",
        "--durations",
    }
    scripts = {ROOT / path for path in re.findall(r"(?:benchmarks|recipes)/\w+\.py", text(page))}
    of_scripts: set[str] = set()
    for code in (script.read_text(encoding="utf-8") for script in scripts):
        of_scripts.update(re.findall(r'"(--[a-z][\w-]*)"', code))
        fields = re.findall(r"^    ([a-z]\w*): \w+ = ", code, re.MULTILINE)  # options by fields
        of_scripts.update("--" + field.replace("_", "-") for field in fields)
    prose = re.findall(r"`(--[a-z][\w-]*)", text(page))
    assert set(prose) <= known | of_scripts | others


def test_the_readme_has_commands_that_parse():
    found = [(command, line) for command, line in commands(ROOT / "README.md") if " " in line]
    assert {"predict", "inspect", "train", "evaluate"} <= {command for command, _ in found}
    for _, line in found:
        app.parse_args(shlex.split(line), exit_on_error=False, print_error=False)


def test_the_reference_has_every_name_of_the_door():
    pages = "".join(text(page) for page in ROOT.glob("docs/reference/*.md"))
    listed = set(re.findall(r"^::: fissura\.(\w+)", pages, re.MULTILINE))
    assert set(fissura.__all__) - {"__version__"} == listed


def test_the_reference_has_every_loss():
    page = text(ROOT / "docs" / "reference" / "losses.md")
    several = {loss.__name__.removesuffix("_loss") for loss in SOFTMAX_LOSSES.values()}
    listed = set(re.findall(r"^::: fissura\.losses\.(\w+)_loss$", page, re.MULTILINE))
    assert listed == set(LOSSES) | several


def paths(page):
    """Return the paths that a page names, of the repository or below src/fissura."""
    first = {folder.name for top in PLACES for folder in top.iterdir() if folder.is_dir()}
    named = re.findall(r"(?<![\w./:-])((?:\w[\w.-]*/)+(?:\w[\w.-]*\w)?)", text(page))
    return [path for path in named if path.split("/")[0] in first]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_lead_to_files(page):
    missing = [path for path in paths(page) if not any((top / path).exists() for top in PLACES)]
    assert not missing


def test_the_design_says_where_everything_is():
    assert len(set(paths(ROOT / "docs" / "design.md"))) > 60


def test_the_readme_names_every_room():
    tree = text(ROOT / "README.md").split("## What is where")[1].split("## License")[0]
    named = set(re.findall(r"^      ((?:[\w.]+/? )+) ", tree, re.MULTILINE))
    words = {word.rstrip("/") for entry in named for word in entry.split()}
    rooms = {path.parent.name for path in (ROOT / "src" / "fissura").glob("*/__init__.py")}
    assert rooms <= words
