"""`warnings_for`: the reasons why a reader should doubt the metrics of a report."""

from __future__ import annotations

from pathlib import Path

from fissura.checkpoint import ModelConfig, find_model
from fissura.data.preparation.load import PreparedSet
from fissura.data.preparation.protocols import Protocol
from fissura.evaluation.options import EvaluateOptions
from fissura.files.documents import read_json
from fissura.metrics.curves import at_end_of_grid


def warnings_for(
    model: Path,
    config: ModelConfig,
    data: Path,
    images: PreparedSet,
    chosen: Protocol,
    own: Protocol,
    options: EvaluateOptions,
) -> list[str]:
    """Return the warnings of a report, as sentences.

    Args:
        model: Run folder, model folder, or name of a shipped model.
        config: Description of that model.
        data: Folder of the images.
        images: Images that it was judged by.
        chosen: Protocol that prepared them.
        own: Protocol of the model's training.
        options: Split, threshold and `clean` are taken from here.
    """
    found = _seen(model, config, data, images, options)
    if options.threshold is not None:
        found.append(
            "The threshold was given by hand. If it was chosen with an eye on these images, its "
            "metrics are too good for new photos."
        )
    elif config.threshold_source == "validation" and at_end_of_grid(config.threshold):
        found.append(
            f"The threshold that training chose, {config.threshold:.3g}, is at the end of its "
            "grid: the model's probabilities say little, and another may be better."
        )
    if chosen != own:
        found.append(
            f"The model was trained on images prepared as '{own.name}', these are prepared as "
            f"'{chosen.name}'. Metrics of different preparations cannot be compared."
        )
    return found


def _seen(
    model: Path, config: ModelConfig, data: Path, images: PreparedSet, options: EvaluateOptions
) -> list[str]:
    """Return the warning that the model may know these images, where it may."""
    record = _names_in_training(model)
    if record is not None:
        seen = sum(name in record for name in images.names)
        if not seen:
            return []
        if seen == len(images):
            return [
                "By their names, all of these images served for training or for choosing the "
                "model. These metrics say nothing about new photos."
            ]
        return [
            f"By their names, {seen} of these images served for training or for choosing the model."
        ]
    if options.clean or not _may_be_known(config, data):
        return []
    if options.split in ("train", "all"):
        return [
            f"The split '{options.split}' may hold images that the model was trained on. "
            "These metrics say nothing about new photos."
        ]
    if options.split == "val":
        return [
            "The model may have been chosen on these validation images. "
            "These metrics are too good for new photos."
        ]
    return []


def _names_in_training(model: Path) -> set[str] | None:
    """Read the names of the images of a model's training, where its run folder has them."""
    try:
        record = read_json(find_model(model).parent / "data.json")
        return {*record["train"], *record["validation"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _may_be_known(config: ModelConfig, data: Path) -> bool:
    """Whether a model without a record of its images may have been trained on those in `data`.

    A model that comes with Fissura names its public data sets; other people's photos are not among
    them.
    """
    sets = config.training.get("data")
    if sets is None:
        return True
    path = "".join(data.resolve().as_posix().lower().split())
    return any("".join(name.lower().split()) in path for name in str(sets).split(","))
