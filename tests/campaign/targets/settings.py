"""Targets: what people write by hand. Limits, scales, tables of photos, headings, recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from .models import write_model
from .photos import drawn
from .target import Target, fissura

LIMITS = "max_width_px: 3\nmax_cracks: 4\nmin_length_px: 2.5\nmax_area_percent: 5\n"
REPORT = (
    "title: Bridge 12\nobject: A bridge\ninspector: J. Doe\ndate: 2026-05-06\ndate_form: iso\n"
    "notes:\n- Wet.\n- Cold.\nsignatures: [A, B]\nweather: rain\n"
)
SEVERITY = (
    "title: Ours\nsource: a rule of ours\nwidth: p95\nclasses:\n  fine: 0\n  medium: 0.2\n"
    "  wide: 0.5\n"
)
SCALE = "mm_per_pixel: 0.2\nelement: arch\nnote: near\n"
TABLE = (
    "file,mm_per_pixel,element,note,taken,corners,rectangle_width_mm,rectangle_height_mm,wind\n"
    "0.png,0.5,arch,low,2026-05-06,,,,low\n1.png,,pier,,,2 2 50 3 49 38 3 37,100,80,\n"
)
CONFIG = (
    "data: data\nloss: hybrid-focal-margin\nmodel: crackseg\nepochs: 3\nlearning_rate: 1e-3\n"
    "batch_size: 2\nmargin: 0.5\nprotocol: native\nseed: 1\nema: 0.9\nvalidation: 0.2\n"
)
RECIPE = (
    "title: Losses\nlosses:\n  plain: {loss: bce-dice}\n  ours: {loss: hybrid-focal-margin, "
    "margin: 0.5}\nnetworks: [crackseg]\ndata:\n  panels: {panels: 0.03, count: 40}\n"
    "seeds: 2\noptions: {epochs: 2, width: 4}\nbaseline: crackseg plain\n"
)
MIXTURE = (
    "name: general\nroot: .\ncrops: 20\nseed: 3\nsets:\n  walls:\n    folder: walls\n"
    "    fraction: 0.5\n    terms: CC0\n    commercial: true\n    group: 'wall([0-9]+)'\n"
    "    block: 10\n    validation: 0.1\n  bare:\n    folder: bare\n    fraction: 0.2\n"
    "    terms: CC0\n    commercial: false\n    crack_free: true\n  painted:\n    fraction: 0.3\n"
    "    terms: ours\n    commercial: true\n    backgrounds: [bare]\n"
)
WRITTEN = {
    "limits.yaml": LIMITS, "report.yaml": REPORT, "severity.yaml": SEVERITY, "photos.csv": TABLE,
    "photos/scale.yaml": SCALE, "config.yaml": CONFIG, "recipe.yaml": RECIPE,
    "mixture.yaml": MIXTURE,
}  # fmt: skip


def write_settings() -> None:
    """Write two photos with masks and every file that people write beside photos."""
    from openpyxl import Workbook

    write_model()
    for folder in ("masks", "photos"):
        Path(folder).mkdir()
    for name, text in WRITTEN.items():
        Path(name).write_text(text, encoding="utf-8")
    for seed in range(2):
        image, mask = drawn(seed)
        cv2.imwrite(f"photos/{seed}.png", image)
        cv2.imwrite(f"masks/{seed}.png", mask)
    book = Workbook()
    for line in TABLE.splitlines():
        book.worksheets[0].append(line.split(","))
    book.save("photos.xlsx")


def read_setting(file: Path) -> None:
    """Read the file as the command that takes it does."""
    readers()[file.name](file)


def readers() -> dict[str, Callable[[Path], Any]]:
    """Return the reader of each file."""
    from fissura.data.mixtures.mixture import read_mixture
    from fissura.inspection.photo_table import known_photos
    from fissura.inspection.report.heading import read_heading
    from fissura.inspection.rules.limits import read_limits
    from fissura.inspection.rules.severity import find_profile
    from fissura.study.recipe_file import read_recipe
    from fissura.training.config_file import read_config

    photos = [Path("photos/0.png"), Path("photos/1.png")]

    def mixture(file: Path) -> None:
        for one in read_mixture(file).sets.values():
            if one.takes("wall12"):
                one.group_of("wall12")

    def recipe(file: Path) -> None:
        for row in read_recipe(file).rows:
            row.experiment.identity()

    return {
        "limits.yaml": read_limits,
        "report.yaml": read_heading,
        "severity.yaml": find_profile,
        "photos.csv": lambda file: known_photos(photos, [Path("photos")], file),
        "photos.xlsx": lambda file: known_photos(photos, [Path("photos")], file),
        "scale.yaml": lambda file: known_photos(photos, [Path("photos")], None),
        "config.yaml": read_config,
        "recipe.yaml": recipe,
        "mixture.yaml": mixture,
    }


def inspect_by_settings(file: Path) -> int:
    """Inspect two photos by all that is written beside them."""
    table = file if file.stem == "photos" else "photos.csv"
    return fissura(
        "inspect", "photos", "--masks", "masks", "--model", "model", "--out", "out",
        "--device", "cpu", "--limits", "limits.yaml", "--report", "report.yaml",
        "--severity", "severity.yaml", "--table", table,
    )  # fmt: skip


BESIDE = ("limits.yaml", "report.yaml", "severity.yaml", "photos.*", "photos/scale.yaml")
OPTIONS = ("config.yaml", "recipe.yaml", "mixture.yaml")
TARGETS = (
    Target(
        name="settings", row="limits, headings, scales, tables of photos", make=write_settings,
        call=read_setting, files=BESIDE, share=200,
    ),
    Target(
        name="inspect by settings", row="limits, headings, scales, tables of photos",
        make=write_settings, call=inspect_by_settings, files=BESIDE, share=4,
    ),
    Target(
        name="options", row="configurations, recipes, mixtures", make=write_settings,
        call=read_setting, files=OPTIONS, share=200,
    ),
)  # fmt: skip
