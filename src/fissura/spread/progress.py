"""A bar with the time left, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def shown_progress(console: Console, words: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal, nothing elsewhere.

    Args:
        console: The console.
        words: What is going on.
        total: How much there is to do.

    Yields:
        The function that moves the bar by one.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    shown = console.is_terminal and total > 0
    # Workers end at irregular times, and the time left is judged by the last ten minutes.
    with Progress(*columns, console=console, disable=not shown, speed_estimate_period=600) as bar:
        task = bar.add_task(words, total=total)
        yield lambda: bar.advance(task)
