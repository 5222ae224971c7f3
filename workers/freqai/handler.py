"""`freqai.train`: the command's data in, the result out. Importing this module imports no freqtrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.freqai.params import TrainParams
from workers.freqtrade.extras import import_engine
from workers.freqtrade.settings import FreqAISettings
from workers.handlers import handler

if TYPE_CHECKING:
    from workers.job import Job


@handler("freqai.train", settings=FreqAISettings)
def train_freqai_model(job: Job, params: TrainParams) -> dict[str, Any]:
    """Train a FreqAI model on each window of the config's timerange.

    Raises:
        MissingDependency: freqtrade, or what FreqAI needs, isn't installed on this worker.
    """
    settings = FreqAISettings.load()
    engine = import_engine("workers.freqai.engine", command="freqai.train", extra="freqai")
    result: dict[str, Any] = engine.run(job, params, settings)
    return result
