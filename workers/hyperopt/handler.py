"""`hyperopt.run`: the command's data in, the result out. Importing this module imports no freqtrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.freqtrade.extras import import_engine
from workers.freqtrade.settings import FreqtradeSettings
from workers.handlers import handler
from workers.hyperopt.params import HyperoptParams

if TYPE_CHECKING:
    from workers.job import Job


@handler("hyperopt.run", settings=FreqtradeSettings)
def run_hyperopt(job: Job, params: HyperoptParams) -> dict[str, Any]:
    """Run freqtrade's hyperopt for one strategy.

    Raises:
        MissingDependency: freqtrade or optuna isn't installed on this worker.
    """
    settings = FreqtradeSettings.load()
    engine = import_engine("workers.hyperopt.engine", command="hyperopt.run", extra="hyperopt")
    result: dict[str, Any] = engine.run(job, params, settings)
    return result
