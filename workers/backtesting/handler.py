"""`backtest.run`: the command's data in, the result out. Importing this module imports no freqtrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.backtesting.params import BacktestParams
from workers.backtesting.settings import BacktestingSettings
from workers.errors import MissingDependency
from workers.handlers import handler

if TYPE_CHECKING:
    from workers.job import Job

EXTRA = "celery-streams-bridge[backtesting]"


@handler("backtest.run", settings=BacktestingSettings)
def run_backtest(job: Job, params: BacktestParams) -> dict[str, Any]:
    """Run freqtrade's backtesting for one strategy.

    Raises:
        MissingDependency: freqtrade isn't installed on this worker.
    """
    settings = BacktestingSettings.load()
    try:
        from workers.backtesting import engine
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] in {"workers", "streams"}:
            raise
        raise MissingDependency(f"backtest.run needs the package '{exc.name}': pip install '{EXTRA}'") from exc
    return engine.run(job, params, settings)
