"""What a `hyperopt.run` command carries. The Celery side imports this module too: pydantic and the standard library only."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from workers.freqtrade.strategy_name import StrategyName


class HyperoptParams(BaseModel):
    """One hyperopt: a strategy of the worker's strategies folder, and freqtrade's own config for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy_name: StrategyName
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """freqtrade's config with `hyperopt_loss`, `epochs`, `spaces` ..., judged key by key by the worker (`config.keys.HYPEROPT`)."""
