"""What a result was made of: the sha256 of each input, so that two results can be compared or a run repeated."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from workers.freqtrade.markets import Markets

PACKAGES = ("freqtrade", "ccxt", "pandas", "numpy", "TA-Lib", "datasieve", "lightgbm", "scikit-learn", "xgboost-cpu")
LISTED = 50
"""Candle files listed one by one in the result; the artifact `manifest.json` lists all."""


def build_manifest(
    *,
    strategy: Any,
    others: Iterable[Any] = (),
    code_folders: list[Path],
    config: dict[str, Any],
    candles: Iterable[Path],
    datadir: Path,
    markets: Markets,
) -> dict[str, Any]:
    """Hash every input of a finished backtest.

    Args:
        strategy: freqtrade's strategy object; its modules are loaded by now.
        others: more objects of classes that freqtrade loaded from files, such as a hyperopt's loss.
        code_folders: hash whatever module was loaded from below these.
        config: the effective config, secrets-free.
        candles: each candle file read.
        datadir: they are named relative to it.
        markets: what the exchange answered.
    """
    files = {_relative(file, [datadir]): hash_file(file) for file in sorted(candles)}
    return {
        "code": {_relative(file, code_folders): hash_file(file) for file in sorted(code_files(strategy, others, code_folders))},
        "config": hash_json(config),
        "candles": {"count": len(files), "sha256": hash_json(files), "files": files},
        "markets": {"sha256": hash_json(markets.markets), "synthetic": markets.synthetic, "file": markets.file.name if markets.file else None},
        "versions": versions(),
    }


def short_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest for the result: without the list of candle files when it is long."""
    candles = manifest["candles"]
    return manifest if candles["count"] <= LISTED else manifest | {"candles": {key: candles[key] for key in ("count", "sha256")}}


def hash_file(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """The hash of a value's canonical JSON: sorted keys, no blanks."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def code_files(strategy: Any, others: Iterable[Any], folders: list[Path]) -> set[Path]:
    """The strategy's own file, which freqtrade loads without naming it in `sys.modules`, its parameters, and all it imported from the folders."""
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    loaded += [getattr(type(item), "__file__", None) for item in (strategy, getattr(strategy, "freqai", None), *others)]
    files = {Path(name).resolve() for name in loaded if isinstance(name, str)}
    # Beside the name that it was loaded by: `applied_params` may have put other parameters beside a link to it.
    files.add(Path(str(type(strategy).__file__)).with_suffix(".json").resolve())
    roots = [folder.resolve() for folder in folders]
    return {file for file in files if file.is_file() and any(file.is_relative_to(root) for root in roots)}


def _relative(file: Path, folders: list[Path]) -> str:
    """A name without the machine's own paths, so that manifests of two workers can be compared."""
    for folder in folders:
        for root in (folder, folder.resolve()):
            if file.is_relative_to(root):
                return file.relative_to(root).as_posix()
    return file.name


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package.lower()] = version(package)
        except PackageNotFoundError:
            continue
    return found
