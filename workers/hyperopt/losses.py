"""The loss functions: freqtrade's own, and those of the worker's `hyperopts` folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from freqtrade.constants import HYPEROPT_LOSS_BUILTIN

from workers.errors import BadRequest
from workers.freqtrade.strategies import import_strategy


def check_loss(name: str | None, folders: list[Path]) -> None:
    """Make sure that there is such a loss function, and that its file can be loaded.

    Args:
        name: of its class.
        folders: of the user's own; each may be missing.

    Raises:
        BadRequest: none was named, or there's none of that name; lists those that exist.
        Exception: its file's own, when it can't be loaded: freqtrade would only say that it can't.
    """
    for file in _python_files(folders):
        # The way freqtrade looks, in this order.
        if f"class {name}(" in file.read_text(encoding="utf-8", errors="replace"):
            import_strategy(file)
            return
    if name not in HYPEROPT_LOSS_BUILTIN:
        reason = "needed, in the call's config or in the worker's" if name is None else f"no loss function '{name}' on this worker"
        raise BadRequest(f"hyperopt_loss: {reason}; those that exist: {', '.join(sorted({*own_losses(folders), *HYPEROPT_LOSS_BUILTIN}))}")


def own_losses(folders: list[Path]) -> list[str]:
    """Each class of the folders' files that looks like a loss function. Reads the files, runs none of them."""
    found = []
    for file in _python_files(folders):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            continue
        classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
        found += [node.name for node in classes if any("hyperoptloss" in ast.unparse(base).lower() for base in node.bases)]
    return found


def _python_files(folders: list[Path]) -> Iterator[Path]:
    return (file for folder in folders for file in sorted(folder.glob("*.py")) if file.is_file())
