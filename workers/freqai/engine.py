"""A real FreqAI training in this process. Importing this module imports freqtrade and the model libraries: a warm child server does it once.

freqtrade keeps global state, so a process trains one model and ends.
"""

from __future__ import annotations

import json
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.exceptions import OperationalException
from freqtrade.freqai import freqai_interface  # noqa: F401 - the import that a fork saves

from workers.errors import BadRequest, JobFailure
from workers.freqai.finished import FinishedWindows
from workers.freqai.iterations import iterations_told
from workers.freqai.models import find_model, own_models_folder
from workers.freqai.stopping import stopped_at_once
from workers.freqai.training import TRAINED, Training, TrainingFailed
from workers.freqtrade.candles import candle_files_read, check_candles, needed_files, no_candles_in_range
from workers.freqtrade.config.keys import TRAINING
from workers.freqtrade.freqai.model_artifact import MEDIA_TYPE, TrainedWindow, pack
from workers.freqtrade.freqai.model_objects import adapted_models
from workers.freqtrade.freqai.signing import read_or_make_key
from workers.freqtrade.freqai.windows import Window, check_training_candles, planned_windows
from workers.freqtrade.inputs import files_below
from workers.freqtrade.json_safe import json_safe
from workers.freqtrade.manifest import hash_file, hash_json, short_manifest, versions
from workers.freqtrade.markets import Markets
from workers.freqtrade.preparing import Prepared, load_backtesting, prepare
from workers.freqtrade.running import FreqtradeRun, freqtrade_run
from workers.freqtrade.workspace import Workspace
from workers.reports import Kind, publish

if TYPE_CHECKING:
    from workers.freqai.params import TrainParams
    from workers.freqtrade.settings import FreqAISettings
    from workers.job import Job

LISTED = 1000
"""Windows in the result, which travels in one message; the artifact `windows.json` has them all."""
ONLY_IN_THE_ARTIFACT = ("importances", "pair_info")
"""Of what is known of a window."""


def run(job: Job, params: TrainParams, settings: FreqAISettings) -> dict[str, Any]:
    """Train each window and return what became of it; the models are one artifact, `model_artifact`, which a backtest's `freqai.model` takes.

    Raises:
        BadRequest: the config, the strategy's name or the model's is wrong.
        DataMissing: candles are missing, or too few for the first window.
        MissingDependency: the model class needs a package that isn't installed.
        JobCancelled: the job was asked to stop.
        Exception: the error of a training, which freqtrade would only log.
    """
    job.progress(0, 100, "load")
    failure: Exception | None = None
    with freqtrade_run(job, settings) as running:
        try:
            result = _train(running, params, settings)
        except TrainingFailed as exc:
            failure = exc.error
        if failure is not None:
            raise failure
        result["artifacts"].append(job.artifact(running.workspace.log_file, media_type="text/plain"))
    result |= running.costs()
    result["artifacts"] += publish(job, kind=Kind.TRAINING, result=result, details=partial(_page_details, running.workspace))
    job.progress(100, 100, "done")
    return result


def _page_details(workspace: Workspace) -> dict[str, Any]:
    """What the page shows and the result is too small for."""
    files = {"windows": _windows_file(workspace), "config": workspace.config_file}
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items()}


def _train(running: FreqtradeRun, params: TrainParams, settings: FreqAISettings) -> dict[str, Any]:
    key = read_or_make_key(settings.signing_key, make=settings.model_signing_key_file is None)  # not after hours of training
    model_file = find_model(params.model_name, [settings.freqaimodels_folder, own_models_folder()])

    def amend(merged: dict[str, Any]) -> dict[str, Any]:
        return _for_training(merged, params)

    arguments = {"export": "none", "backtest_cache": "none"}
    prepared = prepare(running, params.strategy_name, params.config, section=TRAINING, arguments=arguments, amend=amend)
    with candle_files_read() as read, stopped_at_once(running.job):
        backtesting, markets = load_backtesting(prepared, settings)
        check_candles(backtesting)
        windows = planned_windows(backtesting)
        check_training_candles(backtesting, windows)
        freqai = json_safe(deepcopy(backtesting.config["freqai"]))
        folder = running.workspace.models / str(freqai["identifier"])
        finished = FinishedWindows(folder)
        kept = finished.resume(_inputs(prepared, model_file, markets, needed_files(backtesting)), running.workspace.root / "training.inputs")
        training = Training(running.job, windows, finished)
        with iterations_told(training.report), adapted_models(training.adapt):
            _slide(backtesting)
    marks = finished.marks()
    _check_all_trained(params, windows, marks)

    running.job.progress(TRAINED, 100, "store")
    manifest = prepared.manifest(backtesting.strategylist[0], read, markets)
    about = {
        "task_id": running.job.id,
        "strategy": params.strategy_name,
        "model": params.model_name,
        "identifier": freqai["identifier"],
        "timeframe": backtesting.timeframe,
        "freqai": freqai,
        "windows": [TrainedWindow.of(window) for window in windows],
        "inputs": manifest,
    }
    archive = running.workspace.root / f"{freqai['identifier']}.freqai.zip"
    pack(folder, archive, key, about)
    model = running.job.artifact(archive, media_type=MEDIA_TYPE)
    archive.unlink()
    rows = [{name: value for name, value in mark.items() if name not in ONLY_IN_THE_ARTIFACT} for mark in marks]
    return {
        **{name: about[name] for name in ("strategy", "model", "identifier", "timeframe")},
        "timerange": prepared.merged.get("timerange"),
        "features": max(row["features"] for row in rows),
        "labels": rows[0]["labels"],
        "windows": rows[:LISTED],
        "windows_in_all": len(rows),
        "windows_trained": training.trained,
        "windows_kept": kept,
        "fit_seconds": round(sum(row["fit_seconds"] for row in rows), 3),
        "model_artifact": model,
        "artifacts": [model, *_documents(running, marks, manifest)],
        "config": prepared.verdicts,
        "synthetic_markets": markets.synthetic,
        "manifest": short_manifest(manifest),
    }


def _for_training(merged: dict[str, Any], params: TrainParams) -> dict[str, Any]:
    """The effective config with what a training is: FreqAI on, models kept, one thread unless the call asks for more."""
    freqai = merged.get("freqai", {})
    if not isinstance(freqai, dict):
        raise BadRequest("freqai: must be object")
    own = {"identifier": params.strategy_name, "data_kitchen_thread_count": 1} | freqai | {"enabled": True, "save_backtest_models": True}
    own.pop("model", None)  # of the worker's own config: for its backtests
    return merged | {"freqaimodel": params.model_name, "freqai": own}


def _slide(backtesting: Any) -> None:
    """The steps of freqtrade's `Backtesting.start()` up to the indicators: that is where FreqAI trains; no trade is simulated."""
    try:
        data, _ = backtesting.load_bt_data()
    except OperationalException as exc:
        if "No data found" in str(exc):
            raise no_candles_in_range(backtesting) from exc
        raise
    strategy = backtesting.strategylist[0]
    backtesting._set_strategy(strategy)  # noqa: SLF001 - it makes the model object
    strategy.advise_all_indicators(data)


def _inputs(prepared: Prepared, model_file: Path, markets: Markets, candles: set[Path]) -> str:
    """What models are only kept with over redeliveries of a job: the code that may be loaded, and what it works on."""
    code = {Path(name) for folder in prepared.code_folders for name in files_below(folder) if name.endswith((".py", ".json"))}
    files = {str(file): hash_file(file) for file in sorted({prepared.strategy_file, model_file, *code, *candles})}
    return hash_json({"config": prepared.merged, "files": files, "markets": hash_json(markets.markets), "versions": versions()})


def _check_all_trained(params: TrainParams, windows: list[Window], marks: list[dict[str, Any]]) -> None:
    done = {(row["pair"], row["window"]) for row in marks}
    if not done:
        raise BadRequest(f"strategy_name: {params.strategy_name} trains nothing: its populate_indicators doesn't call self.freqai.start(...)")
    missing = [f"{window.pair}, window {window.number}" for window in windows if (window.pair, window.number) not in done]
    if missing:
        raise JobFailure(f"freqtrade trained no model for {'; '.join(missing)}; its log says why")


def _documents(running: FreqtradeRun, marks: list[dict[str, Any]], manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """What is too long for the result: each window with the importances of its features, and each input."""
    workspace = running.workspace
    windows = _windows_file(workspace)
    windows.write_text(
        json.dumps([{name: value for name, value in mark.items() if name != "pair_info"} for mark in marks], indent=1), encoding="utf-8"
    )
    workspace.manifest_file.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return [running.job.artifact(windows), running.job.artifact(workspace.manifest_file)]


def _windows_file(workspace: Workspace) -> Path:
    return workspace.root / "windows.json"
