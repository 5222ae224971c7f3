"""The folder of one job, in freqtrade's own layout: a fresh `user_data`, so that no two jobs share a result, a model or a cache."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.freqtrade.settings import FreqtradeSettings


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one job keeps its files."""

    root: Path

    @property
    def user_data(self) -> Path:
        return self.root / "user_data"

    @property
    def results(self) -> Path:
        return self.user_data / "backtest_results"

    @property
    def models(self) -> Path:
        """FreqAI's folder of identifier folders."""
        return self.user_data / "models"

    @property
    def config_file(self) -> Path:
        return self.root / "config.json"

    @property
    def log_file(self) -> Path:
        return self.root / "freqtrade.log"

    @property
    def manifest_file(self) -> Path:
        return self.root / "manifest.json"

    def prepare(self, settings: FreqtradeSettings) -> None:
        """Make the folder, for its owner only. A run before this one left no result, but maybe finished FreqAI models, which stay."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o700)
        self.user_data.mkdir(exist_ok=True)
        shutil.rmtree(self.results, ignore_errors=True)
        # Links, so that freqtrade finds strategies where it does at home (also below, when it searches folders recursively).
        folders = {"strategies": settings.strategies_folder, "freqaimodels": settings.freqaimodels_folder, "hyperopts": settings.hyperopts_folder}
        for name, folder in folders.items():
            link = self.user_data / name
            if link.is_symlink():
                link.unlink()
            if folder.is_dir() and not link.exists():
                link.symlink_to(folder, target_is_directory=True)

    def forget_models(self) -> None:
        """A backtest begins anew: predictions of a run before this one may come of other candles or code."""
        shutil.rmtree(self.models, ignore_errors=True)

    def empty(self, path: Path) -> Path:
        """A path in here where nothing is now, and whose parent is."""
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_config(self, config: dict[str, Any]) -> Path:
        self.config_file.write_text(json.dumps(config, indent=1), encoding="utf-8")
        return self.config_file


def close_side_doors() -> None:
    """Keep the environment and the strategies folder out of it: freqtrade takes config keys from FREQTRADE__ variables, past the policy."""
    import sys

    for name in [name for name in os.environ if name.startswith("FREQTRADE__")]:
        del os.environ[name]
    sys.dont_write_bytecode = True
