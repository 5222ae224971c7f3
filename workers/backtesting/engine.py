"""A real freqtrade backtest in this process. Importing this module imports freqtrade, which takes seconds: a warm child server does it once.

freqtrade keeps global state, so a process runs one backtest and ends.
"""

from __future__ import annotations

import contextlib
import json
import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workers.backtesting.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.commands.optimize_commands import setup_optimize_configuration
from freqtrade.configuration import TimeRange
from freqtrade.data.metrics import combined_dataframes_with_rel_mean
from freqtrade.enums import RunMode
from freqtrade.exceptions import ConfigurationError, OperationalException
from freqtrade.optimize.backtesting import Backtesting
from freqtrade.optimize.optimize_reports import generate_backtest_stats, store_backtest_results
from freqtrade.util import dt_now

from workers.backtesting.candles import available_pairs, candle_files_read, check_candles, no_candles_in_range
from workers.backtesting.config_layers import effective, judge_call, load_base
from workers.backtesting.exchange import offline_exchange
from workers.backtesting.failures import translated_failures
from workers.backtesting.job_log import freqtrade_log
from workers.backtesting.manifest import build_manifest, short_manifest
from workers.backtesting.markets import Markets, load_snapshot
from workers.backtesting.stages import Stages
from workers.backtesting.strategies import find_strategy, import_strategy
from workers.backtesting.summary import summarise
from workers.backtesting.workspace import Workspace, close_side_doors
from workers.errors import BadRequest, DataMissing

if TYPE_CHECKING:
    from workers.backtesting.params import BacktestParams
    from workers.backtesting.settings import BacktestingSettings
    from workers.job import Job


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass(slots=True)
class Usage:
    """What the run costs, from here on: a warm child's import is not the job's."""

    began: float = field(default_factory=time.monotonic)
    cpu_began: float = field(default_factory=_cpu_seconds)

    def so_far(self) -> dict[str, Any]:
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return {
            "run_seconds": round(time.monotonic() - self.began, 3),
            "cpu_seconds": round(_cpu_seconds() - self.cpu_began, 3),
            "peak_rss": peak * 1024,
        }


def run(job: Job, params: BacktestParams, settings: BacktestingSettings) -> dict[str, Any]:
    """Run one backtest and return its result; the files it made are artifacts.

    Raises:
        BadRequest: the config or the strategy's name is wrong.
        DataMissing: a candle file, the strategies folder or the base config isn't there.
        JobCancelled: the job was asked to stop.
    """
    usage, stages, workspace = Usage(), Stages(job), Workspace(job.directory)
    stages.enter("load")
    close_side_doors()
    workspace.prepare(settings)
    try:
        with freqtrade_log(workspace.log_file) as attach_log, translated_failures(job):
            result = _backtest(job, params, settings, workspace, stages, attach_log)
    except Exception as exc:
        with contextlib.suppress(Exception):  # a full disk must not hide why the backtest failed
            exc.add_note(f"freqtrade's log: {job.artifact(workspace.log_file, media_type='text/plain')['uri']}")
        raise
    result["artifacts"] = _store(job, workspace)
    stages.report("stats", 1, 1)
    return result | usage.so_far() | {"queue_wait": job.queue_wait}


def _backtest(
    job: Job, params: BacktestParams, settings: BacktestingSettings, workspace: Workspace, stages: Stages, attach_log: Callable[[], None]
) -> dict[str, Any]:
    judged, base = judge_call(params.config), load_base(settings.config)
    merged = effective(base, judged.clean)
    folders = [*([Path(merged["strategy_path"])] if "strategy_path" in merged else []), settings.strategies_folder]
    strategy_file = find_strategy(params.strategy_name, folders, recursive=merged.get("recursive_strategy_search", False))
    config = _configure(params.strategy_name, merged, settings, workspace)
    attach_log()

    with candle_files_read() as read:
        backtesting, markets = _load(config, settings, strategy_file, stages)
        job.on_cancel(lambda: setattr(backtesting, "abort", True))
        check_candles(backtesting)
        stats = _simulate(backtesting, stages)

    strategy = backtesting.strategylist[0]
    manifest = build_manifest(
        strategy=strategy,
        code_folders=[*folders, settings.freqaimodels_folder],
        config=merged,
        candles=read,
        datadir=config["datadir"],
        markets=markets,
    )
    workspace.manifest_file.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return summarise(params.strategy_name, stats) | {
        "config": {"used": list(judged.used), "ignored": judged.ignored},
        "synthetic_markets": markets.synthetic,
        "manifest": short_manifest(manifest),
    }


def _configure(strategy: str, merged: dict[str, Any], settings: BacktestingSettings, workspace: Workspace) -> dict[str, Any]:
    """Build freqtrade's config from a file of the job, as its own command does."""
    try:
        TimeRange.parse_timerange(merged.get("timerange"))
    except (ConfigurationError, ValueError) as exc:
        raise BadRequest(f"timerange: {exc}") from None
    datadir = settings.candles_folder(merged["exchange"]["name"])
    if not datadir.is_dir():
        raise DataMissing(f"FREQTRADE_DATADIR: no such folder: {datadir}")
    arguments = {
        "config": [str(workspace.write_config(merged))],
        "user_data_dir": str(workspace.user_data),
        "datadir": str(datadir),
        "strategy": strategy,
        # Without its files the result is worth little, so "none" isn't offered.
        "export": "signals" if merged.get("export") == "signals" else "trades",
        "backtest_cache": "none",
    }
    config: dict[str, Any] = setup_optimize_configuration(arguments, RunMode.BACKTEST)
    return config


def _load(config: dict[str, Any], settings: BacktestingSettings, strategy_file: Path, stages: Stages) -> tuple[Any, Markets]:
    trading_mode = str(config["trading_mode"].value)
    snapshot = load_snapshot(settings.markets_folder, config["exchange"]["name"], trading_mode)
    exchange, markets = offline_exchange(config, snapshot, available_pairs(config) if snapshot is None else ())
    try:
        return Backtesting(config, exchange=exchange, progress_callback=stages.on_progress), markets
    except OperationalException as exc:
        if "Impossible to load Strategy" in str(exc):
            import_strategy(strategy_file)
        raise
    except ImportError as exc:
        # freqtrade's way to say that a strategy doesn't fit the config: it wants to go short on a spot market, say.
        if traceback.extract_tb(exc.__traceback__)[-1].filename.endswith("strategy_resolver.py"):
            raise BadRequest(f"strategy_name: {exc}") from exc
        raise


def _simulate(backtesting: Any, stages: Stages) -> dict[str, Any]:
    """The steps of freqtrade's `Backtesting.start()`, without its tables on the terminal."""
    try:
        data, timerange = backtesting.load_bt_data()
    except OperationalException as exc:
        if "No data found" in str(exc):
            raise no_candles_in_range(backtesting) from exc
        raise
    backtesting.load_prior_backtest()
    strategy = backtesting.strategylist[0]
    stages.count_indicators(strategy, len(data))
    first, last = backtesting.backtest_one_strategy(strategy, data, timerange)

    stages.enter("stats")
    notes = backtesting.config.get("backtest_notes")
    results = generate_backtest_stats(data, backtesting.all_bt_content, min_date=first, max_date=last, notes=notes)
    store_backtest_results(
        backtesting.config,
        results,
        dt_now().strftime("%Y-%m-%d_%H-%M-%S"),
        market_change_data=combined_dataframes_with_rel_mean(data, first, last),
        analysis_results=backtesting.analysis_results,
        wallet_summary={name: content["wallet_summary"] for name, content in backtesting.all_bt_content.items() if "wallet_summary" in content},
        strategy_files={strategy.get_strategy_name(): strategy.__file__},
    )
    stats: dict[str, Any] = results["strategy"][strategy.get_strategy_name()]
    return stats


def _store(job: Job, workspace: Workspace) -> list[dict[str, Any]]:
    """freqtrade's own files keep their layout, so that `freqtrade backtesting-show` and FreqUI open the stored folder."""
    # The zip first: it is what people look for.
    results = sorted((path for path in workspace.results.iterdir() if path.is_file()), key=lambda path: (path.suffix != ".zip", path.name))
    return [
        *(job.artifact(path, name=f"backtest_results/{path.name}") for path in results),
        job.artifact(workspace.manifest_file),
        job.artifact(workspace.log_file, media_type="text/plain"),
    ]
