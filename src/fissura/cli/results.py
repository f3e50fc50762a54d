"""`fissura results`: the paper's claims judged by the trainings of studies."""

from __future__ import annotations

from pathlib import Path


def results(folder: Path, *, out: Path) -> int:
    """Judge the paper's claims by the trainings of studies, and write a page about it.

    Args:
        folder: The studies' --out.
        out: Page to write, in Markdown; its figures go into the folder images beside it.
    """
    from fissura.paper.page import write_page

    for file in write_page(folder, out):
        print(f"Written: {file}")
    return 0
