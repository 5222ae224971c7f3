"""What a `backtest.run` command carries. The Celery side imports this module too: pydantic and the standard library only."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from workers.claim_check import Artifact
from workers.freqtrade.strategy_name import StrategyName


class BacktestParams(BaseModel):
    """One backtest: a strategy of the worker's strategies folder, and freqtrade's own config for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy_name: StrategyName
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """freqtrade's config, judged key by key by the worker (`config_policy`)."""
    params: Artifact | None = None
    """`best_params.json` of a hyperopt of this strategy, in place of a `<Strategy>.json` beside it."""
    reuse: bool = False
    """The stored result of the same backtest will do, when everything that it read is what it was (`repeating`)."""
