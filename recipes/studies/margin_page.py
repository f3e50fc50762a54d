"""Write docs/margin.md and its figures from the runs of margin.py and margin_uav.py.

    python recipes/studies/margin_page.py results/margin docs/margin.md

Nothing on the page is written by hand but the words between the numbers; the same runs give the
same bytes. What has not run yet is named.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from margin_figure import draw
from margin_runs import GAINS, LEAST_IOU, MEASURES, SHIFT, Question, questions
from scipy import stats

from fissura.files import replacing
from fissura.paper.provenance import provenance
from fissura.study.outputs.figure_files import save_figure
from fissura.study.outputs.markdown import NONE, count, markdown, mean_sd, number, written_p
from fissura.study.outputs.thresholds import logit_shift, seed_interval
from fissura.study.statistics import could_show, holm, signed_rank

ALPHA = 0.05


def interval(gains: Sequence[float]) -> str:
    """Write the mean of gains with its 95 % interval over seeds."""
    if not gains:
        return NONE
    low, high = seed_interval(gains)
    around = "" if math.isnan(low) else f" ({number(low)} to {number(high)})"
    return number(float(np.mean(gains)), signed=True) + around


def shown(gains: Sequence[float]) -> str:
    """Write the smallest true difference that gains with this spread would show."""
    spread = float(np.std(gains, ddof=1)) if len(gains) > 1 else 0.0
    return number(could_show(len(gains), spread)) if spread else NONE


def titles(*names: str) -> list[str]:
    """Return the titles of columns; the margin's letter stays as it is."""
    return [name if name == "m" else name[0].upper() + name[1:] for name in names]


def every_cell(question: Question) -> str:
    """Return the table of all data sets and margins."""
    lines = []
    for x, by_margin in question.runs.items():
        base = list(by_margin.get(0.0, {}).values())
        metrics = (
            mean_sd([None if (v := MEASURES[name](run)) is None else v / 100 for run in base])
            for name in GAINS
        )
        lines.append([f"{x:g}", "0", *metrics, written_shift(question, x), NONE, str(len(base))])
        for margin in question.margins:
            gains = {name: question.gains(name, x, margin) for name in MEASURES}
            half = gains[GAINS[0]]
            if half:
                cells = (interval(gains[name]) for name in MEASURES)
                lines.append([f"{x:g}", f"{margin:g}", *cells, shown(half), str(len(half))])
    head = titles(question.axis, "m", *MEASURES, "could show", "seeds")
    return markdown(head, lines)


def written_shift(question: Question, x: float) -> str:
    """Write the mean shift of crack logits without a margin."""
    runs = question.runs[x].get(0.0, {}).values()
    shifts = [shift for run in runs if (shift := logit_shift(run)) is not None]
    return number(float(np.mean(shifts))) if shifts else NONE


def over_all(question: Question) -> tuple[str, list[str]]:
    """Return the table of each margin over all data sets, and sentences on what it decides."""
    margins = question.margins
    pooled = {name: [question.pooled(name, margin) for margin in margins] for name in MEASURES}
    adjusted = {
        name: holm([signed_rank(gains)[0] if gains else 1.0 for gains in by_margin])
        for name, by_margin in pooled.items()
    }
    lines = [
        [
            f"{margin:g}",
            *(
                f"{interval(pooled[name][position])}, {written_p(adjusted[name][position])}"
                for name in MEASURES
            ),
            shown(pooled[GAINS[0]][position]),
            str(len(pooled[GAINS[0]][position])),
        ]
        for position, margin in enumerate(margins)
    ]
    said = [decided(name, margins, pooled[name], adjusted[name]) for name in MEASURES]
    return markdown(titles("m", *MEASURES, "could show", "pairs"), lines), said


def decided(
    name: str, margins: list[float], pooled: list[list[float]], adjusted: list[float]
) -> str:
    """Say in a sentence for which margins a measure differs from that of m = 0."""
    ways: dict[str, list[str]] = {}
    for margin, gains, p in zip(margins, pooled, adjusted, strict=True):
        if p <= ALPHA:
            ways.setdefault("higher" if np.mean(gains) > 0 else "lower", []).append(f"{margin:g}")
    subject = titles(name)[0]
    if ways:
        parts = [f"{way} than without for m = {', '.join(those)}" for way, those in ways.items()]
        return f"{subject}: {' and '.join(parts)} (p at most {ALPHA}, after Holm)."
    ends = [end for gains in pooled for end in seed_interval(gains) if not math.isnan(end)]
    reach = (
        f"; their 95 % intervals over all data sets lie within {number(min(ends))} to "
        f"{number(max(ends))} {'logits' if name == SHIFT else 'points'}"
        if ends
        else ""
    )
    return f"{subject}: no margin differs from none (p above {ALPHA} for each, after Holm){reach}."


def trends(question: Question) -> str:
    """Say for each margin whether its gain grows or falls along the axis, by Spearman's rank."""
    told, p_values = [], []
    for margin in question.margins:
        pairs = [
            (x, gain) for x in question.learned for gain in question.gains(GAINS[0], x, margin)
        ]
        if len({x for x, _ in pairs}) < 2:
            continue
        axis, gains = np.array(pairs).T
        tested: Any = stats.spearmanr(axis, gains)
        told.append((margin, float(tested.statistic)))
        p_values.append(float(tested.pvalue))
    said = [
        f"m = {margin:g}: ρ = {number(rho, signed=True)}, {written_p(p)}"
        for (margin, rho), p in zip(told, holm(p_values), strict=True)
    ]
    if not said:
        return ""
    return (
        f"Does the gain in IoU at 0.5 depend on the {question.axis.removesuffix(' (%)')}? "
        "Spearman's rank correlation of gain and axis, a point per seed and data set, p after "
        f"Holm: {'; '.join(said)}. Below 0 the margin helps more the smaller the number is."
    )


def shift_itself(question: Question) -> str:
    """Say how much the logits of crack pixels shift without a margin."""
    shifts = ", ".join(f"{written_shift(question, x)} at {x:g}" for x in question.learned)
    return f"The shift itself, without a margin, in logits: {shifts}."


def unlearned(question: Question) -> str:
    """Name the data sets on which training without a margin found nothing."""
    empty = [f"{x:g}" for x in question.runs if x not in question.learned]
    if not empty:
        return ""
    return (
        f"At {', '.join(empty)} nothing was learned without a margin (IoU below {LEAST_IOU}); "
        "it is left out wherever data sets are taken together."
    )


# --- the page -----------------------------------------------------------------------------------

BEGIN = """\
# Does a margin help where cracks are rare?

The paper gives its loss a margin m: crack pixels shall not only be right, but right by m, because
a network learns its few crack pixels by heart and their logits shrink on new images (Li et al.,
*Overfitting of Neural Nets under Class Imbalance*, MICCAI 2019). If so, a margin must help most
where cracks are rarest and training images fewest; and it must help in a way that another
threshold cannot, as a margin also makes the network say crack more readily. This page puts both to
the test. `recipes/studies/README.md` has the commands; `recipes/studies/margin_page.py` writes the
page from the files of the runs, and nothing on it is written by hand but the words."""

READING = """\
- **Trainings**: the paper's hybrid focal margin loss with γ̂ = 2, δ = 0.7, γ = 0.75 and a margin m;
  m = 0 is the hybrid focal loss. CrackSeg of width 8 from random weights, images of 128×128 in
  batches of 8, about 650 steps of Adam at 4e-3, the weights of the epoch that 100 validation
  images chose. Margins of one seed have the same initial weights, batches and augmentation, so
  they are compared seed by seed.
- **IoU at 0.5** is what the paper reports. **The chosen threshold** is the one that the
  validation images chose in each run. **Average precision** knows no threshold. A margin that only
  moves the operating point changes the first alone.
- **Shift of crack logits**: the mean logit of crack pixels in the training images less that in
  the test images, in a row of m = 0 as it is, else less that of m = 0. The paper's reason asks
  that a margin makes it smaller.
- **Intervals** are 95 % intervals of the mean over seeds (Student's t). **Could show** is the
  smallest true difference in IoU at 0.5 that so many seeds with this spread would show at p ≤ 0.05
  in 8 of 10 studies. Over all data sets, p is of Wilcoxon's signed-rank test with a pair per seed
  and data set, after Holm's correction for all margins."""


def page(asked: Sequence[Question], figures: dict[str, str]) -> str:
    """Return the Markdown of the page.

    Args:
        asked: The questions that have runs.
        figures: Path of each question's figure, relative to the page.
    """
    sections, answers = [], []
    for question in asked:
        overall, said = over_all(question)
        said += [shift_itself(question), trends(question), unlearned(question)]
        listed = "\n".join(f"- {one}" for one in said if one)
        answers.append(f"### {question.title}\n\n{listed}")
        sections.append(
            f"## {question.title}\n\n![{question.title}]({figures[question.name]})\n\n"
            "*Each margin less none, with 95 % intervals over seeds, which lie beside one another "
            f"for sight.*\n\n**Over all of these**\n\n{overall}\n**One by one**\n\n"
            f"{every_cell(question)}"
        )
    runs = {
        run.key: run
        for question in asked
        for by_margin in question.runs.values()
        for by_seed in by_margin.values()
        for run in by_seed.values()
    }
    parts = [
        BEGIN,
        "## What was found\n\n" + "\n\n".join(answers),
        f"## How to read the numbers\n\n{READING}",
        *sections,
        f"## Where the numbers come from\n\n{provenance(runs.values())}",
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main(folder: Path, out: Path) -> None:
    """Write the page and its figures."""
    asked = questions(folder)
    figures = {}
    for question in asked:
        drawn = save_figure(draw(question, tuple(MEASURES)), out.parent / "images", question.name)
        figures[question.name] = f"images/{drawn[0].name}"
    with replacing(out) as temporary:
        temporary.write_text(page(asked, figures), encoding="utf-8")
    seeds = count(max(len(s) for q in asked for b in q.runs.values() for s in b.values()), "seed")
    print(f"Written: {out}, {len(asked)} questions, up to {seeds}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
