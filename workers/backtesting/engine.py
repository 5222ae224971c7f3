"""A real freqtrade backtest in this process. Importing this module imports freqtrade, which takes seconds: a warm child server does it once.

freqtrade keeps global state, so a process runs one backtest and ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.data.metrics import combined_dataframes_with_rel_mean
from freqtrade.exceptions import OperationalException
from freqtrade.optimize.optimize_reports import generate_backtest_stats, store_backtest_results
from freqtrade.util import dt_now

from workers.backtesting.page_details import page_details
from workers.backtesting.repeating import Repeat
from workers.backtesting.stages import Stages
from workers.backtesting.summary import summarise
from workers.freqtrade.applied_params import Params, apply_params, check_names, in_effect
from workers.freqtrade.candles import candle_files_read, check_candles, no_candles_in_range
from workers.freqtrade.freqai.trained_model import TrainedModel
from workers.freqtrade.manifest import hash_json, short_manifest
from workers.freqtrade.preparing import Prepared, load_backtesting, prepare
from workers.freqtrade.running import FreqtradeRun, freqtrade_run
from workers.freqtrade.workspace import Workspace
from workers.reports import Kind, publish
from workers.reports.rendering import preload_templates

if TYPE_CHECKING:
    from workers.backtesting.params import BacktestParams
    from workers.freqtrade.settings import FreqAISettings
    from workers.job import Job

preload_templates()  # once, in the server of warm children


def run(job: Job, params: BacktestParams, settings: FreqAISettings) -> dict[str, Any]:
    """Run one backtest and return its result; the files it made are artifacts.

    Raises:
        BadRequest: the config or the strategy's name is wrong.
        DataMissing: a candle file, the strategies folder or the base config isn't there.
        JobCancelled: the job was asked to stop.
    """
    stages = Stages(job)
    stages.enter("load")
    with freqtrade_run(job, settings) as running:
        planned = _Planned.of(running, params)
        if params.reuse and (stored := planned.repeat.stored()) is not None:
            stages.report("stats", 1, 1, "reused")
            return stored | {"config": planned.prepared.verdicts} | running.costs()
        result, details = _backtest(planned, stages)
    result["artifacts"] = _store(job, running.workspace)
    result |= running.costs()
    result["artifacts"] += publish(job, kind=Kind.BACKTEST, result=result, details=details)
    planned.repeat.remember(result)
    stages.report("stats", 1, 1)
    return result


@dataclass(frozen=True, slots=True)
class _Planned:
    """A call that may run: all that it names is there."""

    running: FreqtradeRun
    prepared: Prepared
    trained: TrainedModel
    given: Params | None
    """A hyperopt's parameters."""
    repeat: Repeat

    @classmethod
    def of(cls, running: FreqtradeRun, params: BacktestParams) -> Self:
        # Without its files the result is worth little, so "none" isn't offered.
        export = "signals" if params.config.get("export") == "signals" else "trades"
        running.workspace.forget_models()
        trained = TrainedModel(running, params.strategy_name)
        arguments = {"export": export, "backtest_cache": "none"}
        prepared = prepare(running, params.strategy_name, params.config, arguments=arguments, amend=trained.amend)
        given = None if params.params is None else apply_params(running, prepared, params.params)
        return cls(running, prepared, trained, given, Repeat(running, prepared, given))


def _backtest(planned: _Planned, stages: Stages) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """The result, and what its page shows beside it."""
    running, prepared, trained, given = planned.running, planned.prepared, planned.trained, planned.given
    with candle_files_read() as read, trained.predicting():
        backtesting, markets = load_backtesting(prepared, running.settings, on_progress=stages.on_progress)
        running.job.on_cancel(lambda: setattr(backtesting, "abort", True))
        if given is not None:
            check_names(backtesting.strategylist[0], given)
        check_candles(backtesting)
        trained.check(backtesting)
        stats, details = _simulate(backtesting, prepared.merged, stages)

    planned.repeat.has_read(backtesting.strategylist[0], read)
    manifest = prepared.manifest(backtesting.strategylist[0], read, markets)
    applied = {} if given is None else in_effect(backtesting.strategylist[0], given)
    if given is not None:
        manifest["params"] = hash_json(given)
    running.workspace.manifest_file.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    result = {
        **summarise(prepared.strategy_name, stats),
        **applied,
        "config": prepared.verdicts,
        "synthetic_markets": markets.synthetic,
        "manifest": short_manifest(manifest),
        **trained.facts(manifest),
    }
    return result, details


def _simulate(backtesting: Any, config: dict[str, Any], stages: Stages) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
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
    return stats, partial(page_details, strategy, stats, data, config)


def _store(job: Job, workspace: Workspace) -> list[dict[str, Any]]:
    """freqtrade's own files keep their layout, so that `freqtrade backtesting-show` and FreqUI open the stored folder."""
    # The zip first: it is what people look for.
    results = sorted((path for path in workspace.results.iterdir() if path.is_file()), key=lambda path: (path.suffix != ".zip", path.name))
    return [
        *(job.artifact(path, name=f"backtest_results/{path.name}") for path in results),
        job.artifact(workspace.manifest_file),
        job.artifact(workspace.log_file, media_type="text/plain"),
    ]
