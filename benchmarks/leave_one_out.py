"""How well does a small training do on a surface that it has not seen, and what mattered for it?

    python benchmarks/leave_one_out.py DATA --out runs/leave-one-out            # all of it
    python benchmarks/leave_one_out.py DATA --out runs/leave-one-out --estimate # what it will cost
    python benchmarks/leave_one_out.py DATA --out runs/leave-one-out --only walls

Each of the free sets with cracks is left out of recipes/general.yaml in turn, the rest is trained
on for a small budget, and the whole set that was left out is judged, beside crackseg-small on the
same images. Then recipes/general.yaml as it is, and without one of its ingredients at a time:
ImageNet weights, drawn cracks, photos without cracks, scales. These are judged by the sets that no
training sees (DeepCrack, CRACK500, …). Every training has the same number of steps, the epoch and
the threshold are those that its own validation images chose, and what is judged chooses nothing.

It can be stopped and goes on where it was: the trainings lie below --out, and what was measured is
in results/leave_one_out.json beside this script. One core is enough:
`OMP_NUM_THREADS=1 nice python …`. One seed, so that differences below some hundredths tell nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from generalization import CLEAN, CRACKED, MIXTURE, clean, cracked, read_sets, thinned

from fissura.checkpoint import versions
from fissura.data.folder import find_pairs
from fissura.data.preparation.load import PreparedSet, load_split
from fissura.data.preparation.protocols import PROTOCOLS
from fissura.evaluation.score import score
from fissura.files import replacing
from fissura.inference.predictor import Predictor

RESULTS = Path(__file__).parent / "results" / "leave_one_out.json"
OPTIONS = MIXTURE.with_name("general_options.yaml")
LEFT_OUT = ("uav_concrete", "walls", "composites", "roads_from_car")
ABLATIONS = {
    "all ingredients": (),
    "without pretraining": (),
    "without drawn cracks": ("drawn",),
    "without photos free of cracks": ("textures", "concrete"),
    "without scales": (),
}
STEPS_TIMED = 20
BESIDE = "crackseg-small"  # on what is left out, which it has not seen either


def main() -> None:
    """Train and judge all that is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--only", nargs="*", help="sets that are left out, or ablations")
    parser.add_argument("--epochs", type=int, default=3, help="of --crops crops each")
    parser.add_argument("--crops", type=int, default=3600)
    parser.add_argument("--every", type=int, default=1, help="judge every n-th image alone")
    parser.add_argument("--estimate", action="store_true", help="only tell what it will cost")
    parser.add_argument("--no-record", action="store_true")
    asked = parser.parse_args()
    names = [name for name in (*LEFT_OUT, *ABLATIONS) if not asked.only or name in asked.only]
    if unknown := sorted(set(asked.only or ()) - {*LEFT_OUT, *ABLATIONS}):
        parser.error(f"unknown: {', '.join(unknown)}. There are: {', '.join(names or LEFT_OUT)}.")
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.estimate:
        estimate(asked, names)
        return
    found = {} if asked.no_record or not RESULTS.is_file() else read(RESULTS)
    for name in names:
        budget = {"epochs": asked.epochs, "crops": asked.crops, "every": asked.every}
        if found.get(name, {}).get("budget") == budget:
            print(f"{name}: measured already", flush=True)
            beside(found, name, asked)
            continue
        began = time.perf_counter()
        run = trained(name, asked)
        row = judged(run, test_sets(name, asked.data), asked.every)
        seconds = sum(
            json.loads(line)["seconds"]
            for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        )
        found[name] = {
            "budget": budget,
            **row,
            "seconds_training": round(seconds, 1),
            "seconds_now": round(time.perf_counter() - began, 1),
            "versions": versions(),
            "date": datetime.now(UTC).date().isoformat(),
        }
        print(name, json.dumps(found[name]["sets"])[:300], flush=True)
        beside(found, name, asked)
        write(found, asked)
    write(found, asked)
    print(table(found))


def read(file: Path) -> dict[str, Any]:
    """What was measured before."""
    return json.loads(file.read_text(encoding="utf-8"))


def write(found: dict[str, Any], asked: argparse.Namespace) -> None:
    """Record what was measured."""
    if not asked.no_record:
        with replacing(RESULTS) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def beside(found: dict[str, Any], name: str, asked: argparse.Namespace) -> None:
    """Judge the model that a set is compared with on the same images, unless that was done."""
    if name in LEFT_OUT and BESIDE not in found[name]:
        found[name][BESIDE] = judged(BESIDE, test_sets(name, asked.data), asked.every)


def mixture_of(name: str, data: Path, crops: int) -> dict[str, Any]:
    """The mixture of one training: recipes/general.yaml without a set, or without an ingredient.

    The fractions of what is left are enlarged alike.
    """
    values = yaml.safe_load(MIXTURE.read_text(encoding="utf-8"))
    gone = ABLATIONS.get(name, (name,))
    sets = {key: one for key, one in values["sets"].items() if key not in gone}
    if "textures" in gone:  # they stay what cracks are drawn on
        sets = {key: dict(one) for key, one in sets.items()}
        sets["textures"] = values["sets"]["textures"] | {"fraction": 0.0}
        sets["concrete"] = values["sets"]["concrete"] | {"fraction": 0.0}
    total = sum(one["fraction"] for one in sets.values())
    sets = {key: one | {"fraction": one["fraction"] / total} for key, one in sets.items()}
    more = {"scale_spread": 0.0} if name == "without scales" else {}
    return values | {
        "name": name,
        "root": str(data.resolve()),
        "crops": crops,
        "sets": sets,
        **more,
    }


def trained(name: str, asked: argparse.Namespace) -> Path:
    """Train, or go on with a training that was stopped; return its run folder."""
    slug = name.replace(" ", "-")
    run, file = asked.out / slug, asked.out / f"{slug}.yaml"
    if is_done(run, asked.epochs):
        return run
    if (run / "state" / "state.pt").is_file():
        command = ["--resume", str(run)]
    else:
        with replacing(file) as temporary:
            text = yaml.safe_dump(mixture_of(name, asked.data, asked.crops), sort_keys=False)
            temporary.write_text(text, encoding="utf-8")
        command = [str(file), "--config", str(OPTIONS), "--out", str(run)]
        command += ["--epochs", str(asked.epochs), "--schedule", "cosine"]
        # An average over some 50 steps: there are few.
        command += ["--ema", "0.98"]
        if name == "without pretraining":
            command.append("--no-pretrained")
    done = subprocess.run([sys.executable, "-m", "fissura.cli", "train", *command], check=False)
    if done.returncode:  # it has said why; a training that was stopped goes on next time
        sys.exit(done.returncode)
    return run


def is_done(run: Path, epochs: int) -> bool:
    """Whether a training has all its epochs."""
    file = run / "metrics.jsonl"
    if not file.is_file() or not (run / "model" / "config.json").is_file():
        return False
    return len(file.read_text(encoding="utf-8").splitlines()) >= epochs


def test_sets(name: str, data: Path) -> dict[str, PreparedSet]:
    """What a training is judged by: the set that it lacks, or the sets that no training sees."""
    if name in LEFT_OUT:
        native = PROTOCOLS["native"]
        return {name: load_split(find_pairs(data / name), "all", native)}
    sets = read_sets(data)
    keep = (*CRACKED, *CLEAN, "textures (held back)", "concrete (held back)")
    return {key: sets[key] for key in keep}


def judged(run: Path | str, sets: dict[str, PreparedSet], every: int) -> dict[str, Any]:
    """The figures of a training, or of a model by its name, on each set, and their means."""
    predictor = Predictor.load(run, scale=1.0)
    rows: dict[str, Any] = {}
    for name, own in sets.items():
        data = thinned(own, every)
        scores = score(predictor.probs(data.images), data, threshold=predictor.threshold)
        rows[name] = cracked(scores) if data.crack_fraction else clean(scores, data)
    return {
        "threshold": predictor.threshold,
        "sets": rows,
        "macro_means": {
            metric: mean_of(row[metric]["value"] for row in rows.values() if metric in row)
            for metric in ("f1_within_2px", "iou", "cldice", "photos_with_alarm")
        },
    }


def mean_of(values: Iterable[float]) -> float | None:
    """The mean, None where there is nothing."""
    each = list(values)
    return round(float(np.mean(each)), 4) if each else None


def estimate(asked: argparse.Namespace, names: list[str]) -> None:
    """Time a few steps, and tell what all trainings will take."""
    batch = yaml.safe_load(OPTIONS.read_text(encoding="utf-8"))["batch_size"]
    small = argparse.Namespace(**vars(asked) | {"epochs": 1, "crops": STEPS_TIMED * batch})
    small.out = asked.out / "estimate"
    small.out.mkdir(exist_ok=True)
    run = trained("all ingredients", small)
    line = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    steps = asked.epochs * asked.crops // batch
    each = batch / line["images_per_second"]
    total = each * steps * len(names) / 3600
    print(
        f"{each:.2f} s a step of {batch} crops: {steps} steps are {each * steps / 60:.0f} minutes, "
        f"{len(names)} trainings {total:.1f} hours, beside a minute or two each to validate and "
        "10 minutes each to judge."
    )


def table(found: dict[str, Any]) -> str:
    """A line for each training."""
    lines = [f"{'':32} F1 within 2 px  IoU    clDice  alarms"]
    for name, row in found.items():
        means = row["macro_means"]
        text = "  ".join("  –   " if value is None else f"{value:6.3f}" for value in means.values())
        lines.append(f"{name:32} {text}")
    for who, rows in (("", found), (f", {BESIDE}", {n: r.get(BESIDE) for n, r in found.items()})):
        if all(rows.get(name) for name in LEFT_OUT):
            mean = np.mean([rows[name]["macro_means"]["f1_within_2px"] for name in LEFT_OUT])
            lines.append(f"{'mean of those left out' + who:32} {mean:6.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
