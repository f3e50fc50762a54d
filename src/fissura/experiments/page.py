"""The page of results: the paper's claims with verdicts, its tables with ours, what explains them.

Everything on it comes from the result files of the runs; the same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fissura.experiments import fig3, table1, table2, table3, table4
from fissura.experiments.claims import CLAIMS
from fissura.experiments.explanations import explanations
from fissura.experiments.provenance import provenance
from fissura.experiments.results import RunResult
from fissura.experiments.rows import Recipe, Scale
from fissura.experiments.scales import Index, Part, describe_part, index, parts, prominence, scales
from fissura.experiments.tables import (
    GRID_MEANING,
    MEANING,
    NONE,
    count,
    grid_markdown,
    markdown,
    number,
    table_markdown,
)
from fissura.experiments.verdicts import (
    OUTCOMES,
    RULE,
    Verdict,
    judge,
    written_interval,
    written_p,
)

TABLES = (table1.RECIPE, table2.RECIPE, table3.RECIPE)
GRIDS = (table4.RECIPE, fig3.RECIPE)

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
- **IoU** is of the crack class, pooled over all pixels of the test set, at threshold 0.5, after the
  last epoch. Nothing was chosen on the test images. Differences are in points: 0.43 is from 69.32
  to 69.75 %."""


def results_page(
    results: Mapping[str, RunResult], figures: Sequence[tuple[str, str]] | None = None
) -> str:
    """Return the Markdown of the whole page.

    results: by key, as `read_results` gives them.
    figures: title, and path relative to the page, of pictures to show.

    Raises `InputError` where runs of one data set were tested on different images.
    """
    indexed = index(results.values())
    judged = _judged(results, indexed)
    tables = [part for recipe in TABLES for part in parts(recipe, indexed)]
    shown = [verdict for _, verdicts in judged for verdict in verdicts]
    sections = [
        BEGIN,
        f"## The paper's claims\n\n{RULE}\n\n{_claims(judged)}",
        f"## How to read the numbers\n\n{READING}",
        f"## Tables\n\n{_tables(tables, indexed)}",
    ]
    if figures:
        pictures = "\n\n".join(f"![{title}]({path})\n\n*{title}*" for title, path in figures)
        sections.append(f"## Figures\n\n{pictures}")
    sections += [
        f"## Possible explanations\n\n{explanations(shown, _largest(tables), indexed)}",
        f"## Where the numbers come from\n\n{provenance(results.values())}",
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _judged(results: Mapping[str, RunResult], indexed: Index) -> list[tuple[Scale, list[Verdict]]]:
    """Judge at every scale; the first, the most prominent, is the main one.

    Of the others, only claims with runs are kept, if those are not the runs of a scale before.
    """
    experiments = list(
        dict.fromkeys(
            one
            for claim in CLAIMS
            for contrast in claim.contrasts
            for pair in contrast.pairs
            for one in pair
        )
    )
    verdicts = {scale: judge(results, scale) for scale in scales(experiments, indexed)}
    if not verdicts:
        return [(Scale(), judge(results, Scale()))]

    def weight(scale: Scale) -> tuple[bool, bool, int]:
        runs = {key for one in verdicts[scale] if one.evidence for key in one.evidence.keys}
        return prominence(scale, len(runs))

    seen: set[frozenset[str]] = set()
    judged = []
    for scale in sorted(verdicts, key=weight, reverse=True):
        new = [one for one in verdicts[scale] if one.evidence and one.evidence.keys not in seen]
        seen.update(one.evidence.keys for one in new if one.evidence)
        judged.append((scale, new if judged else verdicts[scale]))
    return [(scale, one) for scale, one in judged if one]


def _claims(judged: list[tuple[Scale, list[Verdict]]]) -> str:
    """Say all claims at the main scale, then, shorter, what other scales say."""
    (scale, main), *others = judged
    smaller = [one for _, verdicts in others for one in verdicts]
    elsewhere = {one.claim.name for one in smaller}
    blocks = [_summary(scale, main), _verdicts(main, elsewhere), _sentences(main)]
    if smaller:
        missing = [one for one in main if one.evidence is None]
        told = {one.claim.name for one in missing}
        new = [one for one in smaller if one.claim.name in told]
        blocks += ["### At other scales", _verdicts(smaller, set()), _sentences(new)]
    return "\n\n".join(block.strip() for block in blocks if block)


def _summary(scale: Scale, verdicts: list[Verdict]) -> str:
    outcomes = [verdict.outcome for verdict in verdicts]
    counted = [f"{outcomes.count(one)} {one}" for one in OUTCOMES if one in outcomes]
    return f"Of {len(outcomes)} claims, at {scale.epochs} epochs: {', '.join(counted)}."


def _verdicts(verdicts: list[Verdict], elsewhere: set[str]) -> str:
    """Return a table; claims without runs that are judged `elsewhere` say so."""
    table = []
    for verdict in verdicts:
        claim, evidence = verdict.claim, verdict.evidence
        outcome = str(verdict.outcome)
        if outcome in ("supported", "contradicted"):
            outcome = f"**{outcome}**"
        paper = NONE if claim.paper is None else number(claim.paper, signed=True)
        if evidence is None:
            outcome += "; see other scales" if claim.name in elsewhere else ""
            table.append([claim.says, outcome, NONE, paper, NONE, NONE, NONE])
            continue
        found = evidence.comparison
        table.append(
            [
                claim.says,
                outcome,
                f"{count(found.n, 'seed')}, {evidence.scale}",
                paper,
                number(100 * found.mean, signed=True),
                NONE if np.isnan(found.low) else written_interval(found),
                NONE if verdict.p is None else written_p(verdict.p).removeprefix("p = "),
            ]
        )
    head = ["Claim", "Verdict", "Rests on", "Paper", "Here", "95 % interval", "p, Holm"]
    return markdown(head, table, words=3)


def _sentences(verdicts: list[Verdict]) -> str:
    return "\n".join(f"- {one.sentence}" for one in verdicts if one.evidence)


def _tables(tables: list[Part], indexed: Index) -> str:
    whole = _largest(tables)
    blocks = [MEANING]
    for part in tables:
        name = part.recipe.title.partition(":")[0]
        title = part.recipe.rows[0].experiment.data.title
        shown = part.recipe if part in whole else _only(part, set(part.found))
        text = table_markdown(shown, part.found)
        blocks.append(f"### {name}: {title} ({describe_part(part)})\n\n{text}")
    above = {run.key for part in tables for run in part.runs}
    grids = [
        part
        for recipe in GRIDS
        for part in parts(recipe, indexed, by_data=False)
        if {run.key for run in part.runs} - above
    ]
    for part in grids:
        lines = {name.split("/")[0] for name in part.found}
        shown = {row.name for row in part.recipe.rows if row.name.split("/")[0] in lines}
        text = grid_markdown(_only(part, shown), part.found)
        title = f"### {part.recipe.title} ({describe_part(part)})"
        blocks.append(f"{title}\n\n{GRID_MEANING}\n\n{text}")
    return "\n\n".join(block.strip() for block in blocks)


def _only(part: Part, names: set[str]) -> Recipe:
    rows = [row for row in part.recipe.rows if row.name in names]
    return replace(part.recipe, rows=rows)


def _largest(tables: list[Part]) -> list[Part]:
    """Return of each table and data set the part of the most prominent scale."""

    def weight(part: Part) -> tuple[bool, bool, int]:
        return prominence(part.scale, len(part.runs))

    largest: dict[tuple[str, str], Part] = {}
    for part in tables:
        key = (part.recipe.name, part.recipe.rows[0].experiment.data.title)
        if key not in largest or weight(part) > weight(largest[key]):
            largest[key] = part
    return list(largest.values())
