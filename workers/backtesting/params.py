"""What a `backtest.run` command carries. The Celery side imports this module too: pydantic and the standard library only."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class BacktestParams(BaseModel):
    """One backtest: a strategy of the worker's strategies folder, and freqtrade's own config for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy_name: str = Field(pattern=r"\A[A-Za-z_]\w*\z", max_length=128)
    """A class name. freqtrade itself takes `Name:<base64 code>` and paths here; this pattern is what keeps both out."""
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """freqtrade's config, judged key by key by the worker (`config_policy`)."""
