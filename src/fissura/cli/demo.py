"""`fissura demo`: the whole way once."""

from __future__ import annotations

from pathlib import Path


def demo(out: Path | None = None, *, seed: int = 0) -> int:
    """Go the whole way once, on pictures drawn by the program itself, in a few minutes.

    Draws panels with cracks, trains on them, evaluates the model, segments a large panel that it
    has never seen, and says where the report with its pictures lies.

    Args:
        out: Folder to make for everything. [default: demo, or demo-2, demo-3 where that exists]
        seed: Seed of the images and of the training.
    """
    from fissura.demo import demo as run

    run(out, seed=seed)
    return 0
