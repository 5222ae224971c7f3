"""The strategies of the worker's folder: which there are, where one lies, and why one can't be loaded."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from workers.errors import BadRequest, DataMissing


def strategy_names(folder: Path, *, recursive: bool = False) -> dict[str, Path]:
    """Each class of the folder's files that looks like a strategy, and its file. Reads the files, runs none of them."""
    found: dict[str, Path] = {}
    for file in _python_files(folder, recursive=recursive):
        for name in _strategy_classes(file):
            found.setdefault(name, file)
    return found


def find_strategy(name: str, folders: list[Path], *, recursive: bool = False) -> Path:
    """The file of a strategy.

    Raises:
        BadRequest: no such strategy; lists those that exist.
        DataMissing: there's no strategies folder.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DataMissing(f"FREQTRADE_STRATEGIES: no such folder: {folder}")
        # The way freqtrade looks: the first file whose text holds `class <name>(`.
        for file in _python_files(folder, recursive=recursive):
            if f"class {name}(" in file.read_text(encoding="utf-8", errors="replace"):
                return file
        found |= strategy_names(folder, recursive=recursive)
    listed = ", ".join(sorted(found)) or "none"
    raise BadRequest(f"strategy_name: no strategy '{name}' on this worker; those that exist: {listed}")


def import_strategy(file: Path) -> None:
    """Run a strategy's file as freqtrade does, for the error that it raises: freqtrade logs it and says only that it can't load the class."""
    spec = importlib.util.spec_from_file_location(file.stem, file.resolve())
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.resolve().parent))


def _python_files(folder: Path, *, recursive: bool) -> Iterator[Path]:
    yield from sorted(path for path in folder.glob("**/*.py" if recursive else "*.py") if path.is_file())


def _strategy_classes(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any("strategy" in ast.unparse(base).lower() or _defines_signals(node) for base in node.bases):
            yield node.name


def _defines_signals(node: ast.ClassDef) -> bool:
    return any(isinstance(item, ast.FunctionDef) and item.name.startswith("populate_") for item in node.body)
