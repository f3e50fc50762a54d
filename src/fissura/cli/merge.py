"""`fissura merge`: the shards of a command joined to the results of one run."""

from __future__ import annotations

from pathlib import Path

from fissura.cli.options import (
    LIMITS_EXCEEDED,
    OUTPUT,
    PHOTOS_FAILED,
    OutputGroup,
    Switch,
    counted,
    tell_failing,
)
from fissura.errors import InputError


def merge(
    out: Path,
    *shards: Path,
    limits: Path | None = None,
    report: Path | None = None,
    pdf: Switch = False,
    output: OutputGroup = OUTPUT,
) -> int:
    """Join the shards of `fissura predict`, `inspect` or `measure` to the results of one run.

    The folders are those that the command wrote with --shard 1/4, --shard 2/4 and so on. Tables,
    vectors and report are those of one run over all photos. The exit status is that of the one run;
    it is 2 where a shard is missing or not finished, or where shards don't belong together.

    Args:
        out: Folder for the joined results.
        shards: Folders of all shards.
        limits: YAML file with other rules than the shards were given; see docs/inspection.md.
        report: Another report.yaml than that of the shards.
        pdf: Print the report as report.pdf, too.
    """
    if not shards:
        raise InputError("Which shards? Give the folder for all results, then those of the shards.")
    from fissura.inspection.outcome import Inspection
    from fissura.inspection.shards import merge as join

    done = join(out, shards, limits=limits, report=report, pdf=pdf, output=output)
    if not isinstance(done, Inspection):
        print(f"{counted(len(shards), 'shard')} joined; the table is {done.table}.")
        return PHOTOS_FAILED if done.failures else 0
    tell_failing(done.failing)
    written = done.report or done.out / "cracks.csv"
    print(
        f"{counted(len(shards), 'shard')} joined: {counted(done.cracks, 'crack')} on "
        f"{counted(done.photos, 'photo')}; {written}."
    )
    for failed in done.failures[:10]:
        print(f"Left out: {failed.reason}")
    if done.failing:
        return LIMITS_EXCEEDED
    return PHOTOS_FAILED if done.failures or done.edited else 0
