import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fissura.data.mixtures import images as mixture_images
from fissura.data.mixtures.crops import draw_place
from fissura.data.mixtures.images import load_mixture
from fissura.data.mixtures.mixture import is_mixture, read_mixture
from fissura.data.synthetic.objects import OBJECTS
from fissura.data.synthetic.on_photos import draw_on_photo
from fissura.errors import InputError
from fissura.training.options import TrainOptions
from fissura.training.train import resume, train

RECIPES = Path(__file__).parents[3] / "recipes"
FREE = {"terms": "CC0", "commercial": True}
MIXED = TrainOptions(
    model="lite_unet", encoder="efficientnet-lite0", loss="bce-dice", augment=False, crop=64,
    batch_size=4, epochs=2, validation=0, schedule="constant", accelerator="cpu",
)  # fmt: skip


def noisy(rng, size_hw=(96, 96)):
    return np.clip(rng.normal(150, 12, (*size_hw, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def mixture_file(tmp_path, monkeypatch):
    """A mixture of cracked photos, tiles of shared photos, bare surfaces and drawn cracks."""
    monkeypatch.setattr(mixture_images, "COUNTED", 10)
    monkeypatch.setattr(mixture_images, "DRAWN", 96)
    rng = np.random.default_rng(0)
    for index in range(8):
        image, mask = noisy(rng), np.zeros((96, 96), np.uint8)
        mask[40:44, 5:90] = 255
        image[mask > 0] = 30
        for kind, pixels in (("images", image), ("masks", mask)):
            folder = tmp_path / "cracked" / kind
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"wall{index // 2}_{index}.png")
    (tmp_path / "bare").mkdir()
    for index in range(5):
        Image.fromarray(noisy(rng)).save(tmp_path / "bare" / f"{index}.png")
    sets = {
        "cracked": {"folder": "cracked", "fraction": 0.5, "group": "(wall[0-9])_"}
        | {"validation": 0.25}
        | FREE,
        "bare": {"folder": "bare", "fraction": 0.2, "crack_free": True, "validation": 0.2} | FREE,
        "drawn": {"backgrounds": ["bare"], "fraction": 0.3, "validation": 3} | FREE,
    }
    return written(tmp_path / "mixture.yaml", sets)


def written(file, sets, **more):
    file.write_text(yaml.safe_dump({"name": "tiny", "crops": 8, "sets": sets} | more))
    return file


def changed(file, name, **entries):
    """The mixture with other entries of one set; None takes an entry away."""
    read = yaml.safe_load(file.read_text())
    read["sets"][name] |= entries
    read["sets"][name] = {k: v for k, v in read["sets"][name].items() if v is not None}
    file.write_text(yaml.safe_dump(read))
    return file


def test_groups_are_kept_whole_and_apart(mixture_file):
    images, held = load_mixture(read_mixture(mixture_file))
    walls = {name[:5] for name in images.photos["cracked"].names}
    kept = {name.split("/")[1][:5] for name in held.names if name.startswith("cracked/")}
    assert len(walls) == 3
    assert len(kept) == 1
    assert not walls & kept
    assert sum(name.startswith("cracked/") for name in held.names) == 2
    assert [name for name in held.names if name.startswith("drawn/")] == [
        "drawn/0", "drawn/1", "drawn/2",
    ]  # fmt: skip
    assert sum(name.startswith("bare/") for name in held.names) == 1


def test_excluded_images_and_other_splits_are_left_out(mixture_file):
    changed(mixture_file, "cracked", exclude="^wall0", validation=0)
    changed(mixture_file, "bare", exclude="[01]")
    images, _ = load_mixture(read_mixture(mixture_file))
    assert {name[:5] for name in images.photos["cracked"].names} == {"wall1", "wall2", "wall3"}
    assert not {"0", "1"} & set(images.photos["bare"].names)
    changed(mixture_file, "cracked", split="val")
    with pytest.raises(InputError, match="no split 'val'"):
        load_mixture(read_mixture(mixture_file))


def test_a_mixture_keeps_its_fingerprint(mixture_file):
    mixture = read_mixture(mixture_file)
    before = mixture.fingerprint(["a"])
    assert changed(mixture_file, "cracked", split="all") == mixture_file
    assert read_mixture(mixture_file).fingerprint(["a"]) == before
    changed(mixture_file, "cracked", exclude="x")
    assert read_mixture(mixture_file).fingerprint(["a"]) != before


def test_backgrounds_of_training_and_validation_are_apart(mixture_file):
    images, held = load_mixture(read_mixture(mixture_file))
    kept = {name.removeprefix("bare/") for name in held.names if name.startswith("bare/")}
    assert kept
    assert not kept & set(images.photos["drawn"].names)


def test_a_batch_follows_from_its_seed(mixture_file):
    images, _ = load_mixture(read_mixture(mixture_file))
    batches = [
        images.batch(np.arange(4), crop=64, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    ]
    assert batches[0][0].shape == (4, 3, 64, 64)
    assert batches[0][1].shape == (4, 1, 64, 64)
    assert set(batches[0][1].unique().tolist()) <= {0, 1}
    assert all((a == b).all() for a, b in zip(batches[0], batches[1], strict=True))
    assert (batches[0][0] != batches[2][0]).any()


def test_fractions_are_those_of_the_crops(mixture_file):
    changed(mixture_file, "cracked", fraction=0.0)
    changed(mixture_file, "bare", fraction=1.0)
    changed(mixture_file, "drawn", fraction=0.0)
    images, _ = load_mixture(read_mixture(mixture_file))
    assert not images.batch(np.arange(30), crop=32, rng=np.random.default_rng(0))[1].any()
    assert images.crack_fraction == 0


def test_terms_follow_from_the_sets(mixture_file):
    mixture = read_mixture(mixture_file)
    assert mixture.terms is None
    assert mixture.credits["cracked"] == "CC0"
    changed(mixture_file, "cracked", commercial=False, cite="Somebody, 2020")
    mixture = read_mixture(mixture_file)
    assert "non-commercial" in mixture.terms
    assert "cracked" in mixture.terms
    assert mixture.credits["cracked"] == "CC0; cite Somebody, 2020"


def test_the_general_model_is_free_and_the_research_model_is_not():
    general = read_mixture(RECIPES / "general.yaml")
    assert general.terms is None
    assert not {"deepcrack", "crack500"} & set(general.sets)
    research = read_mixture(RECIPES / "research.yaml")
    assert "non-commercial" in research.terms
    assert research.sets["deepcrack"].split == research.sets["crack500"].split == "train"


@pytest.mark.parametrize(
    ("name", "entries", "words"),
    [
        ("bare", {"fraction": 0.9}, "add up to"),
        ("bare", {"terms": None}, "lacks terms"),
        ("bare", {"weight": 1}, "unknown entries: weight"),
        ("bare", {"folder": None}, "either `folder` or `backgrounds`"),
        ("bare", {"commercial": "perhaps"}, "true or false"),
        ("bare", {"fraction": "much"}, "number"),
        ("drawn", {"backgrounds": ["cracked"]}, "crack_free: true"),
    ],
)
def test_what_is_wrong_with_a_mixture_is_said(mixture_file, name, entries, words):
    changed(mixture_file, name, **entries)
    with pytest.raises(InputError, match=words) as caught:
        read_mixture(mixture_file)
    assert str(mixture_file) in str(caught.value)


def test_a_missing_folder_is_named(mixture_file):
    changed(mixture_file, "bare", folder="nowhere")
    with pytest.raises(InputError, match="nowhere"):
        load_mixture(read_mixture(mixture_file))


def test_what_is_no_mixture_is_refused(tmp_path):
    file = tmp_path / "other.yaml"
    file.write_text("epochs: 5\n")
    assert is_mixture(file)
    assert not is_mixture(tmp_path)
    with pytest.raises(InputError, match="not a mixture"):
        read_mixture(file)


def test_a_training_on_a_mixture_ends_with_a_model_and_its_terms(mixture_file, tmp_path):
    changed(mixture_file, "cracked", commercial=False)
    options = replace(MIXED, crop=32, validation=0.1)
    outcome = train(mixture_file, out=tmp_path / "run", options=options, quiet=True)
    from fissura.checkpoint import load_model

    _, config = load_model(outcome.run)
    assert config.threshold_source == "validation"
    assert "non-commercial" in config.training["terms"]
    assert set(config.training["data"]) == {"cracked", "bare", "drawn"}
    assert config.mean == pytest.approx((127 / 255,) * 3)
    assert config.auto_scale  # since its crops had many scales


def test_a_protocol_does_not_fit_a_mixture(mixture_file, tmp_path):
    options = TrainOptions(protocol="panel128", epochs=1)
    with pytest.raises(InputError, match="panel128"):
        train(mixture_file, out=tmp_path / "run", options=options, quiet=True)


def test_drawn_cracks_are_darker_than_their_surroundings():
    rng = np.random.default_rng(3)
    darker = []
    for seed in range(6):
        photo = noisy(rng, (160, 160))
        image, mask = draw_on_photo(np.random.default_rng(seed), photo, 128)
        assert image.shape == (128, 128, 3)
        if mask.any():
            assert 0 < mask.mean() < 0.3
            darker.append(image[mask].mean() < image[~mask].mean())
    assert len(darker) > 2
    assert np.mean(darker) > 0.7


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_change_some_of_a_surface_and_stay_finite(name):
    changed_fractions = []
    for seed in range(5):
        color = np.full((96, 96, 3), 0.5, np.float32)
        OBJECTS[name](np.random.default_rng(seed), color)
        assert np.isfinite(color).all()
        changed_fractions.append(float((np.abs(color - 0.5) > 0.02).any(axis=2).mean()))
    assert max(changed_fractions) > 0.003


def test_photos_are_taken_at_their_own_scale_where_that_is_asked_for(mixture_file):
    read = yaml.safe_load(mixture_file.read_text())
    plain = read_mixture(mixture_file)
    fixed = read_mixture(written(mixture_file, read["sets"], scale_spread=0))
    assert "scale_spread" not in plain.description  # fingerprints of before hold
    assert fixed.description["scale_spread"] == 0
    rng = np.random.default_rng(0)
    assert {draw_place(rng, None, (300, 300), 64, spread=0).scale for _ in range(9)} == {1.0}
    with pytest.raises(InputError, match="scale_spread"):
        read_mixture(written(mixture_file, read["sets"], scale_spread=7))


@pytest.mark.parametrize("parts", [1, 2])
def test_crops_drawn_ahead_are_those_that_the_training_draws(mixture_file, tmp_path, parts):
    losses = []
    for workers in (0, 2):
        out = tmp_path / f"run{workers}"
        train(
            mixture_file,
            out=out,
            options=replace(MIXED, workers=workers, accumulate=parts),
            quiet=True,
        )
        lines = (out / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    assert losses[0] == losses[1]
    assert len(losses[0]) == 2


def test_a_drawing_process_that_dies_is_a_sentence(mixture_file, tmp_path, monkeypatch):
    own, real = os.getpid(), mixture_images.MixedImages.draw
    run, sick = tmp_path / "run", tmp_path / "sick"

    def die(self, rng, side):
        if os.getpid() != own and sick.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, rng, side)

    monkeypatch.setattr(mixture_images.MixedImages, "draw", die)
    options = replace(MIXED, workers=1, epochs=6)
    with pytest.raises(InputError, match="fewer --workers"):
        train(mixture_file, out=run, options=options, quiet=True, on_epoch=lambda *_: sick.touch())
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("workers: 1", "workers: 0"))
    assert resume(run, quiet=True).epochs == 6  # as the sentence says


def test_a_signal_to_all_processes_stops_the_training_alone(mixture_file, tmp_path):
    """As a terminal, timeout and SLURM send it: to the processes that draw crops, too."""
    command = [
        sys.executable, "-m", "fissura.cli", "train", str(mixture_file), "--out",
        str(tmp_path / "run"), "--workers", "2", "--crop", "64", "--epochs", "1000",
        "--batch-size", "4", "--width", "2", "--model", "crackseg", "--no-augment",
        "--validation", "0", "--accelerator", "cpu",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert "Go on with: fissura train --resume" in said
    assert process.returncode == 128 + signal.SIGTERM
