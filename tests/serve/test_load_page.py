"""The figures of the page are those of the committed result."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_figures_of_the_load():
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    told = json.loads((ROOT / "benchmarks/results/serve_load.json").read_text(encoding="utf-8"))
    answered, refused, memory = (
        told[name] for name in ("answered_seconds", "refused_seconds", "memory_mb")
    )
    statuses = told["statuses"]
    assert set(statuses) == {"200", "422", "429"}  # no 5xx, no broken connection
    for line in (
        f"| {statuses['200']}, {told['photos_per_second']} a second |",
        f"| {answered['p50']} s median, {answered['p95']} s 95th, {answered['p99']} s 99th",
        f"| {statuses['429']}, within {refused['p50']} s (median), {refused['p99']} s (99th",
        f"| broken photos, 422 | {statuses['422']} |",
        f"| {memory['first_10_seconds']} MB in the first ten seconds, {memory['highest']} MB",
    ):
        assert line in page
    assert f"--clients {told['clients']} --seconds {told['seconds']:g}" in page
