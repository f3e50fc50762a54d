"""Several classes, the whole way: drawn data, training, validation, evaluation, prediction."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fissura
from fissura.checkpoint import load_model, read_config
from fissura.cli import run as cli
from fissura.data.labels import Labels
from fissura.data.synthetic import draw_classes, draw_panel
from fissura.data.synthetic.dataset import synth
from fissura.errors import InputError
from fissura.evaluation.evaluate import evaluate
from fissura.evaluation.options import EvaluateOptions
from fissura.inference.files.folder import predict
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.losses import LOSSES, PerClassLoss, softmax_hybrid_focal_margin_loss
from fissura.training.build import begin
from fissura.training.class_step import validate_classes
from fissura.training.classes import class_targets, rare_fraction
from fissura.training.inputs import choose_loss, read_inputs
from fissura.training.options import TrainOptions
from fissura.training.processes.start import start_fabric
from fissura.training.run_folder import read_metrics
from fissura.training.session import Planned
from fissura.training.train import resume, train

CLASSES = "crack,seam,stain"
OPTIONS = TrainOptions(
    classes=CLASSES,
    width=4,
    epochs=6,
    batch_size=4,
    learning_rate=5e-3,
    validation=0.25,
    precision="float32",
    accelerator="cpu",
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Drawn panels on which seams and stains are classes, beside cracks."""
    root = tmp_path_factory.mktemp("drawn") / "data"
    synth(root, count=40, size_hw=(48, 48), crack_fraction=0.08, classes=CLASSES, seed=3)
    return root


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory):
    return train(drawn, out=tmp_path_factory.mktemp("run") / "run", options=OPTIONS, quiet=True).run


@pytest.fixture(scope="module")
def overlapping(drawn, tmp_path_factory):
    """The same masks, a folder for each class, the cracks twice: as crack and as damage."""
    root = tmp_path_factory.mktemp("overlapping") / "data"
    for split in ("train", "test"):
        shutil.copytree(drawn / split / "images", root / split / "images")
        for file in (drawn / split / "masks").iterdir():
            mask = np.asarray(Image.open(file))
            for name, values in {"crack": [1], "damage": [1, 3]}.items():
                target = root / split / "masks" / name / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.isin(mask, values).astype(np.uint8) * 255).save(target)
    return root


# --- drawn data ---------------------------------------------------------------------------------


def test_marks_of_the_generator_are_classes():
    panel, masks = draw_classes(5, 4, marks=("seam", "stain"), crack_fraction=0.05)
    assert not (masks["seam"] & masks["stain"]).any()
    assert not (masks["seam"] & panel.mask).any()
    share = np.mean([draw_classes(5, i, marks=("seam",))[1]["seam"].any() for i in range(24)])
    assert 0.2 < share < 0.8
    with pytest.raises(InputError, match=r"draws no rust\. It draws cracks and stain"):
        draw_classes(5, marks=("rust",))


def test_without_classes_the_same_panels_are_drawn():
    panel, masks = draw_classes(5, 4, marks=())
    np.testing.assert_array_equal(panel.image, draw_panel(5, 4).image)
    assert masks == {}


# --- options ------------------------------------------------------------------------------------


def test_default_options_are_those_of_before():
    assert TrainOptions().classes is None
    with pytest.raises(InputError, match="--rare names"):
        TrainOptions(rare="crack")
    with pytest.raises(InputError, match="two classes have one name"):
        TrainOptions(classes="a,a")
    with pytest.raises(InputError, match="overlapping classes need names"):
        TrainOptions(overlapping=True)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_has_a_form_for_classes(name):
    options = TrainOptions(loss=name.replace("_", "-"), classes="a,b")
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 1, 4, 4)).to(torch.uint8)
    assert choose_loss(options, 0.1)[0](logits, target).isfinite()
    both = replace(options, overlapping=True)
    assert choose_loss(both, 0.1)[0](logits[:, :2], class_targets(target, both)).isfinite()


def test_rare_classes_reach_the_loss():
    options = TrainOptions(classes="a,b,c", rare="b,c", margin=1.0)
    loss, given = choose_loss(options, 0.1)
    logits, target = torch.randn(2, 4, 4, 4), torch.randint(0, 4, (2, 1, 4, 4))
    expected = softmax_hybrid_focal_margin_loss(logits, target, rare=[2, 3], margin=1.0)
    assert torch.equal(loss(logits, target), expected)
    assert given == {"margin": 1.0}
    with pytest.raises(InputError, match="--rare d: d is none of the classes a, b, c"):
        choose_loss(replace(options, rare="d"), 0.1)
    with pytest.raises(InputError, match="treats all classes alike"):
        choose_loss(replace(options, loss="focal", margin=None), 0.1)


def test_the_margin_follows_the_fraction_of_rare_classes(drawn):
    train_set = read_inputs(drawn, OPTIONS).train
    fractions = train_set.class_fractions
    assert rare_fraction(OPTIONS, train_set) == pytest.approx(sum(fractions.values()))
    only = replace(OPTIONS, rare="seam")
    assert rare_fraction(only, train_set) == fractions["seam"]


def test_overlapping_targets_are_bits():
    mask = torch.tensor([0, 1, 2, 3], dtype=torch.uint8).view(1, 1, 2, 2)
    targets = class_targets(mask, TrainOptions(classes="a,b", overlapping=True))
    assert targets.tolist() == [[[[0, 1], [0, 1]], [[0, 0], [1, 1]]]]


# --- training -----------------------------------------------------------------------------------


def test_three_classes_are_learned(trained):
    lines = read_metrics(trained / "metrics.jsonl")
    assert lines[-1]["loss"] < 0.9 * lines[0]["loss"]
    assert set(lines[-1]["validation"]) == {"iou", "f1", "iou_crack", "iou_seam", "iou_stain"}
    card = read_config(trained / "model" / "config.json")
    assert card.classes == ("crack", "seam", "stain")
    assert card.options["channels"] == 4
    assert (card.threshold, card.threshold_source) == (0.5, "fixed")
    assert card.training["classes"] == CLASSES
    record = json.loads((trained / "data.json").read_text())
    assert list(record["classes"]) == ["crack", "seam", "stain"]


def test_binary_models_are_described_as_before(lines, tmp_path):
    options = TrainOptions(width=2, epochs=1, batch_size=4, accelerator="cpu")
    run = train(lines, out=tmp_path / "run", options=options, quiet=True).run
    assert {"classes", "overlapping"} & set(
        json.loads((run / "model/config.json").read_text())
    ) == set()


def test_validation_counts_what_the_maps_show(drawn, tmp_path):
    inputs = read_inputs(drawn, OPTIONS)
    planned = Planned(tmp_path / "run", drawn, OPTIONS)
    session, _ = begin(planned, start_fabric(OPTIONS), inputs, None)
    counts = validate_classes(session, session.validation)
    truth = np.stack(inputs.validation.masks)
    pixels = [(truth == number).sum() for number in (1, 2, 3)]
    assert (counts[:, 0] + counts[:, 2]).tolist() == pixels
    assert (counts.sum(axis=1) == truth.size).all()


def test_a_training_of_classes_is_resumed_by_its_configuration(trained, tmp_path):
    copied = shutil.copytree(trained, tmp_path / "run")
    weights = (copied / "model" / "model.safetensors").read_bytes()
    assert resume(copied, quiet=True).epochs == OPTIONS.epochs
    assert (copied / "model" / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("name", ["crackseg-small", "fissura-general"])
def test_a_training_starts_from_a_model_of_other_classes(drawn, tmp_path, name):
    options = replace(OPTIONS, model=None, width=None, epochs=1, start=name)
    run = train(drawn, out=tmp_path / "run", options=options, quiet=True).run
    started, _ = load_model(run)
    assert started.head.weight.shape[0] == 4


def test_studies_refuse_classes(drawn):
    from fissura.study.runs.images import prepared_for

    with pytest.raises(InputError, match="Studies compare trainings of crack or not"):
        prepared_for(OPTIONS, drawn, "test")


# --- evaluation ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(drawn, trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report"
    options = EvaluateOptions(bootstrap=20, precision="float32", device="cpu")
    return evaluate(trained, drawn, options=options, out=out)


def test_each_class_has_its_metrics(drawn, trained, report):
    names = ["crack", "seam", "stain"]
    assert list(report.summary["classes"]) == names
    files = sorted((drawn / "test" / "images").iterdir())
    masks = [np.asarray(Image.open(drawn / "test" / "masks" / file.name)) for file in files]
    predictor = Predictor.load(trained, device="cpu", precision="float32")
    photos = [np.array(Image.open(file)) for file in files]
    maps = [found.map for found in predictor.class_predictions(photos)]
    confusion = np.zeros((4, 4), int)
    for mask, found in zip(masks, maps, strict=True):
        np.add.at(confusion, (mask, found), 1)
    assert report.summary["confusion"]["pixels"] == confusion.tolist()
    for number, name in enumerate(names, start=1):
        own = report.summary["classes"][name]
        tp = confusion[number, number]
        counts = own["at_map"]["counts"]
        assert counts["tp"] == tp
        assert counts["fp"] == confusion[:, number].sum() - tp
        assert counts["fn"] == confusion[number].sum() - tp
        assert 0 <= own["average_precision"]["value"] <= 1
    ious = [report.summary["classes"][name]["at_map"]["pooled"]["iou"]["value"] for name in names]
    assert report.summary["mean"]["iou"] == pytest.approx(np.mean(ious))
    assert report.summary["classes"]["crack"]["at_map"]["source_in_words"] == (
        "the likeliest class of each pixel"
    )


def test_the_report_is_a_folder_to_read(report):
    page = (report.folder / "report.html").read_text(encoding="utf-8")
    for words in ("What is taken for what", "seam", "background", "Average precision"):
        assert words in page
    assert (report.folder / "pr_curve-stain.svg").exists()
    saved = json.loads((report.folder / "report.json").read_text(encoding="utf-8"))
    assert saved["mean"] == report.summary["mean"]
    with (report.folder / "per_image.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report.summary["images"]
    assert {"crack_iou", "seam_f1", "stain_recall"} <= set(rows[0])
    assert "seam" in report.headline()
    assert "mean" in report.headline()


def test_pixels_without_a_label_are_in_no_class(drawn, trained, tmp_path):
    data = shutil.copytree(drawn, tmp_path / "data")
    for file in (data / "test" / "masks").iterdir():
        mask = np.array(Image.open(file))
        mask[:, :16] = 255
        Image.fromarray(mask).save(file)
    report = evaluate(trained, data, options=EvaluateOptions(bootstrap=2), out=tmp_path / "r")
    total = np.sum(report.summary["confusion"]["pixels"])
    assert total == report.summary["images"] * 48 * 32


def test_classes_of_other_masks_must_be_those_of_the_model(drawn, trained, tmp_path):
    swapped = shutil.copytree(drawn, tmp_path / "data")
    for file in (swapped / "test" / "masks").iterdir():
        Image.fromarray(np.array([0, 7, 8, 9], np.uint8)[np.asarray(Image.open(file))]).save(file)
    for file in (swapped / "train" / "masks").iterdir():
        Image.fromarray(np.array([0, 7, 8, 9], np.uint8)[np.asarray(Image.open(file))]).save(file)
    options = EvaluateOptions(bootstrap=2, classes="crack=7,seam=8,stain=9")
    found = evaluate(trained, swapped, options=options, out=tmp_path / "a").summary
    same = evaluate(
        trained, drawn, options=EvaluateOptions(bootstrap=2), out=tmp_path / "b"
    ).summary
    assert found["confusion"] == same["confusion"]
    with pytest.raises(InputError, match="the model has the classes crack, seam, stain"):
        evaluate(trained, drawn, options=replace(options, classes="crack,seam"), out=tmp_path / "c")
    with pytest.raises(InputError, match="leave out --threshold"):
        evaluate(trained, drawn, options=EvaluateOptions(threshold=0.3), out=tmp_path / "d")


# --- overlapping classes ------------------------------------------------------------------------


def test_overlapping_classes_from_masks_to_report(overlapping, tmp_path):
    options = replace(OPTIONS, classes="crack,damage", overlapping=True, epochs=2, ignore=None)
    run = train(overlapping, out=tmp_path / "run", options=options, quiet=True).run
    card = read_config(run / "model" / "config.json")
    assert (card.classes, card.overlapping, card.options["channels"]) == (
        ("crack", "damage"), True, 2,
    )  # fmt: skip
    report = evaluate(run, overlapping, options=EvaluateOptions(bootstrap=2), out=tmp_path / "r")
    assert report.summary["confusion"] is None
    assert report.summary["classes"]["damage"]["fraction"] > 0
    assert report.summary["classes"]["crack"]["at_map"]["source"] == "fixed"
    photos = overlapping / "test" / "images"
    predict(photos, tmp_path / "found", model=run)
    name = next(photos.iterdir()).name
    for each in ("crack", "damage"):
        with Image.open(tmp_path / "found/masks" / each / name) as mask:
            assert mask.mode == "L"
            assert set(np.unique(np.asarray(mask))) <= {0, 255}


def test_overlapping_loss_is_a_sum_over_the_channels():
    options = TrainOptions(classes="a,b", overlapping=True, margin=1.0)
    loss, _ = choose_loss(options, 0.1)
    logits, target = torch.randn(2, 2, 4, 4), torch.rand(2, 2, 4, 4) < 0.3
    plain = PerClassLoss(lambda z, t: LOSSES["hybrid_focal_margin"](z, t, margin=1.0))
    torch.testing.assert_close(loss(logits, target), plain(logits, target))


# --- prediction ---------------------------------------------------------------------------------


def photo_of(drawn):
    return np.array(Image.open(next((drawn / "test" / "images").iterdir())))


@pytest.mark.parametrize("options", [{}, {"tile": 32}, {"tta": True}, {"scale": 0.5}])
def test_a_photo_has_probabilities_of_each_class(drawn, trained, options):
    predictor = Predictor.load(trained, device="cpu", precision="float32", **options)
    image = np.tile(photo_of(drawn), (2, 3, 1))
    (found,) = predictor.class_predictions([image])
    assert found.probs.shape == (96, 144, 4)
    np.testing.assert_allclose(found.probs.sum(axis=2), 1, atol=1e-5)
    np.testing.assert_array_equal(found.map, found.probs.argmax(axis=2))
    np.testing.assert_array_equal(found.prob("seam"), found.probs[:, :, 2])
    np.testing.assert_array_equal(found.mask("seam"), found.map == 2)
    one = Predictor.load(trained, device="cpu", precision="float32", of_class="seam", **options)
    assert one.classes == ()
    chosen = one(image)
    np.testing.assert_allclose(chosen.prob, found.prob("seam"), atol=1e-6)
    assert chosen.threshold == found.of_class("seam").threshold == 0.5
    assert isinstance(fissura.measure(found.of_class("crack")), list)


def test_bands_give_the_logits_of_the_whole_network(drawn, trained):
    network, card = load_model(trained)
    image = photo_of(drawn)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (card.mean, card.std))
    with torch.no_grad():
        expected = network((pixels - mean) / std).softmax(1)[0].permute(1, 2, 0)
    (found,) = Predictor.load(trained, device="cpu", precision="float32").class_predictions([image])
    np.testing.assert_allclose(found.probs, expected.numpy(), atol=1e-4)


def test_a_class_must_be_chosen_where_there_is_one_result(drawn, trained):
    predictor = Predictor.load(trained)
    with pytest.raises(InputError, match=r"has the classes crack, seam, stain: .*--of-class"):
        predictor(photo_of(drawn))
    with pytest.raises(InputError, match="no class 'rust': the model has the classes crack, seam"):
        Predictor.load(trained, of_class="rust")
    with pytest.raises(InputError, match="tells crack or not alone"):
        Predictor.load("crackseg-small", of_class="rust")
    with pytest.raises(InputError, match="is crack or not"):
        next(Predictor.load("crackseg-small").class_predictions([photo_of(drawn)]))


def test_a_folder_of_photos_becomes_maps(drawn, trained, tmp_path):
    photos = drawn / "test" / "images"
    summary = predict(photos, tmp_path / "found", model=trained, probabilities=True)
    assert (summary.predicted, summary.failures) == (10, [])
    with summary.table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    file = photos / rows[0]["file"].rsplit("/", 1)[-1]
    saved = Image.open(tmp_path / "found" / rows[0]["mask"])
    assert saved.mode == "P"
    (found,) = Predictor.load(trained).class_predictions([np.array(Image.open(file))])
    np.testing.assert_array_equal(np.asarray(saved), found.map)
    assert float(rows[0]["seam_fraction"]) == pytest.approx((found.map == 2).mean(), abs=1e-6)
    prob = np.asarray(Image.open(tmp_path / "found/probabilities/seam" / file.name)) / 65535
    np.testing.assert_allclose(prob, found.prob("seam"), atol=1e-4)
    assert json.loads((tmp_path / "found/prediction.json").read_text())
    # The maps are index masks, which training reads.
    labels = Labels.parse(CLASSES)
    assert set(np.unique(np.asarray(saved))) <= {0, *labels.values}


def test_one_class_is_measured(drawn, trained, tmp_path, capsys):
    photos = str(drawn / "test" / "images")
    model = ["--model", str(trained), "--out"]
    assert cli(["measure", photos, *model, str(tmp_path / "all")]) == 2
    assert "--of-class" in capsys.readouterr().err
    out = tmp_path / "crack"
    assert cli(["measure", photos, *model, str(out), "--of-class", "crack"]) == 0
    assert (out / "cracks.csv").exists()
    assert json.loads((out / "inspection.json").read_text())["of_class"] == "crack"


def test_options_of_prediction_have_the_class():
    assert PredictOptions(of_class="seam").of_class == "seam"


# --- the command line ---------------------------------------------------------------------------


SMALLER = {
    "synth": ["--count", "24", "--size-hw", "48", "48", "--crack-fraction", "0.08", "--seed", "3"],
    "train": ["--width", "2", "--epochs", "1", "--batch-size", "4", "--rare", "crack,stain"],
    "evaluate": ["--bootstrap", "2"],
}


def test_the_documented_commands_go_from_drawing_to_report(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "classes.md").read_text(encoding="utf-8")
    block = page.partition("## Try it")[2]
    lines = [line.split()[1:] for line in block.splitlines() if line.startswith("    fissura ")]
    names = ["synth", "check", "train", "evaluate", "predict", "measure", "inspect"]
    assert [line[0] for line in lines] == names
    monkeypatch.chdir(tmp_path)
    for name, *words in lines:
        if "--epochs" in words:
            at = words.index("--epochs")
            words = words[:at] + words[at + 2 :]
        # A check of drawn panels may find something, which its status says.
        allowed = (0, 1) if name == "check" else (0,)
        assert cli([name, *words, *SMALLER.get(name, [])]) in allowed, name
    told = capsys.readouterr()
    assert "seam: " in told.out
    assert "seam is 2" in " ".join(told.out.split())
    assert "mean" in told.out
    assert "read as an index mask (seam is 2)" in told.err
    assert (tmp_path / "check-drawn" / "check.html").is_file()
    assert (tmp_path / "report" / "report.html").is_file()
    assert list((tmp_path / "runs" / "drawn").glob("evaluation*/report.html"))
