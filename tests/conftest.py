"""Check every annotated tensor shape of the package at run time, in the tests.

The package's modules import jaxtyping only `if TYPE_CHECKING`, so that users need not have it.
While they are imported here, that flag is true for them, and false for everyone else as ever, and
beartype wraps each function of those that annotate shapes.
"""

import importlib
import os
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
import pytest
import torch
from beartype import BeartypeConf, beartype
from hypothesis import settings
from jaxtyping import install_import_hook

SOURCES = Path(__file__).parent.parent / "src"


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


def modules_with_shapes() -> list[str]:
    """Return the modules that annotate shapes; to wrap all would take each process 15 seconds."""
    return [
        ".".join(path.relative_to(SOURCES).with_suffix("").parts)
        for path in sorted(SOURCES.glob("fissura/**/*.py"))
        if "from jaxtyping import" in path.read_text(encoding="utf-8")
    ]


def import_checked() -> None:
    """Import all modules of the package, with their shapes checked at each call."""
    names = modules_with_shapes()
    assert "fissura.inference.network" in names
    with install_import_hook(names, "fissura_checker.check"), type_checking_within("fissura"):
        import fissura

        for module in pkgutil.walk_packages(fissura.__path__, "fissura."):
            if module.name == "fissura.losses._fused.cuda":
                continue  # Triton compiles the functions itself, and is not on every system
            importlib.import_module(module.name)


# With `-n`, the first process only hands the tests out to others. `make test-minimal` lacks
# packages that the modules import for their types alone.
if "FISSURA_UNCHECKED" not in os.environ and (
    "PYTEST_XDIST_WORKER" in os.environ or "-n" not in sys.argv
):
    import_checked()

torch.set_num_threads(1)

# `FISSURA_THOROUGH=1 make test` tries ten times as many examples as `make test`.
# The quick one tries the same examples each time: what fails, fails for everybody.
settings.register_profile("quick", max_examples=30, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=300, deadline=None)
chosen = "thorough" if os.environ.get("FISSURA_THOROUGH") else "quick"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", chosen))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Keep the user's cache of prepared images out of the tests, and the tests out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FISSURA_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


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


# --- results of studies, made up ------------------------------------------------------------


def make_run(experiment, seed=0, *, iou=0.7, images=24, photos=12, other=-0.03, **changes):
    """A made-up result: counts per image around an IoU, and the metrics that follow from them.

    other:   what masks at 1/2 change the IoU by; None where nothing was resampled.
    changes: fields of the result to replace.
    """
    # Imported here, after the hook above.
    from fissura.metrics.counts import METRICS, mean_per_image
    from fissura.study.experiment import Run
    from fissura.study.results import RunResult

    run = Run(experiment, seed)
    of_photos = np.random.default_rng(crc32(experiment.data.name.encode()))
    groups = np.sort(of_photos.integers(0, photos, images))
    union = of_photos.integers(100, 400, images)
    hardness = of_photos.normal(0, 0.03, photos)[groups]
    own = np.random.default_rng(crc32(run.key.encode())).normal(0, 0.01, images)
    tp = np.round(union * np.clip(iou + hardness + own, 0, 1)).astype(int)
    fp = (union - tp) // 2
    counts = np.stack((tp, fp, union - tp - fp, 9216 - union), axis=1)
    pooled = {name: float(figure(counts.sum(axis=0))) for name, figure in METRICS.items()}
    per_image = {name: mean_per_image(figure(counts)) for name, figure in METRICS.items()}
    described = {"images": images, "groups": photos, "crack_fraction": 0.0516}
    reached = pooled["iou"]
    result = RunResult(
        key=run.key,
        seed=seed,
        identity=experiment.identity(),
        config=asdict(run.config) | {"model": run.config.network},
        train={**described, "fingerprint": f"train-{experiment.data.name}"},
        test={**described, "fingerprint": f"test-{experiment.data.name}"},
        metrics={
            **pooled,
            "per_image_mean": per_image,
            "tolerant": {"precision": 0.91, "recall": 0.9, "f1": 0.905},
            "cldice": 0.85,
            "average_precision": 0.88,
            "ods_f1": 0.86,
            "ois_f1": 0.87,
        },
        other_masks=None
        if other is None
        else {**pooled, "iou": reached + other, "area_threshold": 0.5},
        test_curve=[[10, reached - 0.1], [50, reached + 0.004], [run.config.epochs, reached]],
        counts=counts[:, :3].tolist(),
        groups=groups.tolist(),
        loss=0.3,
        seconds={"train": 480.0, "evaluate": 2.0},
        precision="bfloat16",
        versions={"fissura": "0.1.0", "torch": "2.15.0"},
        machine="Linux x86_64, 2 CPUs, computed on cpu",
        date="2031-05-06",
    )
    return replace(result, **changes)


@pytest.fixture(name="make_run", scope="session")
def make_run_fixture():
    return make_run


@pytest.fixture(scope="session")
def with_ious(make_run):
    """Runs of one experiment, one per seed; their pooled IoUs are near those given."""

    def build(experiment, ious, first_seed=0, **options):
        return [
            make_run(experiment, first_seed + number, iou=iou, **options)
            for number, iou in enumerate(ious)
        ]

    return build


@pytest.fixture(scope="session")
def by_key():
    """Results as `read_results` gives them, from lists of runs."""
    return lambda *lists: {run.key: run for runs in lists for run in runs}
