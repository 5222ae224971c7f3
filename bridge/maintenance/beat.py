"""The works of upkeep as Celery tasks, `streams.maintenance.<work>`, for those who want them in beat's hands: `BRIDGE_UPKEEP=beat`.

add_maintenance_tasks(app)                                        # in a module that the Celery workers import
beat_schedule = {**maintenance_schedule(), ...}                   # in the app's configuration
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from celery import Celery

from bridge.connection import Connection
from bridge.maintenance.registry import WORKS, Work, due_works
from bridge.maintenance.turns import do_in_turn
from bridge.upkeep_settings import Upkeeper, UpkeepSettings

STEM: Final = "streams.maintenance"


def add_maintenance_tasks(app: Celery) -> None:
    """Register a task for each work with a connected app. Sent too often, or by two beats, it is done once in its interval."""
    for work in WORKS:
        app.task(name=f"{STEM}.{work.name}", shared=False, ignore_result=True, acks_late=True)(_body(app, work))


def maintenance_schedule(settings: UpkeepSettings | None = None) -> dict[str, dict[str, Any]]:
    """The entries for `beat_schedule`; none when the bridges do the upkeep.

    Args:
        settings: by default read from the environment.
    """
    settings = settings or UpkeepSettings.load()
    if settings.upkeep is not Upkeeper.BEAT:
        return {}
    # A message that waited for long has a successor; but two machines' clocks may differ, and a queue may be busy for a moment.
    return {
        f"{STEM}.{name}": {"task": f"{STEM}.{name}", "schedule": seconds, "options": {"expires": max(30.0, seconds), "ignore_result": True}}
        for name, seconds in due_works(settings).items()
    }


def _body(app: Celery, work: Work) -> Callable[[], dict[str, Any]]:
    def do() -> dict[str, Any]:
        turn = do_in_turn(Connection.of(app), work, by="beat")
        return {"done": turn.done, "outcome": turn.outcome}

    do.__name__ = work.name
    do.__doc__ = work.do.__doc__
    return do
