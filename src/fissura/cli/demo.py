"""`fissura demo`: the whole way once."""

from __future__ import annotations

from pathlib import Path


def demo(out: Path | None = None, *, seed: int = 0) -> int:
    """Go the whole way once, in a minute or two.

    Finds and measures the cracks of photos that come along, with a report to read. Then draws
    panels with cracks, trains a model on them and evaluates it on panels that it has not seen.

    Args:
        out: Folder to make for everything. [default: demo, or demo-2, demo-3 where that exists]
        seed: Seed of the panels and of the training.
    """
    from fissura.demo import demo as run

    done = run(out, seed=seed)
    return 0 if done.stopped_by is None else 128 + done.stopped_by
