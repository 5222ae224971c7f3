"""A worker without its packages says which extra to install."""

from __future__ import annotations

import importlib
from typing import Any

from workers.errors import MissingDependency


def import_engine(module: str, *, command: str, extra: str) -> Any:
    """Import the module that does the work, and freqtrade with it.

    Raises:
        MissingDependency: names the package that isn't there, and the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] in {"workers", "streams"}:
            raise
        raise MissingDependency(f"{command} needs the package '{exc.name}': pip install 'celery-streams-bridge[{extra}]'") from exc
