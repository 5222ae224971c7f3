"""The windows that are done: a job that comes back after its worker died doesn't train them again.

FreqAI itself takes a model that lies on the disk for its own; but it writes a model's files one after the other, so half of them may be there. A window
is done when its mark is: written last, and whole at once.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from workers.freqtrade.freqai.model_artifact import PREDICTIONS, TrainedWindow
from workers.freqtrade.freqai.windows import Window

MARK = "window.json"
PAIRS = "pair_dictionary.json"
"""FreqAI's own, of the model that each pair has now."""


class FinishedWindows:
    """The identifier folder of a job, and what is known of each window in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resume(self, inputs: str, inputs_file: Path) -> int:
        """Keep what an earlier run of this job finished, and nothing else.

        Args:
            inputs: the hash of what is trained with; of another strategy, config or version nothing is kept.
            inputs_file: where the hash is from one run to the next.

        Returns:
            How many windows are there.
        """
        if not inputs_file.is_file() or inputs_file.read_text(encoding="utf-8") != inputs:
            shutil.rmtree(self.folder, ignore_errors=True)
            inputs_file.write_text(inputs, encoding="utf-8")
        if not self.folder.is_dir():
            return 0
        # Predictions are made anew: one may be half a file, and FreqAI doesn't load the model of a window that has one, which continual learning needs.
        shutil.rmtree(self.folder / PREDICTIONS, ignore_errors=True)
        for window in self.folder.glob("sub-train-*"):
            if not (window / MARK).is_file():
                shutil.rmtree(window)
        marks = self.marks()
        self._write_pairs(marks)
        return len(marks)

    def finish(self, window: Window, metrics: dict[str, Any]) -> None:
        """The window's files are all there."""
        mark = self.folder / TrainedWindow.of(window).folder / MARK
        _write(mark, window.row() | metrics | {"pair_info": self._pair_info(window)})

    def marks(self) -> list[dict[str, Any]]:
        """What is known of each finished window, pair by pair in the order of time."""
        found = [json.loads(mark.read_text(encoding="utf-8")) for mark in self.folder.glob(f"sub-train-*/{MARK}")]
        return sorted(found, key=lambda row: (row["pair"], row["window"]))

    def _pair_info(self, window: Window) -> dict[str, Any]:
        """FreqAI's entry for the pair, as it just wrote it."""
        entry: dict[str, Any] = json.loads((self.folder / PAIRS).read_text(encoding="utf-8"))[window.pair]
        return entry

    def _write_pairs(self, marks: list[dict[str, Any]]) -> None:
        """FreqAI writes this file in place: what a killed run left may be half of it."""
        (self.folder / PAIRS).unlink(missing_ok=True)
        if marks:
            _write(self.folder / PAIRS, {row["pair"]: row["pair_info"] for row in marks})


def _write(file: Path, value: Any) -> None:
    aside = file.with_name(f"{file.name}.part")
    with aside.open("w", encoding="utf-8") as sink:
        json.dump(value, sink)
        sink.flush()
        os.fsync(sink.fileno())
    aside.replace(file)
