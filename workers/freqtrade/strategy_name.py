"""A strategy's name in a command. The Celery side imports this module too: pydantic and the standard library only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

StrategyName = Annotated[str, Field(pattern=r"\A[A-Za-z_]\w*\z", max_length=128)]
"""A class name. freqtrade itself takes `Name:<base64 code>` and paths here; this pattern is what keeps both out."""
