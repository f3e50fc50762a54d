"""Check every annotated tensor shape of the package at run time, in the tests.

The package's modules import jaxtyping only `if TYPE_CHECKING`, so that users need not have it.
While they are imported here, that flag is true for them, and false for everyone else as ever, and
beartype wraps each function.
"""

import importlib
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook


@contextmanager
def type_checking_within(package: str) -> Iterator[None]:
    """Make typing.TYPE_CHECKING true for the modules of `package` alone."""
    lookup = getattr(typing, "__getattr__", None)

    def attribute(name: str):
        if name == "TYPE_CHECKING":
            importer = sys._getframe(1).f_globals.get("__name__", "")
            return importer.split(".")[0] == package
        if lookup is None:
            raise AttributeError(name)
        return lookup(name)

    del typing.TYPE_CHECKING
    typing.__getattr__ = attribute
    try:
        yield
    finally:
        typing.TYPE_CHECKING = False
        if lookup is None:
            del typing.__getattr__
        else:
            typing.__getattr__ = lookup


# The hook takes the checker by its name. An int is a float here, as it is to every type checker.
checker = types.ModuleType("fissura_checker")
checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))
sys.modules[checker.__name__] = checker

with install_import_hook("fissura", "fissura_checker.check"), type_checking_within("fissura"):
    import fissura

    for module in pkgutil.walk_packages(fissura.__path__, "fissura."):
        if module.name == "fissura.losses._fused.cuda":
            continue  # Triton compiles the functions itself, and is not on every system
        importlib.import_module(module.name)

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keep the user's cache of prepared images out of the tests, and the tests out of it."""
    monkeypatch.setenv("FISSURA_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def write_lines(folder: Path, count: int, *, size: int = 48, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for index in range(count):
        mask = np.zeros((size, size), np.uint8)
        ends = rng.integers(0, size, (2, 2)).tolist()
        cv2.line(mask, ends[0], ends[1], 255, 2)
        image = rng.normal(150, 12, (size, size, 3)) - 0.35 * mask[:, :, None]
        cv2.imwrite(str(folder / "images" / f"{index}.png"), image.clip(0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)


@pytest.fixture(scope="session")
def lines(tmp_path_factory) -> Path:
    """Twelve training and four test images of 48×48: bright noise with dark lines."""
    root = tmp_path_factory.mktemp("lines")
    write_lines(root / "train", 12, seed=1)
    write_lines(root / "test", 4, seed=2)
    return root


@pytest.fixture(scope="session")
def data_root(tmp_path_factory) -> Path:
    """Tiny stand-ins for the real data sets of the experiments, each in a folder of its name."""
    root = tmp_path_factory.mktemp("data")
    for seed, (name, size) in enumerate({"deepcrack": 96, "crack500": 128}.items()):
        write_lines(root / name / "train", 6, size=size, seed=2 * seed)
        write_lines(root / name / "test", 3, size=size, seed=2 * seed + 1)
    tiles = root / "magnetic_tile" / "mt_crack"
    write_lines(tiles, 10, size=140, seed=9)
    for file in [*tiles.glob("*/*.png")]:
        file.rename(file.with_name(f"exp1_num_{file.stem}0123.png"))
    return root
