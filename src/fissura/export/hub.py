"""Models from and to the Hugging Face hub, by its conventions.

A repository holds `model.safetensors`, `config.json` and a model card, `README.md`: a model folder
and its card. Nothing here is called by the rest of Fissura, so nothing is ever downloaded or
uploaded unless one of these functions is.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from torch import nn

from fissura.checkpoint import CONFIG, WEIGHTS, ModelConfig, find_model, load_model, read_config
from fissura.errors import InputError, extra
from fissura.files import replacing
from fissura.inference.engines.familiar import FILE as FAMILIAR
from fissura.version import __version__

CARD = "README.md"


def save_pretrained(model: str | Path, folder: str | Path) -> Path:
    """Write a model as a repository of the hub holds it: weights, description and model card.

    Args:
        model: Run folder, model folder, or name of a model that comes with Fissura.
        folder: The folder to write into; a `README.md` that is there already is kept.

    Returns:
        The folder.

    Raises:
        InputError: There is no such model, or the folder holds another one.
    """
    source, folder = find_model(model), Path(folder)
    if source.is_file():
        raise InputError(f"{model} is an exported file. Give the model folder it was made from.")
    if source.resolve() != folder.resolve():
        for name in (CONFIG, WEIGHTS):
            if (folder / name).exists():
                raise InputError(f"{folder} holds a model already. Give a new folder.")
            with replacing(folder / name) as temporary:
                shutil.copyfile(source / name, temporary)
        if (source / FAMILIAR).is_file():
            with replacing(folder / FAMILIAR) as temporary:
                shutil.copyfile(source / FAMILIAR, temporary)
    if not (folder / CARD).exists():
        with replacing(folder / CARD) as temporary:
            temporary.write_text(card(source), encoding="utf-8")
    return folder


def push_to_hub(
    model: str | Path,
    name: str,
    *,
    private: bool = True,
    token: str | None = None,
    message: str = "Upload a model of Fissura",
) -> str:
    """Upload a model to the Hugging Face hub, with a model card.

    Args:
        model: Run folder, model folder, or name of a model that comes with Fissura.
        name: Of the repository, "owner/name"; it is made where it does not exist.
        private: Whether a new repository is for its owner alone.
        token: Of the hub; by default that of `hf auth login`.
        message: Of the commit.

    Returns:
        The address of the commit.

    Raises:
        InputError: There is no such model, or huggingface_hub is not installed.
    """
    with extra("hub", "The Hugging Face hub"):
        from huggingface_hub import HfApi

    hub = HfApi(token=token, library_name="fissura", library_version=__version__)
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, folder)
        there = hub.create_repo(name, private=private, exist_ok=True).repo_id
        kept = [CARD] if hub.file_exists(there, CARD) else []  # a card that somebody wrote
        return str(
            hub.upload_folder(
                repo_id=there, folder_path=folder, commit_message=message, ignore_patterns=kept
            )
        )


def from_pretrained(
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> tuple[nn.Module, ModelConfig]:
    """Load a model of the Hugging Face hub, or of a folder, as `fissura.load_model` does.

    Args:
        name: A folder, or a repository, "owner/name", whose weights and description are downloaded
            unless they are in the hub's cache.
        revision: Branch, tag or commit of the repository; a commit is sure to stay the same.
        token: Of the hub, for private repositories; by default that of `hf auth login`.
        cache_dir: Folder of downloads; by default the hub's.
        local_files_only: Take what was downloaded before, or fail.

    Returns:
        The network, on the CPU and in evaluation mode, and its description; for example for
        `fissura.Predictor(*fissura.from_pretrained("owner/name"))`.

    Raises:
        InputError: There is no such repository, it cannot be reached, or it holds no model of
            Fissura.

    >>> from fissura.shipped import shipped_folder
    >>> network, config = from_pretrained(shipped_folder("crackseg-small"))
    >>> config.model
    'crackseg'
    """
    if Path(name).is_dir():
        return load_model(name)
    with extra("hub", "The Hugging Face hub"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError
    try:
        folder = snapshot_download(
            str(name),
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=[CONFIG, WEIGHTS],  # no more than is needed, and never a pickle
            library_name="fissura",
            library_version=__version__,
        )
    except HFValidationError as error:
        raise InputError(
            f"There is no folder {name}, and it is no name of a repository, which is owner/name."
        ) from error
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        raise InputError(
            f"The model {name} could not be had from the Hugging Face hub. ({reason.strip()})"
        ) from error
    return load_model(folder)


def card(folder: Path) -> str:
    """Return the model card of a model folder: the hub's fields, then Markdown.

    Args:
        folder: A model folder; a `card.md` in it is taken for the text.
    """
    config = read_config(folder / CONFIG)
    terms = config.training.get("terms")
    fields = ["library_name: fissura", "pipeline_tag: image-segmentation"]
    fields += ["tags: [crack-segmentation, image-segmentation]"]
    if terms:
        fields += ["license: other", f"license_name: {json.dumps(terms)}"]
    own = folder / "card.md"
    text = own.read_text(encoding="utf-8") if own.is_file() else _text(config)
    use = (
        "## Use\n\n"
        "    pip install 'fissura[hub]'\n\n"
        "```python\n"
        "import fissura\n\n"
        'predictor = fissura.Predictor(*fissura.from_pretrained("OWNER/NAME"))\n'
        'mask = predictor("photo.jpg").mask\n'
        "```\n"
    )
    return "---\n" + "\n".join(fields) + "\n---\n\n" + text.rstrip() + "\n\n" + use


def _text(config: ModelConfig) -> str:
    """What is known of a model without a card of its own."""
    told = {
        "Network": f"{config.model} {config.options or ''}".strip(),
        "Threshold": f"{config.threshold:g} ({config.threshold_source})",
        "Scale": f"{config.scale:g} of the size of its photos",
        "Trained on": config.training.get("data", config.training.get("images")),
        "Loss": config.training.get("loss"),
        "Epochs": config.training.get("epochs"),
        "Terms": config.training.get("terms", "not stated"),
        "Versions": ", ".join(f"{name} {number}" for name, number in config.versions.items()),
    }
    lines = [f"- {name}: {value}" for name, value in told.items() if value not in (None, "")]
    return "# Cracks in photos, pixel by pixel\n\n" + "\n".join(lines)
