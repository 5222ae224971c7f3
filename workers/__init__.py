"""The library for workers: what a module of handlers needs. `python -m workers <service>` runs it.

from workers import Job, SoftTimeLimit, handler

@handler("render.run")
def render(job: Job, params: Render) -> dict:
    ...
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.errors import BadRequest, JobCancelled, Retryable, SoftTimeLimit
    from workers.handlers import handler
    from workers.job import Job

__all__ = ["BadRequest", "Job", "JobCancelled", "Retryable", "SoftTimeLimit", "handler"]

_HOMES = {"handler": "workers.handlers", "Job": "workers.job"}


def __getattr__(name: str) -> object:
    # On first use: Celery's side imports the params of `workers.backtesting`, and has nothing installed that a worker needs.
    if name in __all__:
        value = getattr(importlib.import_module(_HOMES.get(name, "workers.errors")), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
