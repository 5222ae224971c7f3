"""The FreqAI model classes there are: freqtrade's own, and those of the worker's freqaimodels folder."""

from __future__ import annotations

import ast
from pathlib import Path

from workers.errors import BadRequest, MissingDependency
from workers.freqtrade.strategies import import_strategy

PACKAGES = {"sb3_contrib": "sb3-contrib", "stable_baselines3": "stable-baselines3", "sklearn": "scikit-learn"}
"""Modules whose package has another name."""


def own_models_folder() -> Path:
    """freqtrade's."""
    from freqtrade.resolvers.freqaimodel_resolver import FreqaiModelResolver

    return Path(FreqaiModelResolver.initial_search_path)


def model_names(folders: list[Path]) -> list[str]:
    """Each class of the folders' files that has a base: reads the files, runs none of them, so that a missing package hides none."""
    names: set[str] = set()
    for file in _python_files(folders):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            continue
        names |= {node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.bases}
    return sorted(names)


def find_model(name: str, folders: list[Path]) -> Path:
    """The file of a model class, after it was imported as freqtrade will: there it says only that it can't load the class.

    Args:
        name: of the class.
        folders: the user's, then freqtrade's own, in the order in which freqtrade looks.

    Raises:
        BadRequest: no such class; lists those that exist.
        MissingDependency: names the package that the class needs.
        Exception: the file's own.
    """
    # The way freqtrade looks: the first file whose text holds `class <name>(`.
    file = next((file for file in _python_files(folders) if f"class {name}(" in file.read_text(encoding="utf-8", errors="replace")), None)
    if file is None:
        raise BadRequest(f"model_name: no FreqAI model '{name}' on this worker; those that exist: {', '.join(model_names(folders))}")
    try:
        import_strategy(file)
    except ModuleNotFoundError as exc:
        module = (exc.name or "").partition(".")[0]
        package = PACKAGES.get(module, module)
        raise MissingDependency(
            f"model_name: {name} needs the package '{package}', which isn't installed on this worker: pip install {package}"
        ) from exc
    return file


def _python_files(folders: list[Path]) -> list[Path]:
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.py")) if path.is_file()]
