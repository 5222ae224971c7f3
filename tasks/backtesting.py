"""Backtests as Celery tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge import StreamTask
from tasks.celery import app
from workers.backtesting.config_sending import fit_to_send
from workers.backtesting.params import BacktestParams


class ConfigTask(StreamTask):
    """A task whose second argument is a freqtrade config: secrets in it are refused by the caller's own process, before anything is sent."""

    abstract = True

    def apply_async(self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """As Celery's.

        Raises:
            BadRequest: the config holds keys that must not be sent.
        """
        positional, named = list(args or ()), dict(kwargs or {})
        positional[1:2] = [_fit(config) for config in positional[1:2]]
        if "config" in named:
            named["config"] = _fit(named["config"])
        return super().apply_async(positional, named, **options)


def _fit(config: object) -> object:
    """Anything but a mapping is told by `BacktestParams`."""
    return fit_to_send(config) if isinstance(config, Mapping) else config


@app.task(base=ConfigTask, bind=True, service="backtesting", command="backtest.run")
def run_backtest_task(self: ConfigTask, strategy_name: str, config: dict[str, Any]) -> BacktestParams:  # noqa: ARG001 - bound, as Celery people write it
    """Backtest a strategy of the worker's strategies folder with freqtrade; `.get()` gives the statistics and the artifacts.

    Args:
        self: the task.
        strategy_name: class name of the strategy.
        config: freqtrade config for this backtest, such as `{"timerange": "20250101-20250301", "timeframe": "5m", "exchange": {...}}`.
    """
    # Again here: another producer may have sent it.
    return BacktestParams.model_validate({"strategy_name": strategy_name, "config": _fit(config)})
