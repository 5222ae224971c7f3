"""A backtest that was run before: what makes two the same, and whether the stored result still holds."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers import reuse
from workers.freqtrade.inputs import Inputs, changed
from workers.freqtrade.manifest import code_files, hash_json
from workers.freqtrade.markets import snapshot_file
from workers.reports.record import RECORD

if TYPE_CHECKING:
    from workers.freqtrade.preparing import Prepared
    from workers.freqtrade.running import FreqtradeRun

logger = logging.getLogger(__name__)

SCHEMA = 1
"""Raise it when the same inputs give another result."""


class Repeat:
    """One backtest, as something that may have been run before. Make it before freqtrade reads anything."""

    def __init__(self, running: FreqtradeRun, prepared: Prepared, *more: Any) -> None:
        """Look at the folders that it will read.

        Args:
            running: the run.
            prepared: its call.
            more: what else the call says that changes the result, such as a hyperopt's parameters.
        """
        job, settings, exchange = running.job, running.settings, prepared.config["exchange"]["name"]
        self._job, self._prepared = job, prepared
        self._taken: dict[str, Any] | None = None
        folders = (Path(prepared.config["datadir"]), settings.markets_folder, *prepared.code_folders)
        # The folders too: another worker of this store may have others of the same files.
        places = [str(prepared.strategy_file), *map(str, folders)]
        self._key = hash_json([SCHEMA, job.type, prepared.strategy_name, places, prepared.merged, *more])
        store = job.artifacts.local_path
        self._inputs = Inputs(
            folders=folders,
            not_inputs=(job.directory, *([store] if store else [])),
        )
        self._looked_for = (
            prepared.strategy_file,
            prepared.strategy_file.with_suffix(".json"),
            snapshot_file(settings.markets_folder, exchange, prepared.config["trading_mode"].value),
        )

    def stored(self) -> dict[str, Any] | None:
        """The result of the same backtest, when it was run before and all that it read is what it was."""
        return reuse.find(self._job, self._key, changed, except_for={RECORD})  # the index lists each run once

    def has_read(self, strategy: Any, candles: Iterable[Path]) -> None:
        """The backtest has run: these are its files. When one of its inputs changed meanwhile, its result won't be given again."""
        self._taken = self._inputs.taken({*self._looked_for, *code_files(strategy, (), self._prepared.code_folders), *candles})

    def remember(self, result: dict[str, Any]) -> None:
        """Leave the finished result, with its artifacts, for the next one."""
        if self._taken is None:
            return
        try:
            reuse.remember(self._job, self._key, result, self._taken, finished_at=datetime.now(UTC).isoformat(timespec="seconds"))
        except OSError as exc:  # a full disk: the result counts all the same
            logger.warning("the result can't be kept for reuse: %s", exc)
