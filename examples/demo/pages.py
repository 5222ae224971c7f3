"""The page of all runs."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from rich.console import Console


def show_index(console: Console, page: Path, *, opened: bool = False) -> None:
    """Name the page; and open it where there is a desktop, when that is asked for."""
    console.print(f"All runs, each with its page: {page.as_uri()}", soft_wrap=True, highlight=False)
    if opened and sys.stdout.isatty() and (sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(page.as_uri())
