"""What the commands `analysis.lookahead` and `analysis.recursive` carry. The Celery side imports this module too: pydantic only."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from workers.freqtrade.strategy_name import StrategyName


class AnalysisParams(BaseModel):
    """One analysis of a strategy for lookahead or recursive bias, and freqtrade's own config for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy_name: StrategyName
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """As a backtest's, with the keys of the analysis (`config.keys.LOOKAHEAD`, `RECURSIVE`)."""
