"""What a result depends on, so that it can be told later whether the same run would give the same: the sha256 of each file, the names in each folder, the versions.

More is looked at than a manifest lists, and by full paths: a file that was missing then (`<Strategy>.json`, candles of a pair that a pattern takes in, a saved
snapshot of markets) or that a strategy opened by itself. What isn't seen: the clock, the network, and random numbers without a seed.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.freqtrade.files_opened import opened, watch
from workers.freqtrade.manifest import hash_file, hash_json

TICK_SECONDS = 0.05
"""The system stamps files with a clock that is a little behind."""
PACKAGE = Path(__file__).resolve().parents[1]
"""Our own code makes the result."""


@dataclass(slots=True)
class Inputs:
    """Those of one run; make it before the run begins."""

    folders: tuple[Path, ...]
    """Where files that appear or go may change the result: candles, strategies, FreqAI's models."""
    not_inputs: tuple[Path, ...] = ()
    """The job's own folders."""
    began: float = field(default_factory=time.time)
    _names: dict[str, str] = field(init=False)
    _stamps: dict[Path, tuple[int, ...] | None] = field(init=False)
    """Of every file in the folders, as they were."""

    def __post_init__(self) -> None:
        watch()
        self._names = _names_in(self.folders)
        self._stamps = {Path(name): _stamp(Path(name)) for folder in self.folders for name in files_below(folder)}

    def taken(self, files: Iterable[Path]) -> dict[str, Any] | None:
        """All that the finished run depended on; None when some of it changed while it ran, as nobody knows then what was read.

        Args:
            files: those known to have been read or looked for; what the process opened comes on top.
        """
        paths = {file.absolute() for file in files} | opened(except_below=self.not_inputs)
        if _names_in(self.folders) != self._names or any(map(self._has_changed, paths)):
            return None
        return {"files": {str(path): hash_if_there(path) for path in sorted(paths)}, "names": self._names, "versions": _versions()}

    def _has_changed(self, path: Path) -> bool:
        now = _stamp(path)
        if path in self._stamps:
            return now != self._stamps[path]
        return now is not None and max(now[-2:]) / 1e9 >= self.began - TICK_SECONDS


def changed(before: Any) -> str | None:
    """The first of a finished run's inputs that isn't as it was; None when all are.

    Args:
        before: what `Inputs.taken` gave, from a file.
    """
    try:
        files, names, versions = before["files"], before["names"], before["versions"]
        if versions != _versions():
            return "the versions"
        for folder, listing in names.items():
            if _names_in([Path(folder)]) != {folder: listing}:
                return f"the files in {folder}"
        return next((path for path, sha256 in files.items() if hash_if_there(Path(path)) != sha256), None)
    except (KeyError, TypeError, AttributeError):
        return "the record"


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def hash_if_there(path: Path) -> str | None:
    """None of what isn't a file, or can't be read."""
    try:
        return hash_file(path) if path.is_file() else None
    except OSError:
        return None


def _names_in(folders: Iterable[Path]) -> dict[str, str]:
    return {str(folder): hash_json(sorted(files_below(folder))) for folder in folders}


def files_below(folder: Path) -> Iterable[str]:
    """Every file of a folder and of those in it, links followed, but for what Python compiles."""
    seen: set[tuple[int, int]] = set()  # links may lead in circles
    for parent, subfolders, files in os.walk(folder, followlinks=True):
        place = Path(parent).stat()
        if (place.st_dev, place.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
        yield from (f"{parent}/{name}" for name in files if not name.endswith(".pyc"))


def _versions() -> dict[str, str]:
    """Python, every installed package by the name of its folder of metadata, and our own code."""
    installed = sorted({entry.name for place in sys.path if place for entry in Path(place).glob("*.dist-info")})
    own = {file.relative_to(PACKAGE).as_posix(): hash_file(file) for file in sorted(PACKAGE.rglob("*.py"))}
    return {"python": platform.python_version(), "packages": hash_json(installed), "workers": hash_json(own)}
