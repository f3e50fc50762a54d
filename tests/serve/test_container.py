"""Dockerfile and compose file are read, since no image can be built here: what they name exists."""

import itertools
import json
import re
import shlex
import tomllib
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from fissura.serve.options import ServeOptions
from fissura.serve.security import OPEN_PATHS

TOP = Path(__file__).parents[2]
OPTIONS = {f"--{field.name.replace('_', '-')}" for field in fields(ServeOptions)}


@pytest.fixture(scope="module")
def lines():
    """The instructions of the Dockerfile: name and rest, in order."""
    text = (TOP / "Dockerfile").read_text(encoding="utf-8")
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    whole = re.sub(r"\\\n\s*", " ", kept)
    return [tuple(line.split(maxsplit=1)) for line in whole.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def service():
    compose = yaml.safe_load((TOP / "compose.yaml").read_text(encoding="utf-8"))
    assert set(compose["volumes"]) == {"photos"}
    return compose["services"]["desk"]


def of(lines, name):
    return [rest for instruction, rest in lines if instruction == name]


def options(words):
    """The options among the words of a command; each has a value."""
    return dict(itertools.pairwise(words))


def test_what_is_copied_exists_and_reaches_the_build(lines):
    rules = (TOP / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert rules[0] == "*"
    let_in = [rule[1:] for rule in rules if rule.startswith("!")]
    copied = [
        source
        for rest in of(lines, "COPY")
        if not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert {"pyproject.toml", "src", "constraints.txt"} <= set(copied)
    for source in copied:
        assert (TOP / source).exists(), source
        assert any(fnmatch(source, rule) for rule in let_in), source


def test_the_package_is_built_from_what_is_copied(lines):
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    copied = " ".join(of(lines, "COPY")).split()
    for file in (project["readme"], *project.get("license-files", [])):
        assert file in copied, file
    (install,) = re.findall(r"'\.\[([\w,]+)\]'", " ".join(of(lines, "RUN")))
    assert set(install.split(",")) <= set(project["optional-dependencies"])
    constraints = (TOP / "constraints.txt").read_text(encoding="utf-8")
    assert len(re.findall(r"^torch==", constraints, re.MULTILINE)) == 1
    for image in of(lines, "FROM"):
        version = re.match(r"python:([\d.]+)-slim", image)
        assert version is not None
        assert SpecifierSet(project["requires-python"]).contains(version[1])


def test_it_runs_as_nobody_special_and_answers_for_its_health(lines):
    (user,) = of(lines, "USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert f"--uid {user.split(':')[0]}" in " ".join(of(lines, "RUN"))
    assert [name for name, _ in lines].index("USER") > [name for name, _ in lines].index("COPY")
    (health,) = of(lines, "HEALTHCHECK")
    command = json.loads(health.split("CMD", 1)[1])
    assert command[0] == "python"
    compile(command[2], "health check", "exec")
    told = options(json.loads(of(lines, "CMD")[0]))
    assert f"http://127.0.0.1:{told['--port']}{OPEN_PATHS[0]}" in command[2]
    assert of(lines, "EXPOSE") == [told["--port"]]
    assert json.loads(of(lines, "ENTRYPOINT")[0]) == ["fissura", "serve"]
    assert {word for word in told if word.startswith("--")} <= OPTIONS
    assert json.loads(of(lines, "CMD")[0])[0] in json.loads(of(lines, "VOLUME")[0])


def test_compose_runs_it_with_as_little_as_it_needs(lines, service):
    assert service["read_only"] is True
    assert service["user"] == of(lines, "USER")[0]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["environment"]["FISSURA_TOKEN"].startswith("${FISSURA_TOKEN:?")
    (memory,) = service["tmpfs"]
    folder, flags = memory.split(":")
    (environment,) = [rest for rest in of(lines, "ENV") if "TMPDIR" in rest]
    assert f"TMPDIR={folder}" in shlex.split(environment)
    assert {"noexec", "nosuid", "nodev"} <= set(flags.split(","))
    words = service["command"]
    assert {word for word in words if word.startswith("--")} <= OPTIONS
    assert service["volumes"] == [f"photos:{words[0]}"]
    told = options(words)
    host, _, inside = service["ports"][0].split(":")
    assert (host, inside) == ("127.0.0.1", told["--port"])
    # The largest that can lie in its memory: uploads that wait, and as much again while read.
    most = int(told["--queue"]) * int(told["--max-megabytes"]) * 2
    assert re.search(r"size=1g", flags)
    assert most <= 1000
    ServeOptions(host=told["--host"], port=int(told["--port"]), token="0" * 16)
