"""Write the card of a model of a mixture from what ship_general.py and the benchmark recorded.

python recipes/card.py NAME RUN DATA
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from card_texts import TEXTS
from failure_images import beside_errors, sheet
from fit_alarms import SMALLEST
from matplotlib.figure import Figure
from numpy.typing import NDArray
from ship_general import FILES

from fissura.checkpoint import load_model
from fissura.data.folder import find_pairs
from fissura.data.preparation.load import load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.evaluation.score import ALARM_PIXELS
from fissura.files import replacing
from fissura.inference.predictor import Predictor
from fissura.shipped import FREE, shipped_folder

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
BENCHMARK = ROOT / "benchmarks/results/generalization.json"
HEIGHT = 200  # of an image of a failure, in pixels
COLUMNS = {
    "IoU": "iou",
    "F1": "f1",
    "F1 within 2 px": "f1_within_2px",
    "clDice": "cldice",
    "AP": "average_precision",
}


def write_card(name: str, run: Path, data: Path) -> None:
    """Write the card and the pictures of failures from what was measured."""
    found = json.loads(BENCHMARK.read_text(encoding="utf-8"))
    folder = shipped_folder(name)
    with replacing(folder / "failures.jpg") as temporary:
        cv2.imwrite(str(temporary), failures(folder, data), [cv2.IMWRITE_JPEG_QUALITY, 82])
    draw_calibration(found[name], folder / "calibration.png")
    with replacing(folder / "card.md") as temporary:
        temporary.write_text(card(name, run, found), encoding="utf-8")


def failures(model: Path, data: Path) -> NDArray[np.uint8]:
    """The worst images of two sets side by side, BGR: found, falsely called, missed."""
    predictor = Predictor.load(model)
    drawn = []
    for folder, split in (("deepcrack", "test"), ("magnetic_tile/mt_crack", "all")):
        images = load_split(find_pairs(data / folder), split, PROTOCOLS["native"])
        found = []
        for index, prob in enumerate(predictor.probs(images.images)):
            pred, mask = prob >= predictor.threshold, images.masks[index]
            both = int(np.count_nonzero(pred & mask))
            found.append((both / max(int(np.count_nonzero(pred | mask)), 1), index, pred))
        for _, index, pred in sorted(found, key=lambda one: one[:2])[:3]:
            image, mask = images.images[index], images.masks[index]
            drawn.append(beside_errors(image, pred, mask, HEIGHT))
    return sheet(drawn)


def draw_calibration(ours: dict[str, Any], path: Path) -> None:
    """Draw how often pixels are crack by the probability that the model gives them."""
    figure = Figure(figsize=(4, 4))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    for name, row in ours["sets"].items():
        if "reliability" in row:
            prob, frequency, _ = zip(*row["reliability"], strict=True)
            title = name.removesuffix(" (held back)")
            known = title in ours["trained_on"]
            label = title if known else f"{title}, never seen"
            axes.plot(prob, frequency, "--" if known else "-", marker=".", label=label)
    axes.set(
        xlabel="probability that the model gives", ylabel="fraction that is crack",
        xlim=(0, 1), ylim=(0, 1),
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, frameon=False)
    with replacing(path) as temporary:
        figure.savefig(
            temporary, dpi=100, format="png", bbox_inches="tight", metadata={"Software": None}
        )


def figure_rows(ours: dict[str, Any], theirs: dict[str, Any], *, known: bool) -> list[str]:
    """A line of the table for each set with cracks, beside `crackseg-small`.

    known: those sets that the model has seen other images of, else those that it has not.
    """
    rows = []
    for name, row in ours["sets"].items():
        if "iou" not in row or (name.removesuffix(" (held back)") in ours["trained_on"]) != known:
            continue
        other = theirs["sets"][name]
        values = [
            f"{row[key]['value']:.3f} ({row[key]['low']:.3f}–{row[key]['high']:.3f}); "
            f"{other[key]['value']:.3f}"
            for key in COLUMNS.values()
        ]
        trained = " †" if name in theirs.get("trained_on", ()) else ""
        rows.append(
            f"| {name.removesuffix(' (held back)')}{trained} | " + " | ".join(values) + " |"
        )
    return rows


def alarm_rows(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """A line for each set without cracks."""
    rows = []
    for name, row in ours["sets"].items():
        if "photos_with_alarm" in row:
            other = theirs["sets"][name]
            alarm, length = row["photos_with_alarm"], row["length_px_per_megapixel"]
            rows.append(
                f"| {name} | {row['images']} | {alarm['value']:.1%} "
                f"({alarm['low']:.1%}–{alarm['high']:.1%}); "
                f"{other['photos_with_alarm']['value']:.1%} | {length['value']:.0f}; "
                f"{other['length_px_per_megapixel']['value']:.0f} |"
            )
    return rows


def own_errors(model: str) -> str:
    """The section on what a model says of its own errors; empty where the scripts took another."""
    files = [RECIPES / f"{name}.json" for name in ("width_calibration", "alarms", "familiar")]
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if any(record["model"] != model for record in records):
        return ""
    widths, alarms, familiar = records
    surfaces = {
        **{f"{name}, fitted to the others": row for name, row in widths["left_out"].items()},
        "drawn, of exact widths": widths["exact_widths_drawn"],
        **{f"{name}, never seen": row for name, row in widths["unseen"].items()},
    }
    rows = "\n".join(
        f"| {name} | {row['samples']} | {row['error']:.2f} | {row['bias']:+.2f} | "
        f"{row['median']:.2f} | {row['within']:.0%} | {row['within_95']:.0%} | "
        f"{row['within_before']:.0%} |"
        for name, row in surfaces.items()
    )
    shown = [(name, row) for part in ("held_back", "unseen") for name, row in alarms[part].items()]
    clean = "\n".join(
        f"| {name} | {row['photos']} | {row['alarms_before'][0]:.1%} | "
        f"{row['alarms'][0]:.1%} ({row['alarms'][1]:.1%}–{row['alarms'][2]:.1%}) |"
        for name, row in shown
        if "photos" in row
    )
    lost = ", ".join(
        f"{name} {row['true_pixels_lost']:.1%} ({row['false_pixels_removed']:.0%})"
        for name, row in shown
        if "true_pixels_lost" in row
    )
    crossed = ", ".join(
        f"{name} {value:.1%}" for name, value in alarms["photos_left_out_of_the_fit"].items()
    )
    power = "\n".join(
        f"| {name} | {row['images']} | {row['auroc']:.2f} | {row['unfamiliar']:.0%} |"
        for name, row in familiar["sets"].items()
    )
    correlation = familiar["rank_correlation_with_f1"]["all unseen images"]
    return f"""## What it says of its own errors

**Widths.** The ± is fitted to uav_concrete, walls and composites, whose masks are the truth, so that errors of who drew them count as the model's. It should hold 68 % of the true widths, and {widths["calibration"]["factor_95"]:.2f} times the ± 95 %. In pixels as the network saw them; before: the ± from the slopes of the probabilities alone.

| surface | widths | error | bias | typical ± | within ± | within the 95 % | within ± before |
|---|--:|--:|--:|--:|--:|--:|--:|
{rows}

Where that is far from 68 and 95 %, as where cracks are found in shreds, the ± does not know it: it holds for surfaces like those that it was fitted to.

**Parts left out.** Masks leave out connected parts that the model is nowhere sure of; `--keep-unsure` keeps all. `fissura inspect` leaves out cracks by the same number (`--min-prob`). The figures above are with it. Photos without cracks that show a part of {SMALLEST} pixels, without and with that:

| data | photos | all parts | sure parts |
|---|--:|--:|--:|
{clean}

Fitted to one half of the held-back photos and counted on the other: {crossed}. It costs this fraction of the crack pixels that are rightly found (and removes this much of what is falsely called crack): {lost}.

**Unfamiliar photos.** How well the distance to the nearest training photo tells others from held-back photos (AUROC, 0.5 is chance), and how many it calls unfamiliar:

| photos | number | AUROC | called unfamiliar |
|---|--:|--:|--:|
{power}

Over all images of unseen sets with cracks its rank correlation with the F1 of an image is {correlation:+.2f}: a photo that is called familiar may still be one on which the model fails.
"""


def chosen(averaged: dict[str, Any]) -> str:
    """Tell by what the fraction of the weights after a training was chosen."""
    scores = averaged["f1"]
    own, best = f"{averaged['fraction']:g}", max(scores, key=lambda fraction: scores[fraction])
    if own == best:
        return "`recipes/average.py` chose so on the groups below"
    return (
        f"on the groups below `recipes/average.py` would have chosen {best} of the latter (mean F1 "
        f"{scores[best]:.4f}, beside {scores[own]:.4f}); `docs/models.md` tells why it is more"
    )


def card(name: str, run: Path, found: dict[str, Any]) -> str:
    """The text of the model card."""
    folder, texts = shipped_folder(name), TEXTS[name]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    record = json.loads((RECIPES / FILES[name][1]).read_text(encoding="utf-8"))
    training = config["training"]
    options = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    model, _ = load_model(folder)
    parameters = sum(weight.numel() for weight in model.state_dict().values())
    size = (folder / "model.safetensors").stat().st_size
    after = training["averaged"]["fraction"]
    ours, theirs = found[name], found["crackseg-small"]
    heads = " | ".join(COLUMNS)
    line = "|---|" + "--:|" * len(COLUMNS)
    unseen = "\n".join(figure_rows(ours, theirs, known=False))
    held = "\n".join(figure_rows(ours, theirs, known=True))
    alarms = "\n".join(alarm_rows(ours, theirs))
    sources = "\n".join(f"- `{name}`: {terms}." for name, terms in training["data"].items())
    errors = ", ".join(
        f"{name} {before:.3f} → {record['calibration_error_after'][name]:.3f}"
        for name, before in record["calibration_error_before"].items()
    )
    hours = sum(
        json.loads(text)["seconds"]
        for text in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        if json.loads(text)["step"] <= training["steps"]
    ) / 3600  # fmt: skip
    return f"""# {name}

{texts.purpose}

## Terms

The weights are {training.get("terms", FREE)}. {texts.terms}

{sources}

{texts.not_trained_on} The ImageNet weights that the encoder starts from are Apache-2.0.

## What it is

LiteUNet on EfficientNet-Lite1 ({parameters / 1e6:.1f} million numbers, {size / 1e6:.1f} MB with convolutions in 16 bits), trained with `{training["loss"]}` by {training["steps"]} steps of {options["batch_size"]} crops of {options["crop"]}×{options["crop"]} pixels at scales from 1/4 to 4, {texts.start}. They took {hours:.1f} hours of a nice process with one thread on a CPU that did other work beside it. What is shipped are the weights between those before and after, {1 - after:.1f} of the former and {after:.1f} of the latter, both moving averages: {chosen(training["averaged"])}. The training can go on: the mixture and the options are in `recipes/`.

Temperature {record["temperature"]:.2f} and bias {record["bias"]:.2f}, within the last convolution, and the threshold {config["threshold"]:.3f} were chosen on groups of images that the mixture keeps out of the training: the threshold has the greatest mean F1 over their cracked surfaces, with those parts of the masks left out whose ten surest pixels have a mean probability below {config["measuring"]["min_prob"]:.3f}, so that at most 5 % of the crack-free photos of each set show one of {SMALLEST} pixels. Expected calibration error on the same groups, before → after: {errors}.

## Figures

At the stored threshold and the scale that each photo chooses (`--scale auto`); each cell is {name} with its 95 % bootstrap interval over photos; then crackseg-small at its own threshold on the same images. † crackseg-small was trained on other images of this set.

**Surfaces that {name} has never seen:**

| data | {heads} |
{line}
{unseen}

**{texts.known}:**

| data | {heads} |
{line}
{held}

**Photos without cracks**: fraction that shows a crack of {ALARM_PIXELS} pixels or more, and length of what is found, in pixels per megapixel:

| data | photos | with an alarm | length |
|---|--:|--:|--:|
{alarms}

**Calibration**, in 16 bins of at least 100 pixels: on the diagonal the model means what it says.

![How often pixels are crack by the probability that the model gives, a line for each set](calibration.png)

`python benchmarks/generalization.py DATA`, {ours["machine"]}, torch {ours["versions"]["torch"]}, {ours["date"]}. The data lie in files that are not part of the project; their README says where they are from.

{own_errors(name)}
## Known failures

![The worst test images: left the photo, right found (blue), falsely called (orange), missed (yellow)](failures.jpg)

The three worst images of DeepCrack's test split and of Magnetic Tile (photos: Liu et al. 2019; Huang et al. 2018). {texts.failures}

## Out of its domain

The figures above are of seven surfaces; yours may be an eighth. Look at the overlays before you trust the numbers, and label a few dozen photos of your own to measure (`fissura evaluate`) or to train on.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=TEXTS)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    asked = parser.parse_args()
    write_card(asked.name, asked.run, asked.data)
