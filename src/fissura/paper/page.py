"""The page of results: the paper's claims with verdicts, its tables with ours, what explains them.

Everything on it comes from the result files of the runs; the same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fissura.errors import InputError
from fissura.files import replacing
from fissura.paper.budgets import (
    PAPER,
    PAPER_EPOCHS,
    Reached,
    budgets,
    describe_reached,
    prominence,
    reached,
)
from fissura.paper.claims import CLAIMS
from fissura.paper.costs import cost_sentence
from fissura.paper.explanations import explanations
from fissura.paper.figures.fig1 import FIG1, draw_unification
from fissura.paper.figures.fig3 import FIG3, find_sweeps, plot_margins
from fissura.paper.provenance import provenance
from fissura.paper.table_markdown import GRID_MEANING, MEANING, grid_markdown, table_markdown
from fissura.paper.tables import TABLE1, TABLE2, TABLE3, TABLE4
from fissura.paper.verdicts import OUTCOMES, RULE, Verdict, judge
from fissura.study.options import Budget
from fissura.study.outputs.markdown import (
    NONE,
    count,
    markdown,
    number,
    written_could_show,
    written_interval,
    written_p,
)
from fissura.study.recipe import Recipe
from fissura.study.results import Index, RunResult, index, read_results
from fissura.training.options import TrainOptions

TABLES = (TABLE1, TABLE2, TABLE3)
GRIDS = (TABLE4, FIG3)
FIG4_CAPTION = (
    "Fig. 4: the same photos by six losses. The photos are from DeepCrack-DB (Liu et al. 2019), "
    "for non-commercial research and education."
)

BEGIN = """\
# Results

The experiments of *Optimized Hybrid Focal Margin Loss for Crack Segmentation* (Jiajie Chen), run
again with Fissura. `fissura study RECIPE --out FOLDER` makes runs, `fissura results FOLDER --out
docs/results.md` writes this page from them; nothing on it is written by hand."""

READING = """\
- **Runs and pairs.** Runs of one seed have the same initial weights, batches and augmentation,
  whatever the loss. So losses are compared seed by seed, on the same test photos.
- **Intervals** are 95 % bootstrap intervals of the mean difference in IoU: seeds and test photos
  are drawn again, for both losses alike, and stretched as Student's t where there are few. They
  tell where the difference could lie with other seeds and other photos of the same kind.
- **p** is of Wilcoxon's exact signed-rank test over the seeds (the sign test where differences are
  equal or 0). n seeds can't give less than 2/2ⁿ: 0.25 with three, 0.031 with six, 0.002 with ten.
- **Could show** is the smallest true difference that so many seeds with this spread would show at
  p ≤ 0.05 in 8 of 10 studies (paired t test, without Holm's correction). A smaller difference can
  well be there and stay undecided.
- **IoU** is of the crack class, pooled over all pixels of the test set, at threshold 0.5, after the
  last epoch. Nothing was chosen on the test images. Differences are in points: 0.43 is from 69.32
  to 69.75 %."""


def write_page(folder: Path, out: Path) -> list[Path]:
    """Write the page that judges the paper's claims, from the results in `folder` alone.

    The same results give the same bytes. Figures 1 and 3 are drawn anew into `images/` beside the
    page; Fig. 4 needs trained networks, and is taken from `folder`, where a study has drawn it, or
    stays as it is there.

    Args:
        folder: Folder of the studies.
        out: The page; figures go into the folder images beside it.

    Returns:
        The page, then the figures that it shows.

    Raises:
        InputError: There are no results.
    """
    results = read_results(folder / "runs")
    if not results:
        raise InputError(
            f"{folder / 'runs'} holds no results. Make some with `fissura study RECIPE --out "
            f"{folder}`."
        )
    images = out.parent / "images"
    figures = {
        "Fig. 1: what the losses turn into, each arrow checked by computing both sides.": _first(
            draw_unification(FIG1, {}, images)
        )
    }
    drawable = [
        sample
        for sample in reached(FIG3, index(results.values()), by_data=False)
        if find_sweeps(sample.recipe, sample.found)[0]
    ]
    for position, sample in enumerate(drawable, start=1):
        # Each budget is a figure of its own.
        recipe = replace(sample.recipe, name="fig3" if position == 1 else f"fig3-{position}")
        title = f"Fig. 3: gain by the margin, {describe_reached(sample)}."
        figures[title] = _first(plot_margins(recipe, sample.found, images))
    for drawn in folder.glob("fig4.*"):
        with replacing(images / drawn.name) as temporary:
            temporary.write_bytes(drawn.read_bytes())
    if (images / "fig4.png").exists():
        figures[FIG4_CAPTION] = images / "fig4.png"
    shown = [(title, str(file.relative_to(out.parent))) for title, file in figures.items()]
    with replacing(out) as temporary:
        temporary.write_text(results_page(results, shown), encoding="utf-8")
    return [out, *figures.values()]


def _first(files: list[Path]) -> Path:
    """Return the figure that a page shows; the other is the same as SVG."""
    return files[0]


def results_page(
    results: Mapping[str, RunResult], figures: Sequence[tuple[str, str]] | None = None
) -> str:
    """Return the Markdown of the whole page.

    Args:
        results: By key, as `read_results` gives them.
        figures: Title, and path relative to the page, of each figure to show.

    Raises:
        InputError: Runs of one data set were tested on different images.
    """
    indexed = index(results.values())
    judged = _judged(results, indexed)
    tables = [table for recipe in TABLES for table in reached(recipe, indexed)]
    sections = [
        BEGIN,
        f"## The paper's claims\n\n{RULE}\n\n{_claims(judged, results)}",
        f"## How to read the numbers\n\n{READING}",
        f"## Tables\n\n{_tables(tables, indexed)}",
    ]
    if figures:
        drawn = "\n\n".join(f"![{title}]({path})\n\n*{title}*" for title, path in figures)
        sections.append(f"## Figures\n\n{drawn}")
    sections += [
        f"## Possible explanations\n\n{explanations(judged, _largest(tables), indexed)}",
        f"## Where the numbers come from\n\n{provenance(results.values())}",
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _judged(results: Mapping[str, RunResult], indexed: Index) -> list[Verdict]:
    """Judge at every budget, the most prominent first; what has no runs of its own is left out."""
    experiments = list(
        dict.fromkeys(
            one
            for claim in CLAIMS
            for contrast in claim.contrasts
            for pair in contrast.pairs
            for one in pair
        )
    )
    verdicts = {budget: judge(results, budget) for budget in budgets(experiments, indexed)}

    def weight(budget: Budget) -> tuple[bool, bool, int]:
        runs = {key for one in verdicts[budget] if one.evidence for key in one.evidence.keys}
        return prominence(budget, len(runs))

    seen: set[frozenset[str]] = set()
    judged = []
    for budget in sorted(verdicts, key=weight, reverse=True):
        new = [one for one in verdicts[budget] if one.evidence and one.evidence.keys not in seen]
        seen.update(one.evidence.keys for one in new if one.evidence)
        judged += new
    return judged


def _claims(judged: list[Verdict], results: Mapping[str, RunResult]) -> str:
    """Say each claim at its most prominent budget, then, shorter, the others, then the costs."""
    leading = [one for one in judged if _config(one).area_threshold is None]
    main = [
        max((one for one in leading if one.claim is unrun.claim), key=_weight, default=unrun)
        for unrun in judge({}, PAPER)
    ]
    others = [one for one in judged if one not in main]
    blocks = [_summary(main), _verdicts(main), _sentences(main)]
    if others:
        blocks += ["### At other budgets", _verdicts(others)]
    costs = [cost_sentence(one.claim, results.values()) for one in main if not _is_whole(one)]
    if any(costs):
        listed = "\n".join(f"- {one}" for one in costs if one)
        blocks += [f"### What {PAPER_EPOCHS} epochs would cost\n\n{listed}"]
    return "\n\n".join(block.strip() for block in blocks if block)


def _config(verdict: Verdict) -> TrainOptions:
    """Return the options of the first training that a verdict rests on."""
    assert verdict.evidence is not None
    return verdict.evidence.contrast.pairs[0][0].config


def _is_whole(verdict: Verdict) -> bool:
    """Whether a verdict rests on trainings as long as the paper's."""
    return verdict.evidence is not None and _config(verdict).epochs == PAPER_EPOCHS


def _weight(verdict: Verdict) -> tuple[bool, int, int]:
    """Order verdicts on a claim: the paper's epochs, most seeds, most epochs come last."""
    assert verdict.evidence is not None
    return _is_whole(verdict), verdict.evidence.comparison.n, _config(verdict).epochs


def _summary(verdicts: list[Verdict]) -> str:
    """Count the verdicts in two sentences."""
    outcomes = [verdict.outcome for verdict in verdicts]
    counted = [f"{outcomes.count(one)} {one}" for one in OUTCOMES if one in outcomes]
    short = sum(one.evidence is not None and not _is_whole(one) for one in verdicts)
    said = f"Of {len(outcomes)} claims: {', '.join(counted)}."
    if short:
        said += (
            f" {short} of the verdicts rest on fewer than {PAPER_EPOCHS} epochs, and hold for so "
            "short a training alone."
        )
    return said


def _verdicts(verdicts: list[Verdict]) -> str:
    """Return a table of verdicts."""
    table = []
    for verdict in verdicts:
        claim, evidence = verdict.claim, verdict.evidence
        outcome = str(verdict.outcome)
        if outcome in ("supported", "contradicted"):
            outcome = f"**{outcome}**"
        paper = NONE if claim.paper is None else number(claim.paper, signed=True)
        if evidence is None:
            table.append([claim.says, outcome, NONE, paper, NONE, NONE, NONE, NONE])
            continue
        found = evidence.comparison
        table.append(
            [
                claim.says,
                outcome,
                f"{count(found.n, 'seed')}, {evidence.budget}",
                paper,
                number(100 * found.mean, signed=True),
                written_interval(found),
                written_could_show(found),
                NONE if verdict.p is None else written_p(verdict.p).removeprefix("p = "),
            ]
        )
    head = [
        "Claim",
        "Verdict",
        "Rests on",
        "Paper",
        "Here",
        "95 % interval",
        "Could show",
        "p, Holm",
    ]
    return markdown(head, table, words=3)


def _sentences(verdicts: list[Verdict]) -> str:
    """Return the sentences of the verdicts that have runs, as a list."""
    return "\n".join(f"- {one.sentence}" for one in verdicts if one.evidence)


def _tables(tables: list[Reached], indexed: Index) -> str:
    """Return Tables I to III, then the grids that show other runs than these."""
    whole = _largest(tables)
    blocks = [MEANING]
    for table in tables:
        name = table.recipe.title.partition(":")[0]
        title = table.recipe.rows[0].experiment.data.title
        shown = table.recipe if table in whole else _only(table, set(table.found))
        text = table_markdown(shown, table.found)
        blocks.append(f"### {name}: {title} ({describe_reached(table)})\n\n{text}")
    above = {run.key for table in tables for run in table.runs}
    grids = [
        table
        for recipe in GRIDS
        for table in reached(recipe, indexed, by_data=False)
        if {run.key for run in table.runs} - above
    ]
    for table in grids:
        lines = {name.split("/")[0] for name in table.found}
        shown = {row.name for row in table.recipe.rows if row.name.split("/")[0] in lines}
        text = grid_markdown(_only(table, shown), table.found)
        title = f"### {table.recipe.title} ({describe_reached(table)})"
        blocks.append(f"{title}\n\n{GRID_MEANING}\n\n{text}")
    return "\n\n".join(block.strip() for block in blocks)


def _only(table: Reached, names: set[str]) -> Recipe:
    """Return the recipe of a table with the named rows alone."""
    rows = [row for row in table.recipe.rows if row.name in names]
    return replace(table.recipe, rows=rows)


def _largest(tables: list[Reached]) -> list[Reached]:
    """Return of each table and data set the one at the most prominent budget."""

    def weight(table: Reached) -> tuple[bool, bool, int]:
        return prominence(table.budget, len(table.runs))

    largest: dict[tuple[str, str], Reached] = {}
    for table in tables:
        key = (table.recipe.name, table.recipe.rows[0].experiment.data.title)
        if key not in largest or weight(table) > weight(largest[key]):
            largest[key] = table
    return list(largest.values())
