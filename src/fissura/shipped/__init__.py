"""Models that come with the package: a folder each, with weights, config.json and a card.

How they were trained is in `recipes/` of the project.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

# What commands take where no model is named.
DEFAULT = "fissura-general"

# What is said of a model whose data restrict nothing.
FREE = "free to use, also commercially"

# Photos of cracked concrete for `fissura demo`, CC0; see the NOTICE.md beside them.
PHOTOS = Path(__file__).parent / "photos"

MODELS: dict[str, str] = {
    "fissura-general": "surfaces that nobody trained on, at any scale",
    "fissura-research": "the same, and pavements like CRACK500's and DeepCrack's",
    "crackseg-small": "pavements and concrete like CRACK500's and DeepCrack's, from near by",
}


@dataclass(frozen=True)
class Shipped:
    """A model that comes with the package.

    Attributes:
        name: The key of `MODELS`.
        folder: For `fissura.checkpoint.load_model`.
        purpose: The photos that it is for.
        card: The text of its model card, Markdown.
        terms: Terms of use, in short.
        threshold: Probability from which a pixel counts as crack.
        bytes: Size of its weights.
    """

    name: str
    folder: Path
    purpose: str
    card: str
    terms: str
    threshold: float
    bytes: int


def shipped_folder(name: str) -> Path:
    """Return the folder of a model.

    Args:
        name: A key of `MODELS`.
    """
    return Path(__file__).parent / name.replace("-", "_")


def shipped(name: str) -> Shipped:
    """Return the description of a model.

    Args:
        name: A key of `MODELS`.

    >>> shipped("crackseg-small").folder.name
    'crackseg_small'
    """
    folder = shipped_folder(name)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Shipped(
        name=name,
        folder=folder,
        purpose=MODELS[name],
        card=(folder / "card.md").read_text(encoding="utf-8"),
        terms=config["training"].get("terms", FREE),
        threshold=config["threshold"],
        bytes=(folder / "model.safetensors").stat().st_size,
    )
