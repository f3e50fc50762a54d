"""The report as a PDF, printed by a browser that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from fissura.errors import InputError
from fissura.files import replacing

BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
    "microsoft-edge", "brave-browser",
)  # fmt: skip
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
    r"C:\Program Files\Microsoft\Edge\Application\msedge.exe",
)
TIMEOUT = 300  # seconds
MISSING = (
    "No browser that prints was found (Chromium, Chrome or Edge), so that there is no PDF. Open "
    "{page} in any browser and print it as PDF."
)


def find_browser() -> str | None:
    """Return the browser that prints, or None where none is installed."""
    named = (shutil.which(name) for name in BROWSERS)
    return next(
        (path for path in (*named, *PLACES) if path and Path(path).is_file()),
        None,
    )


def print_pdf(page: Path, path: Path) -> None:
    """Print a page as a PDF.

    Args:
        page: The HTML page.
        path: The PDF.

    Raises:
        InputError: There is no browser, or it did not print.
    """
    browser = find_browser()
    if browser is None:
        raise InputError(MISSING.format(page=page))
    # Chromium refuses its sandbox to root; the page is our own, and may request nothing.
    rooted = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as profile, replacing(path) as temporary:
        command = [
            browser, "--headless", "--disable-gpu", *rooted, f"--user-data-dir={profile}",
            "--no-pdf-header-footer", f"--print-to-pdf={temporary.absolute()}",
            page.absolute().as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"{browser} did not print {page} ({error}).") from error
        if not temporary.is_file() or not temporary.stat().st_size:
            raise InputError(f"{browser} did not print {page}. Open it and print it as PDF.")
