"""From a call to freqtrade's own objects: the config judged and merged, the strategy found, the exchange made of files."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.commands.optimize_commands import setup_optimize_configuration
from freqtrade.configuration import TimeRange
from freqtrade.enums import RunMode
from freqtrade.exceptions import ConfigurationError, OperationalException
from freqtrade.optimize.backtesting import Backtesting
from freqtrade.resolvers import ExchangeResolver

from workers.errors import BadRequest, DataMissing
from workers.freqtrade.candles import available_pairs
from workers.freqtrade.config.keys import CONFIG, Section
from workers.freqtrade.config.layers import effective, judge_call, load_base
from workers.freqtrade.config.policy import JudgedConfig
from workers.freqtrade.exchange import offline_exchange
from workers.freqtrade.manifest import build_manifest
from workers.freqtrade.markets import Markets, load_snapshot
from workers.freqtrade.running import FreqtradeRun
from workers.freqtrade.settings import FreqtradeSettings
from workers.freqtrade.strategies import find_strategy, import_strategy


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that passed the policy, and what freqtrade makes of it."""

    strategy_name: str
    judged: JudgedConfig
    merged: dict[str, Any]
    """The effective config: the call's over the worker's."""
    strategy_file: Path
    code_folders: list[Path]
    """Where strategies, their helper modules and FreqAI models come from."""
    config: dict[str, Any]
    """freqtrade's own, which holds objects."""

    @property
    def verdicts(self) -> dict[str, Any]:
        """What became of each key of the call's config: part of each result."""
        return {"used": list(self.judged.used), "ignored": self.judged.ignored}

    def manifest(self, strategy: Any, candles: Iterable[Path], markets: Markets, *, others: Iterable[Any] = ()) -> dict[str, Any]:
        """Hash every input of the run, once it is done: what it read is known only then. `others` are more objects of classes that freqtrade loaded."""
        return build_manifest(
            strategy=strategy,
            others=others,
            code_folders=self.code_folders,
            config=self.merged,
            candles=candles,
            datadir=self.config["datadir"],
            markets=markets,
        )


def refuse_trained_model(merged: dict[str, Any]) -> dict[str, Any]:
    """The effective config as it is; freqtrade would train a model of its own, without a word, where one is named that it doesn't know of.

    Raises:
        BadRequest: the config names a trained model.
    """
    freqai = merged.get("freqai")
    if isinstance(freqai, dict) and "model" in freqai:
        raise BadRequest("freqai.model: only backtest.run uses a trained model")
    return merged


def for_freqtrade(merged: dict[str, Any]) -> dict[str, Any]:
    """The effective config without the one key that is ours."""
    freqai = merged.get("freqai")
    return merged if freqai is None else {**merged, "freqai": {key: value for key, value in freqai.items() if key != "model"}}


def prepare(
    run: FreqtradeRun,
    strategy_name: str,
    call: Mapping[str, Any],
    *,
    section: Section = CONFIG,
    runmode: RunMode = RunMode.BACKTEST,
    arguments: Mapping[str, Any] | None = None,
    amend: Callable[[dict[str, Any]], dict[str, Any]] = refuse_trained_model,
) -> Prepared:
    """Judge a call's config, lay it over the worker's, find the strategy and build freqtrade's config from a file of the job, as its own commands do.

    Args:
        run: of the job.
        strategy_name: class name of the strategy.
        call: the call's config.
        section: the table of keys that this kind of job takes.
        runmode: freqtrade's.
        arguments: more of freqtrade's command-line arguments, under their names in `args`.
        amend: what the kind of job adds to both layers, before freqtrade's schema judges the whole.

    Raises:
        BadRequest: the config or the strategy's name is wrong.
        DataMissing: a folder or the base config isn't there.
    """
    settings, workspace = run.settings, run.workspace
    judged, base = judge_call(call, section), load_base(settings.config, section)
    merged = effective(base, judged.clean, amend)
    folders = [*([Path(merged["strategy_path"])] if "strategy_path" in merged else []), settings.strategies_folder]
    strategy_file = find_strategy(strategy_name, folders, recursive=merged.get("recursive_strategy_search", False))
    try:
        TimeRange.parse_timerange(merged.get("timerange"))
    except (ConfigurationError, ValueError) as exc:
        raise BadRequest(f"timerange: {exc}") from None
    datadir = settings.candles_folder(merged["exchange"]["name"])
    if not datadir.is_dir():
        raise DataMissing(f"FREQTRADE_DATADIR: no such folder: {datadir}")
    places = {
        "config": [str(workspace.write_config(for_freqtrade(merged)))],
        "user_data_dir": str(workspace.user_data),
        "datadir": str(datadir),
        "strategy": strategy_name,
    }
    config: dict[str, Any] = setup_optimize_configuration(places | dict(arguments or {}), runmode)
    run.attach_log()
    return Prepared(strategy_name, judged, merged, strategy_file, [*folders, settings.freqaimodels_folder], config)


def offline_markets(config: dict[str, Any], settings: FreqtradeSettings) -> tuple[Any, Markets]:
    """freqtrade's exchange for a config, and the markets that it got: the saved snapshot's, else made-up ones."""
    trading_mode = str(config["trading_mode"].value)
    snapshot = load_snapshot(settings.markets_folder, config["exchange"]["name"], trading_mode)
    return offline_exchange(config, snapshot, available_pairs(config) if snapshot is None else ())


@contextmanager
def offline_exchanges(settings: FreqtradeSettings) -> Iterator[list[Markets]]:
    """While inside, freqtrade's resolver gives exchanges made of files, for what makes its `Backtesting` itself; yields the markets that they got."""
    given: list[Markets] = []
    resolve = ExchangeResolver.load_exchange

    def load_exchange(config: dict[str, Any], **_: Any) -> Any:
        exchange, markets = offline_markets(config, settings)
        given.append(markets)
        return exchange

    ExchangeResolver.load_exchange = staticmethod(load_exchange)
    try:
        yield given
    finally:
        ExchangeResolver.load_exchange = staticmethod(resolve)


def load_backtesting(prepared: Prepared, settings: FreqtradeSettings, *, on_progress: Callable[[Any], None] | None = None) -> tuple[Any, Markets]:
    """freqtrade's `Backtesting`, with its strategy loaded.

    Raises:
        BadRequest: the strategy doesn't fit the config.
        Exception: the strategy's own, when its file can't be loaded.
    """
    exchange, markets = offline_markets(prepared.config, settings)
    with strategy_loading(prepared):
        return Backtesting(prepared.config, exchange=exchange, progress_callback=on_progress), markets


@contextmanager
def strategy_loading(prepared: Prepared) -> Iterator[None]:
    """While inside, freqtrade loads the strategy: what it says about that as what it means.

    Raises:
        BadRequest: the strategy doesn't fit the config.
        Exception: the strategy's own, when its file can't be loaded.
    """
    try:
        yield
    except OperationalException as exc:
        if "Impossible to load Strategy" in str(exc):
            import_strategy(prepared.strategy_file)
        if "No pair in whitelist" in str(exc):
            raise _no_pair(prepared.config) from exc
        raise
    except ImportError as exc:
        # freqtrade's way to say that a strategy doesn't fit the config: it wants to go short on a spot market, say.
        if traceback.extract_tb(exc.__traceback__)[-1].filename.endswith("strategy_resolver.py"):
            raise BadRequest(f"strategy_name: {exc}") from exc
        raise


def _no_pair(config: Mapping[str, Any]) -> BadRequest:
    """freqtrade says only that no pair is left."""
    mode, example = config["trading_mode"].value, "BTC/USDT:USDT" if config["trading_mode"].value == "futures" else "BTC/USDT"
    asked = ", ".join(config["exchange"]["pair_whitelist"][:5])
    name = config["exchange"]["name"]
    return BadRequest(f"exchange.pair_whitelist: none of {asked} is left: in trading_mode {mode} of {name} pairs are written as {example}")
