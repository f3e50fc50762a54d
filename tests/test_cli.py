"""The command line as a person meets it: mostly in this process, partly in one of its own."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import get_args

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file

from fissura import __version__
from fissura.cli import app
from fissura.cli import run as run_command
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.losses import LOSSES
from fissura.paper.recipes import RECIPES
from fissura.training.options import Loss, ProtocolName

COMMANDS = [
    *("demo", "evaluate", "inspect", "measure", "models"),
    *("predict", "results", "study", "synth", "train"),
]


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def fissura(*arguments, cwd=".", encoding="utf-8"):
    """Run a command in this process, on a console of this encoding."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    with (
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        contextlib.chdir(cwd),
    ):
        try:
            status = run_command([*map(str, arguments)])
        except SystemExit as leaving:
            status = leaving.code
    written = []
    for stream in streams:
        stream.flush()
        written.append(stream.buffer.getvalue().decode(encoding))
    return Done(status, *written)


def process(*arguments, **options):
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fissura.cli", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )


def words(text):
    return " ".join(text.split())


@pytest.fixture(scope="module")
def run(lines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    result = fissura(
        "train", lines, "--out", folder, "--width", 4, "--epochs", 30, "--batch-size", 4,
        "--learning-rate", 0.01, "--accelerator", "cpu", "--no-augment",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "epoch   30/30" in result.stdout
    assert f"the model is in {folder / 'model'}" in words(result.stdout)
    return folder


def test_help_imports_nothing_heavy():
    heavy = ["torch", "numpy", "cv2", "PIL", "matplotlib", "scipy", "lightning_fabric"]
    code = (
        "import sys; from fissura.cli import app\n"
        f"for command in {[[], *([name] for name in COMMANDS)]!r}:\n"
        "    app([*command, '--help'], result_action='return_value')\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_option(name):
    arguments = app[name].assemble_argument_collection(parse_docstring=True)
    unexplained = [argument.name for argument in arguments if not argument.parameter.help]
    # A dataclass of options is explained field by field.
    assert set(unexplained) <= {"*"}


def test_choices_on_the_command_line_are_those_of_the_library():
    assert {name.replace("-", "_") for name in get_args(Loss)} == set(LOSSES)
    assert set(get_args(ProtocolName)) == set(PROTOCOLS)
    assert all(f"{name}," in app["study"].help.replace(".", ",") for name in RECIPES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "Which data? Give the folder"),
        (["train", "nowhere"], "nowhere does not exist"),
        (["train", "nowhere", "--epochs", "0"], "--epochs is 0; it must be at least 1"),
        (["train", "nowhere", "--validation", "0", "--patience", "3"], "--validation 0.2"),
        (["train", "--resume", "run", "--data", "new"], "run is no run folder"),
        (["train", "--config", "nowhere.yaml"], "no configuration file nowhere.yaml"),
        (["train", "--resume", "nowhere"], "Give the run folder"),
        (
            ["train", "--resume", "run", "--epochs", "150"],
            "--start run --epochs 50 --learning-rate",
        ),
        (
            ["train", "data", "--devices", "4", "--batch-size", "3"],
            "Give more, such as --batch-size 4",
        ),
        (
            ["train", "data", "--devices", "2", "--batch-size", "3", "--pool", "rank"],
            "Give a multiple of 2",
        ),
        (["train", "data", "--accelerator", "gpu"], "no device 'gpu'"),
        (["evaluate", "runs/a", "runs/b", "data"], "Which photos?"),
        (["evaluate", "nowhere", "nowhere"], "There is no model nowhere"),
        (["predict", "--out", "there"], "Which photos?"),
        (["predict", "crackseg-small"], "`fissura predict PHOTOS --model crackseg-small`"),
        (["predict", "runs/a/model.safetensors", "p"], "predict p --model runs/a/model.saf"),
        (["predict", "nowhere", "photo.jpg", "--out", "there"], "nowhere does not exist"),
        (["inspect"], "Which photos?"),
        (["inspect", "crackseg-small", "p"], "`fissura inspect p --model crackseg-small`"),
        (["inspect", "nowhere.jpg", "--out", "there"], "nowhere.jpg does not exist"),
        (["inspect", "a.jpg", "--out", "there", "--model", "nowhere"], "There is no model nowhere"),
        (["inspect", "a.jpg", "--out", "there", "--mm-per-pixel", "0"], "--mm-per-pixel is 0"),
        (["inspect", "a.jpg", "--out", "there", "--limits", "no.yaml"], "no.yaml cannot be read"),
        (["measure"], "Which photos or masks?"),
        (["measure", "a.png", "--out", "there", "--spur", "-1"], "0 or more"),
        (["models", "nothing"], "no model 'nothing'"),
        (["synth", "there", "--count", "0"], "at least 1 image"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gets_a_sentence_and_no_traceback(arguments, message, tmp_path):
    result = fissura(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in words(result.stderr)
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_version():
    assert fissura("--version").stdout.strip() == __version__


def test_a_process_ends_with_the_status_of_its_command_on_any_console(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    done = process("train", "没有", cwd=tmp_path)
    assert done.returncode == 2
    assert words(done.stderr).startswith(r"fissura: The folder \u6ca1\u6709 does not exist")
    assert "Traceback" not in done.stderr


def test_names_in_other_letters_than_utf8_are_predicted_and_told(lines, tmp_path):
    photos = os.fsencode(tmp_path) + b"/photos"
    os.mkdir(photos)  # noqa: PTH102
    content = (lines / "test" / "images" / "0.png").read_bytes()
    try:
        for name, written in ((b"Ri\xdf.png", content), (b"b\xf6se.png", b"no image")):
            with open(photos + b"/" + name, "wb") as file:  # noqa: PTH123
                file.write(written)
    except OSError:
        pytest.skip("names must be UTF-8 here")
    done = process("predict", photos, "--out", tmp_path / "all")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert r"b\xf6se.png" in done.stderr
    assert "1 photo predicted" in words(done.stdout)
    assert len(list((tmp_path / "all" / "masks").iterdir())) == 1
    alone = os.fsdecode(photos + b"/Ri\xdf.png")
    # Not the model by default, which says of drawn lines that they are no photo.
    done = fissura("predict", alone, "--model", "crackseg-small", "--out", tmp_path / "one")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_mistyped_option_is_refused():
    result = fissura("train", "data", "--epoch", "3")
    assert result.returncode == 2
    assert "--epochs" in result.stdout + result.stderr


def test_config_replays_a_training_to_the_same_bits(lines, tmp_path):
    options = ["--width", 2, "--epochs", 2, "--accelerator", "cpu", "--seed", 5, "--crop", 32]
    assert fissura("train", lines, "--out", tmp_path / "a", *options).returncode == 0
    replay = fissura("train", "--config", tmp_path / "a/config.yaml", "--out", tmp_path / "b")
    assert replay.returncode == 0, replay.stderr
    first, second = (load_file(tmp_path / name / "model/model.safetensors") for name in "ab")
    assert all((first[name] == second[name]).all() for name in first)
    third = fissura(
        "train", "--config", tmp_path / "a/config.yaml", "--out", tmp_path / "c", "--seed", 6
    )
    assert third.returncode == 0
    written = (tmp_path / "c/config.yaml").read_text()
    assert "seed: 6" in written
    assert "crop: 32" in written


def test_evaluate_prints_the_figures_and_writes_the_report(run, lines, tmp_path):
    result = fissura("evaluate", run, lines, "--out", tmp_path / "report", "--bootstrap", 50)
    assert result.returncode == 0, result.stderr
    assert "IoU" in result.stdout
    assert str(tmp_path / "report" / "report.html") in result.stdout.replace("\n", "")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["images"] == 4 or report["data"]["images"] == 4


def test_predict_goes_on_after_a_broken_file_and_says_so(run, lines, tmp_path):
    shutil.copytree(lines / "test" / "images", tmp_path / "photos")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"not a picture")
    result = fissura("predict", tmp_path / "photos", "--model", run, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "broken.jpg" in result.stderr
    assert "Traceback" not in result.stderr
    with (tmp_path / "out" / "predictions.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 4
    for row in table:
        mask = cv2.imread(str(tmp_path / "out" / row["mask"]), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(mask)) <= {0, 255}
        assert (mask > 0).mean() == pytest.approx(float(row["crack_fraction"]), abs=1e-4)


def test_the_trained_model_finds_the_lines(run, lines, tmp_path):
    done = fissura("predict", lines / "test/images", "--model", run, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"4 photos predicted with {run};" in words(done.stdout)
    found = total = 0
    for path in (lines / "test/masks").glob("*.png"):
        truth = cv2.imread(str(path), 0) > 0
        pred = cv2.imread(str(tmp_path / "out" / "masks" / path.name), 0) > 0
        found, total = found + (truth & pred).sum(), total + (truth | pred).sum()
    assert found / total > 0.5


def test_synth_writes_a_set_that_train_can_read(tmp_path):
    result = fissura("synth", tmp_path / "set", "--count", 8, "--size-hw", 64, 48)
    assert result.returncode == 0, result.stderr
    assert "6 images to train on and 2 to test on" in words(result.stdout)
    options = ["--width", 2, "--epochs", 1, "--accelerator", "cpu"]
    result = fissura("train", tmp_path / "set", "--out", tmp_path / "run", *options)
    assert result.returncode == 0, result.stderr


def test_study_and_results_on_the_command_line(data_root, tmp_path):
    toy = ("--runs", "1", "--epochs", "1", "--width", "2", "--workers", "1")
    out = tmp_path / "study"
    done = fissura(
        "study", "table1", "--out", out, "--data", data_root, *toy, "--only", "hf", "bce"
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs to do" in words(done.stdout)
    assert len(list((out / "runs").glob("*.json"))) == 2
    page = tmp_path / "docs" / "results.md"
    done = fissura("results", out, "--out", page)
    assert done.returncode == 0, done.stderr
    assert page.read_text().startswith("# Results")
    assert (page.parent / "images" / "fig1.svg").exists()
    wrong = fissura("study", "table1", "--out", out, "--data", tmp_path / "nowhere", *toy)
    assert wrong.returncode == 2
    assert "DeepCrack-DB in a folder named deepcrack" in words(wrong.stderr)
    assert "Traceback" not in wrong.stderr


def test_measure_and_inspect_on_the_command_line(lines, run, tmp_path):
    masks = lines / "test" / "masks"
    done = fissura("measure", masks, "--out", tmp_path / "m", "--mm-per-pixel", 0.5)
    assert done.returncode == 0, done.stderr
    assert "on 4 images; the table is" in words(done.stdout)
    with (tmp_path / "m" / "cracks.csv").open(encoding="utf-8-sig") as file:
        table = list(csv.DictReader(file))
    assert table
    assert all(float(row["length_mm"]) * 2 == pytest.approx(float(row["length_px"]), rel=1e-4)
               for row in table)  # fmt: skip
    photos = lines / "test" / "images"
    done = fissura("measure", photos, "--out", tmp_path / "p", "--model", run)
    assert f"on 4 images, found on photos with {run}; the table is" in words(done.stdout)
    limits = tmp_path / "limits.yaml"
    limits.write_text("max_length_px: 1000\n")
    options = ["--model", run, "--limits", limits]
    done = fissura("inspect", photos, "--out", tmp_path / "i", *options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "i" / "report.html").read_text().startswith("<!doctype html>")
    limits.write_text("max_length_px: 1\n")
    done = fissura("inspect", photos, "--out", tmp_path / "i", *options, "--resume")
    assert done.returncode == 3
    assert "exceed the limits" in words(done.stdout)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_bytes(b"nothing")
    done = fissura("inspect", tmp_path / "broken", "--out", tmp_path / "b", "--model", run)
    assert done.returncode == 1
    assert "a.jpg" in words(done.stderr)
    assert "Traceback" not in done.stderr


def test_a_photo_alone_is_predicted_with_the_model_that_comes_along(lines, tmp_path):
    done = fissura("predict", lines / "test" / "images" / "0.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "predictions" / "masks" / "0.png").is_file()
    assert "1 photo predicted with fissura-general;" in words(done.stdout)
    small = ("--model", "crackseg-small")
    done = fissura("predict", lines / "test/images/0.png", *small, cwd=tmp_path)
    assert (tmp_path / "predictions-2" / "masks" / "0.png").is_file()
    assert "1 photo predicted with crackseg-small (for non-commercial" in words(done.stdout)


@pytest.mark.parametrize("command", ["predict", "inspect", "measure"])
def test_a_model_among_the_photos_is_never_passed_over(command, lines, run, tmp_path):
    photos = lines / "test" / "images"
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped" / "config.yaml").touch()
    (tmp_path / "empty").mkdir()
    for model in (run, run / "model", run.parent, tmp_path / "stopped", tmp_path):
        done = fissura(command, model, photos, cwd=tmp_path)
        assert done.returncode == 2
        assert f"`fissura {command} {photos} --model {model}`" in words(done.stderr)
    done = fissura(command, tmp_path / "empty", photos, cwd=tmp_path)
    assert done.returncode == 2
    assert "empty holds no images" in words(done.stderr)
    assert not list(tmp_path.glob("*/masks"))


def test_models_lists_and_shows_cards():
    assert all(name in fissura("models").stdout for name in ("fissura-general", "crackseg-small"))
    assert "## Known failures" in fissura("models", "crackseg-small").stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_that_lacks_letters_ends_nothing(encoding, lines, tmp_path):
    photos = tmp_path / "裂缝"
    photos.mkdir()
    shutil.copy(lines / "test" / "images" / "0.png", photos / "桥面 π.png")
    (photos / "坏.png").write_bytes(b"no image")
    (tmp_path / "界限.yaml").write_text("max_length_px: 0.1\n", encoding="utf-8")
    done = fissura("predict", photos, "--out", tmp_path / "结果", encoding=encoding)
    assert (done.returncode, r"\u574f.png" in done.stderr) == (1, True), done.stderr
    (photos / "坏.png").unlink()
    masks = tmp_path / "结果" / "masks"
    done = fissura("measure", masks, "--out", tmp_path / "长", encoding=encoding)
    assert (done.returncode, r"\u6865\u9762" in done.stderr) == (0, True), done.stderr
    limits = ["--limits", tmp_path / "界限.yaml", "--threshold", 0.01, "--min-length", 0]
    done = fissura("inspect", photos, "--out", tmp_path / "报告", *limits, encoding=encoding)
    assert (done.returncode, r"\u6865\u9762" in done.stdout) == (3, True), done.stderr
    done = fissura("evaluate", "crackseg-small", tmp_path / "没有", encoding=encoding)
    assert (done.returncode, r"\u6ca1\u6709" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("command", "function"),
    [
        ("predict", "fissura.inference.files.folder.predict"),
        ("inspect", "fissura.inspection.pipeline.inspect"),
        ("measure", "fissura.inspection.pipeline.measure_files"),
    ],
)
def test_ctrl_c_says_how_to_go_on(command, function, tmp_path, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(function, stopped)
    done = fissura(command, "photos", "--out", "there", cwd=tmp_path)
    assert done.returncode == 130
    assert "--out there --resume" in words(done.stderr)


def test_ctrl_c_ends_a_process_in_the_middle(lines, tmp_path):
    (tmp_path / "photos").mkdir()
    for index in range(60):
        shutil.copy(lines / "test/images/0.png", tmp_path / "photos" / f"{index}.png")
    process = subprocess.Popen(
        [sys.executable, "-m", "fissura.cli", "inspect", "photos"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    while not list(tmp_path.glob("*/masks/*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    if process.returncode == 0:
        pytest.skip("the command was faster than the signal")
    assert process.returncode == 130
    assert re.search(r"--out \w+ --resume", words(told))
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_full_disk_is_told_with_the_file(tmp_path, lines):
    """Files may grow to 20 kB here, as on a disk that fills up."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "from fissura.cli import main; sys.argv[0] = 'fissura'; main()"
    )
    options = ["--out", tmp_path / "run", "--epochs", "1", "--width", "8", "--accelerator", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, ["train", lines, *options])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 2, done.stderr
    assert re.search(r"fissura: .*run\S*: File too large\.", words(done.stderr))
    assert "Traceback" not in done.stderr
