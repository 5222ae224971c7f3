"""The epochs that an earlier run of this job finished: a job that its worker lost, or handed back, doesn't compute them again.

With the same random state the optimiser asks for the same parameters in the same order, as long as it is told the same losses. So a later run
begins anew, and takes the epochs that are there already from freqtrade's own file of the earlier one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workers.freqtrade.manifest import hash_json


class EarlierRun:
    """What is left of it in the job's folder; nothing, mostly."""

    def __init__(self, folder: Path, results: Path) -> None:
        """Put the epochs of the last run aside.

        Args:
            folder: the job's.
            results: freqtrade's folder of hyperopt results, which a run begins without.
        """
        self._notes, self._epochs = folder / "earlier_run.json", folder / "earlier_run.fthypt"
        # A run that was lost while it took over epochs has fewer than the one before it.
        files = [file for file in (self._epochs, *results.glob("*.fthypt")) if file.is_file()]
        if files:
            max(files, key=lambda file: file.stat().st_size).replace(self._epochs)
        self._found: dict[str, dict[str, Any]] = {}
        self.used = 0
        """Epochs that were taken over."""

    @property
    def random_state(self) -> int | None:
        """What it began with."""
        return self._noted().get("random_state")

    def begin(self, random_state: int, inputs: Mapping[str, Any]) -> int:
        """Say what this run is made of, and return how many epochs are there for it: none when the earlier run was made of anything else.

        Args:
            random_state: of the optimiser.
            inputs: the manifest of all that the epochs depend on.
        """
        notes = {"random_state": random_state, "inputs": hash_json(inputs)}
        if self._noted() == notes and self._epochs.is_file():
            self._found = {_key(epoch["params_dict"]): epoch for epoch in _epochs(self._epochs)}
        else:
            self._epochs.unlink(missing_ok=True)
        self._notes.write_text(json.dumps(notes), encoding="utf-8")
        return len(self._found)

    def epoch(self, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """The epoch with these parameters, as freqtrade made it; None when it has to be computed."""
        found = self._found.pop(_key(params), None)
        self.used += found is not None
        return found

    def _noted(self) -> dict[str, Any]:
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # the first run, or one that was killed while it wrote
            return {}
        return notes if isinstance(notes, dict) else {}


def _epochs(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:  # the last one, when the run was killed while it wrote
                return


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True, default=str)
