from __future__ import annotations

import math
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fissura.checkpoint import ModelConfig, load_model, save_model
from fissura.data.folder import find_pairs
from fissura.data.preparation.load import load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.errors import InputError
from fissura.models import build_model
from fissura.models.normalize import normalize
from fissura.overlay import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE, error_overlay
from fissura.paper.figures.fig4 import Photo, choose_photos, draw_grid, draw_predictions
from fissura.study.data import DataSet
from fissura.study.experiment import Run, experiment
from fissura.study.recipe import Recipe, Row
from fissura.study.results import RunResult
from fissura.training.config_file import write_config

OPTIONS = {"width": 2}
DATA = DataSet("lines", "Lines", "native")
ROWS = [
    Row(name, title, experiment(DATA, loss=name, epochs=1, **OPTIONS))
    for name, title in {"bce": "Entropy", "dice": "Overlap", "focal": "Fading"}.items()
]
RECIPE = Recipe(name="fig4", title="Fig. 4", rows=ROWS, show=draw_grid, needs_weights=True)


@pytest.fixture(scope="module")
def images(lines):
    return load_split(find_pairs(lines), "test", PROTOCOLS["native"])


@pytest.fixture
def study(tmp_path, lines, images):
    """A study's folder with two seeds of untrained networks, and made-up results of them."""
    found = {}
    for index, row in enumerate(ROWS):
        found[row.name] = []
        for seed in (2, 5):
            run = Run(row.experiment, seed)
            folder = tmp_path / "trained" / run.key
            torch.manual_seed(10 * index + seed)
            model = build_model("crackseg", **OPTIONS)
            save_model(folder / "model", model, ModelConfig("crackseg", OPTIONS, threshold=0.9))
            write_config(folder / "config.yaml", lines, run.config)
            found[row.name].append(result(run, index, images))
    return tmp_path, found


def result(run, index, images):
    generator = np.random.default_rng(index)
    counts = [
        [hit := int(generator.integers(0, truth.sum())), 3, int(truth.sum()) - hit]
        for truth in images.masks
    ]
    return RunResult(
        key=run.key, seed=run.seed, identity=run.experiment.identity(), config={}, train={},
        test={"fingerprint": images.fingerprint}, metrics={"iou": 0.5}, other_masks=None,
        test_curve=[], counts=counts, groups=[], loss=0.1, seconds={}, precision="float32",
        versions={}, machine="", date="2025-01-01",
    )  # fmt: skip


def texts_of(svg):
    nodes = ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(node.itertext()) for node in nodes]


def iou_of(run_folder, image, truth):
    """IoU at 0.5 by the network itself, without the predictor."""
    model, config = load_model(run_folder)
    x = normalize(torch.tensor(image).permute(2, 0, 1)[None], config.mean, config.std)
    with torch.inference_mode():
        pred = model(x)[0, 0].numpy() >= 0
    return (pred & truth).sum() / (pred | truth).sum()


def test_figure_shows_each_row_with_the_iou_of_its_network(study, images, monkeypatch):
    monkeypatch.setattr("fissura.device.cpu_has_bfloat16", lambda: False)
    folder, found = study
    files = draw_grid(RECIPE, found, folder)
    assert [file.name for file in files] == ["fig4.png", "fig4.svg"]
    texts = texts_of(files[1])
    for title in ("image", "truth", "Entropy", "Overlap", "Fading", "crack, missed"):
        assert title in texts
    photos = choose_photos([np.array(found[row.name][0].counts) for row in ROWS])
    expected = [
        f"{100 * iou_of(folder / 'trained' / found[row.name][0].key, image, truth):.1f}"
        for image, truth in ((images.images[p.index], images.masks[p.index]) for p in photos)
        for row in ROWS
    ]
    assert [text for text in texts if text.replace(".", "").isdigit()] == expected
    assert len(set(expected)) > 5
    words = " ".join(texts)
    assert "Networks of seed 2." in words
    assert "quantiles of the mean IoU" in words
    assert "No results" not in words
    for photo in photos:
        assert f"{100 * photo.quantile:g} %" in words
        assert f"mean {100 * photo.mean_iou:.1f}" in words


def test_the_same_runs_give_the_same_files_of_the_first_seed_of_all_rows(study):
    folder, found = study
    found["dice"] = found["dice"][1:]  # seed 2 is not common any more
    files = draw_grid(RECIPE, found, folder)
    before = [file.read_bytes() for file in files]
    assert "Networks of seed 5." in " ".join(texts_of(files[1]))
    assert [file.read_bytes() for file in draw_grid(RECIPE, found, folder)] == before


def test_a_seed_without_weights_gives_way_and_rows_without_results_are_named(study):
    folder, found = study
    (folder / "trained" / found["bce"][0].key / "model" / "model.safetensors").unlink()
    del found["dice"]
    words = " ".join(texts_of(draw_grid(RECIPE, found, folder)[1]))
    assert "Networks of seed 5." in words
    assert "No results yet: Overlap." in words


def test_missing_weights_are_named_and_what_to_do(study):
    folder, found = study
    gone = [found["bce"][0].key, found["focal"][0].key]
    for row, file in (("bce", "model/model.safetensors"), ("focal", "config.yaml")):
        for run in found[row]:
            (folder / "trained" / run.key / file).unlink()
    with pytest.raises(InputError) as caught:
        draw_grid(RECIPE, found, folder)
    assert ", ".join(gone) in str(caught.value)
    assert found["dice"][0].key not in str(caught.value)
    assert f"`fissura study fig4 --out {folder}` trains" in str(caught.value)
    assert not (folder / "fig4.png").exists()


def test_what_cannot_be_compared(study):
    folder, found = study
    with pytest.raises(InputError, match=r"nothing to draw for fig4.*fissura study fig4"):
        draw_grid(RECIPE, {}, folder)
    changed = [replace(run, test={"fingerprint": "other"}) for run in found["focal"]]
    with pytest.raises(InputError, match="was judged on other test images than those in"):
        draw_grid(RECIPE, {**found, "focal": changed}, folder)
    apart = {"bce": found["bce"][:1], "dice": found["dice"][1:]}
    with pytest.raises(InputError, match="no seed has results in all rows"):
        draw_grid(RECIPE, apart, folder)


def test_cells_hold_the_pixels_of_photo_and_errors(images):
    image, truth = images.images[1], images.masks[1]
    pred = np.roll(truth, 1, axis=0)
    figure = draw_predictions(
        images, [Photo(1, 0.5, 0.4)], [("Shifted", [pred]), ("Right", [truth])], "words"
    )
    photo, marked, shifted, right = figure.axes
    np.testing.assert_array_equal(photo.images[0].get_array(), image)
    drawn = np.asarray(marked.images[0].get_array())
    np.testing.assert_array_equal((drawn != image).any(axis=2), truth)
    drawn = np.asarray(shifted.images[0].get_array())
    np.testing.assert_array_equal(drawn, error_overlay(image, pred, truth))
    percent = 100 * (pred & truth).sum() / (pred | truth).sum()
    assert shifted.get_xlabel() == f"{percent:.1f}"
    assert right.get_xlabel() == "100.0"
    assert right.xaxis.label.get_fontweight() == "bold"
    assert shifted.xaxis.label.get_fontweight() == "normal"
    patches = [patch.get_facecolor() for patch in figure.legends[0].get_patches()]
    for color, face in zip((TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE), patches, strict=True):
        assert face[:3] == pytest.approx([channel / 255 for channel in color])


@given(st.data())
def test_photos_against_a_slow_ranking(data):
    networks, photos = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 12))
    cracks = data.draw(st.lists(st.integers(0, 9), min_size=photos, max_size=photos))
    counts = []
    for _ in range(networks):
        hits = [data.draw(st.integers(0, crack)) for crack in cracks]
        alarms = data.draw(st.lists(st.integers(0, 5), min_size=photos, max_size=photos))
        counts.append(
            [[hit, alarm, crack - hit]
             for hit, alarm, crack in zip(hits, alarms, cracks, strict=True)]
        )  # fmt: skip
    arrays = [np.array(one, np.int64) for one in counts]
    if not any(cracks):
        with pytest.raises(InputError, match="None of the test photos"):
            choose_photos(arrays)
        return
    scored = []
    for photo in range(photos):
        if cracks[photo]:
            values = [one[photo][0] / sum(one[photo]) for one in counts]
            scored.append((np.mean(values), photo))
    scored.sort()
    taken = []
    for quantile in (0.1, 0.3, 0.5, 0.7, 0.9):
        exact = quantile * (len(scored) - 1)
        rank = math.floor(exact) if exact - math.floor(exact) < 0.5 else math.ceil(exact)
        if scored[rank] not in taken:
            taken.append(scored[rank])
    chosen = choose_photos(arrays)
    assert [photo.index for photo in chosen] == [photo for _, photo in taken]
    assert [photo.mean_iou for photo in chosen] == pytest.approx([value for value, _ in taken])
    assert all(photo.quantile in (0.1, 0.3, 0.5, 0.7, 0.9) for photo in chosen)
