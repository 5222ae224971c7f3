"""A real freqtrade hyperopt in this process. Importing this module imports freqtrade, which takes seconds: a warm child server does it once.

freqtrade keeps global state, so a process runs one hyperopt and ends.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.constants import HYPEROPT_BUILTIN_SPACE_OPTIONS, HYPEROPT_EPOCH
from freqtrade.enums import RunMode
from freqtrade.optimize.hyperopt_tools import HyperoptTools

from workers.errors import BadRequest
from workers.freqtrade.candles import candle_files_read, check_candles
from workers.freqtrade.config.keys import HYPEROPT
from workers.freqtrade.manifest import short_manifest
from workers.freqtrade.preparing import offline_exchanges, prepare, strategy_loading
from workers.freqtrade.running import FreqtradeRun, freqtrade_run
from workers.freqtrade.workspace import Workspace
from workers.hyperopt.earlier_run import EarlierRun
from workers.hyperopt.epochs import best_epoch, best_rows
from workers.hyperopt.losses import check_loss
from workers.hyperopt.optimiser import Optimiser, no_process_left
from workers.reports import Kind, publish

if TYPE_CHECKING:
    from workers.freqtrade.settings import FreqtradeSettings
    from workers.hyperopt.params import HyperoptParams
    from workers.job import Job

DEFAULTS = {"epochs": HYPEROPT_EPOCH, "hyperopt_min_trades": 1, "hyperopt_jobs": 1, "spaces": ["default"]}
"""freqtrade's own, of its command line; but its schema's default takes all cores."""
LARGEST_SEED = 2**16 - 1
"""As freqtrade draws one."""
NO_GOOD_RESULT = "no epoch had a loss that freqtrade takes for a good one (below 100, with at least hyperopt_min_trades trades)"


def run(job: Job, params: HyperoptParams, settings: FreqtradeSettings) -> dict[str, Any]:
    """Run one hyperopt and return its result; the files it made are artifacts, also those of a run that is stopped or fails.

    Raises:
        BadRequest: the config, the strategy's name, the loss function or a space is wrong.
        DataMissing: a candle file, the strategies folder or the base config isn't there.
        JobCancelled: the job was asked to stop.
    """
    job.progress(0, None, "load")
    workspace, rows = Workspace(job.directory), list[dict[str, Any]]()
    earlier = EarlierRun(workspace.root, _results(workspace))
    shutil.rmtree(_results(workspace), ignore_errors=True)
    for file in (_params_file(workspace), _epochs_file(workspace), workspace.manifest_file):
        file.unlink(missing_ok=True)
    try:
        with freqtrade_run(job, settings) as running:
            result = _optimise(running, params, rows, earlier)
    except BaseException as exc:  # a cancelled job is no Exception
        _keep_partial(job, workspace, rows, exc)
        raise
    result |= {"artifacts": _store(job, workspace)} | running.costs()
    result["artifacts"] += publish(job, kind=Kind.HYPEROPT, result=result, details=lambda: {"epochs": rows, "config": _config(workspace)})
    return result


def _config(workspace: Workspace) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(workspace.config_file.read_text(encoding="utf-8"))
    return config


def _optimise(running: FreqtradeRun, params: HyperoptParams, rows: list[dict[str, Any]], earlier: EarlierRun) -> dict[str, Any]:
    prepared = prepare(
        running,
        params.strategy_name,
        params.config,
        section=HYPEROPT,
        runmode=RunMode.HYPEROPT,
        arguments={"disableparamexport": True},
    )
    config = prepared.config
    config |= {key: default for key, default in DEFAULTS.items() if key not in prepared.merged}
    config.setdefault("hyperopt_random_state", earlier.random_state or random.randint(1, LARGEST_SEED))  # noqa: S311 - no secret
    folders = [*([Path(config["hyperopt_path"])] if "hyperopt_path" in config else []), running.settings.hyperopts_folder]
    check_loss(config.get("hyperopt_loss"), folders)

    with (
        candle_files_read() as read,
        offline_exchanges(running.settings) as markets,
        no_process_left(running.workspace.root, jobs=config["hyperopt_jobs"]),
    ):
        with strategy_loading(prepared):
            hyperopt = Optimiser(config, running.job, rows, earlier)
        _check_spaces(hyperopt)
        check_candles(hyperopt.hyperopter.backtesting)
        prepared.code_folders.extend(folders)

        def manifest() -> dict[str, Any]:
            strategy, loss = hyperopt.hyperopter.backtesting.strategy, hyperopt.hyperopter.custom_hyperoptloss
            made_of = prepared.manifest(strategy, read, markets[0], others=[loss])
            return made_of | {"versions": made_of["versions"] | {"optuna": version("optuna")}, "hyperopt_random_state": hyperopt.random_state}

        try:
            hyperopt.start(manifest)
        finally:
            hyperopt.data_pickle_file.unlink(missing_ok=True)  # all candles, once more
            _write_epochs(hyperopt, params.strategy_name, running.workspace)

    made_of = manifest()  # once more: strategies may read more files while they run
    running.workspace.manifest_file.write_text(json.dumps(made_of, indent=1), encoding="utf-8")
    return _result(hyperopt) | {
        "config": prepared.verdicts,
        "synthetic_markets": markets[0].synthetic,
        "manifest": short_manifest(made_of),
    }


def _check_spaces(hyperopt: Optimiser) -> None:
    """Refuse a space that neither freqtrade nor the strategy has; freqtrade would leave it out in silence."""
    asked, known = hyperopt.config["spaces"], [*HYPEROPT_BUILTIN_SPACE_OPTIONS, *hyperopt.hyperopter.custom_hyperopt.get_available_spaces()]
    unknown = [space for space in asked if space not in known]
    if unknown:
        raise BadRequest(f"spaces: no space {', '.join(unknown)}; those that exist: {', '.join(dict.fromkeys(known))}")


def _write_epochs(hyperopt: Optimiser, strategy_name: str, workspace: Workspace) -> None:
    """The rows of all epochs, and the best one's parameters in freqtrade's own layout of `<Strategy>.json`."""
    _epochs_file(workspace).write_text(json.dumps(hyperopt.rows, indent=1), encoding="utf-8")
    if hyperopt.current_best_epoch is not None:
        HyperoptTools.export_params(hyperopt.current_best_epoch, strategy_name, _params_file(workspace))


def _result(hyperopt: Optimiser) -> dict[str, Any]:
    config, rows, best = hyperopt.config, hyperopt.rows, best_epoch(hyperopt.current_best_epoch)
    return {
        "strategy": config["strategy"],
        "hyperopt_loss": config["hyperopt_loss"],
        "hyperopt_random_state": hyperopt.random_state,
        "hyperopt_min_trades": config["hyperopt_min_trades"],
        "hyperopt_jobs": config["hyperopt_jobs"],
        "spaces": list(hyperopt.hyperopter.spaces),
        "timeframe": config["timeframe"],
        "timerange": config.get("timerange"),
        "epochs": len(rows),
        "epochs_planned": config["epochs"],
        "epochs_of_earlier_run": hyperopt.earlier.used,
        "epochs_skipped": hyperopt.count_skipped_epochs,
        "best": best,
        "no_good_result": None if best else NO_GOOD_RESULT,
        "best_epochs": best_rows(rows),
    }


def _store(job: Job, workspace: Workspace) -> list[dict[str, Any]]:
    """The parameters first: they are what a backtest takes. freqtrade's own file of results keeps its layout, for `freqtrade hyperopt-list`."""
    found = [_params_file(workspace), _epochs_file(workspace), *sorted(_results(workspace).glob("*")), workspace.manifest_file]
    return [
        *(job.artifact(path, name=_name(path, workspace)) for path in found if path.is_file()),
        job.artifact(workspace.log_file, media_type="text/plain"),
    ]


def _keep_partial(job: Job, workspace: Workspace, rows: list[dict[str, Any]], error: BaseException) -> None:
    """Store what a run has found that is stopped or fails, and say where."""
    if not rows:
        return
    with contextlib.suppress(Exception):  # a full disk must not hide why the job ended
        where = next(item["uri"] for item in _store(job, workspace) if item["name"] == _epochs_file(workspace).name)
        kept = f"hyperopt: {len(rows)} epochs are kept: {where}, with what else was found beside it"
        job.log(kept)
        error.add_note(kept)


def _results(workspace: Workspace) -> Path:
    return workspace.user_data / "hyperopt_results"


def _epochs_file(workspace: Workspace) -> Path:
    return workspace.root / "epochs.json"


def _params_file(workspace: Workspace) -> Path:
    return workspace.root / "best_params.json"


def _name(path: Path, workspace: Workspace) -> str:
    return f"{path.parent.name}/{path.name}" if path.parent == _results(workspace) else path.name
