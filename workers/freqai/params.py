"""What a `freqai.train` command carries. The Celery side imports this module too: pydantic and the standard library only."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class TrainParams(BaseModel):
    """One training: a strategy, which makes the features and the targets, a FreqAI model class, and freqtrade's own config."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    strategy_name: str = Field(pattern=r"\A[A-Za-z_]\w*\z", max_length=128)
    """A class name of the worker's strategies folder; never a path, and never code."""
    model_name: str = Field(pattern=r"\A[A-Za-z_]\w*\z", max_length=128)
    """A class name: one of freqtrade's prediction models, or of the worker's freqaimodels folder."""
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """freqtrade's config, judged key by key by the worker; what a backtest takes, a training takes."""
