"""Candle files are written aside and renamed: a backtest that runs meanwhile reads the old file or the new one, whole.

The folder lies inside the data folder, so that a rename never crosses file systems; freqtrade looks for no files in it. Files are copied, not
linked: freqtrade opens a file to write it anew, which would go through a link into the file that others read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.freqtrade.candles import Candles, candle_file_names

FOLDER = ".download"


@dataclass(frozen=True, slots=True)
class Staging:
    """A data folder beside the real one."""

    datadir: Path
    """The real one."""
    handler: Any
    """freqtrade's data handler of the real one; it names the files."""

    @property
    def folder(self) -> Path:
        """Where freqtrade downloads to."""
        return self.datadir / FOLDER

    def fetch(self, candles: Candles) -> None:
        """Copy what is there, so that freqtrade appends to it."""
        for file in candle_file_names(self.handler, self.datadir, candles):
            if file.is_file():
                aside = self._aside(file)
                aside.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, aside)

    def publish(self, candles: Candles) -> Path | None:
        """Put what freqtrade wrote in the place of the old file; None when it wrote none."""
        real, *_ = candle_file_names(self.handler, self.datadir, candles)
        aside = self._aside(real)
        if not aside.is_file():
            return None
        with aside.open("rb") as written:  # a rename may reach the disk before the bytes do
            os.fsync(written.fileno())
        real.parent.mkdir(parents=True, exist_ok=True)
        return aside.replace(real)

    def _aside(self, file: Path) -> Path:
        return self.folder / file.relative_to(self.datadir)


@contextmanager
def staging(datadir: Path, handler: Any) -> Iterator[Staging]:
    """An empty staging folder; what a killed download left goes. Only for who holds the folder's lock."""
    stage = Staging(datadir, handler)
    shutil.rmtree(stage.folder, ignore_errors=True)
    stage.folder.mkdir(parents=True)
    try:
        yield stage
    finally:
        shutil.rmtree(stage.folder, ignore_errors=True)
