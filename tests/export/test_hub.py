"""Models to and from a hub that is a folder here; nothing is sent or fetched."""

import shutil
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

import fissura
from fissura.checkpoint import config_of, load_model
from fissura.errors import InputError
from fissura.export.hub import card

huggingface_hub = pytest.importorskip("huggingface_hub")


class Hub:
    """The parts of the hub's interface that are used, with a folder for each repository."""

    def __init__(self, root):
        self.root, self.made, self.asked = root, {}, []

    def api(self, token=None, **_):
        self.asked.append(token)
        return self

    def create_repo(self, name, *, private, exist_ok):
        assert exist_ok
        self.made.setdefault(name, private)
        (self.root / name).mkdir(parents=True, exist_ok=True)
        return SimpleNamespace(repo_id=name)

    def file_exists(self, name, file):
        return (self.root / name / file).is_file()

    def upload_folder(self, *, repo_id, folder_path, commit_message, ignore_patterns):
        for file in Path(folder_path).iterdir():
            if file.name not in ignore_patterns:
                shutil.copy(file, self.root / repo_id / file.name)
        return f"commit of {repo_id}: {commit_message}"

    def snapshot_download(self, name, *, allow_patterns, cache_dir, local_files_only, **_):
        if not (self.root / name).is_dir() or local_files_only:
            raise FileNotFoundError(f"404: no {name} here")
        target = Path(cache_dir) / name
        target.mkdir(parents=True)
        for file in (self.root / name).iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, target)
        return str(target)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", hub.api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    return hub


def front_matter(text):
    _, fields, _ = text.split("---\n", 2)
    return yaml.safe_load(fields)


def test_there_and_back_it_is_the_same_model(model, hub, tmp_path):
    told = fissura.push_to_hub(model, "me/cracks", token="secret")
    assert told.startswith("commit of me/cracks")
    assert hub.asked == ["secret"]
    there = hub.root / "me/cracks"
    assert {file.name for file in there.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
    }
    (there / "pytorch_model.bin").write_bytes(b"a pickle")
    network, config = fissura.from_pretrained("me/cracks", cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache/me/cracks/pytorch_model.bin").exists()
    assert config == config_of(model)
    expected = load_model(model)[0].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_a_new_repository_is_private_and_a_card_is_kept(model, hub):
    fissura.push_to_hub(model, "me/cracks")
    assert hub.made == {"me/cracks": True}
    written = hub.root / "me/cracks/README.md"
    written.write_text("mine", encoding="utf-8")
    fissura.push_to_hub(model, "me/cracks", private=False)
    assert written.read_text(encoding="utf-8") == "mine"


def test_a_local_folder_is_a_repository(model, tmp_path):
    folder = fissura.save_pretrained(model, tmp_path / "repository")
    _, config = fissura.from_pretrained(folder)
    assert config == config_of(model)
    fields = front_matter((folder / "README.md").read_text(encoding="utf-8"))
    assert fields["library_name"] == "fissura"
    assert fields["pipeline_tag"] == "image-segmentation"
    assert fields["license_name"] == "for tests only"
    with pytest.raises(InputError, match="holds a model already"):
        fissura.save_pretrained("crackseg-small", folder)
    assert config_of(folder) == config_of(model)


def test_the_card_of_the_shipped_model_has_its_text_and_terms():
    folder = Path(fissura.__file__).parent / "shipped" / "crackseg_small"
    text = card(folder)
    assert (folder / "card.md").read_text(encoding="utf-8").rstrip() in text
    assert "non-commercial" in front_matter(text)["license_name"]


def test_what_cannot_be_had_is_told(model, hub, tmp_path):
    with pytest.raises(InputError, match=r"me/none could not be had .*404: no me/none here"):
        fissura.from_pretrained("me/none")
    with pytest.raises(InputError, match=r"could not be had"):
        fissura.from_pretrained("me/none", local_files_only=True)
    file = fissura.export_model(model, tmp_path / "model.safetensors").file
    with pytest.raises(InputError, match="is an exported file"):
        fissura.save_pretrained(file, tmp_path / "repository")


def test_a_name_that_is_none_is_told(tmp_path):
    with pytest.raises(InputError, match="no name of a repository, which is owner/name"):
        fissura.from_pretrained(tmp_path / "there is none")


def test_the_package_that_is_missing_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'fissura\[hub\]'"):
        fissura.from_pretrained("me/cracks")
