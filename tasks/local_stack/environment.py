"""Who may know what: the environment of each process of the stack, from one that may hold everything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streams.embedded import Server
from tasks.local_stack.programs import Side

CELERYS_OWN = ("CELERY_", "FLOWER_", "C_FORCE_ROOT")
FREQTRADES_OWN = ("FREQTRADE__",)
"""freqtrade reads any key of its config from such variables, exchange secrets among them."""


def client_environment(server: Server) -> dict[str, str]:
    """What a caller needs: the same server in both spellings."""
    return {"REDIS_URL": server.url, "CELERY_BROKER_URL": server.celery_url(), "CELERY_RESULT_BACKEND": server.celery_url()}


def process_environment(side: Side, base: Mapping[str, str], server: Server, directory: Path, drain_seconds: float) -> dict[str, str]:
    """The part of `base` that a process of that side may see, and where things are; what `base` already says is kept."""
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    if side is Side.CELERY:
        kept = {name: value for name, value in base.items() if not name.startswith(FREQTRADES_OWN)}
        return kept | unbuffered | client_environment(server)
    kept = {name: value for name, value in base.items() if not name.startswith(CELERYS_OWN)}
    places = {
        "JOBS_DIR": str(directory / "jobs"),
        "ARTIFACTS_URL": str(directory / "artifacts"),
        "WORKER_DRAIN_SECONDS": f"{drain_seconds:g}",
    }
    return places | kept | unbuffered | {"REDIS_URL": server.url}
