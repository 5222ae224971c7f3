"""Upkeep in beat's hands: the same works as Celery tasks."""

from __future__ import annotations

from collections.abc import Callable

from bridge import add_maintenance_tasks, maintenance_schedule
from bridge.connection import Connection
from bridge.maintenance.registry import WORKS
from bridge.upkeep_settings import UpkeepSettings

Connected = Callable[..., Connection]


def settings(**given: object) -> UpkeepSettings:
    return UpkeepSettings.load(**given)


def test_beat_sends_each_work_in_its_interval() -> None:
    schedule = maintenance_schedule(settings(upkeep="beat", trim_seconds=120.0, tombstones_seconds=0.0))
    assert {f"streams.maintenance.{work.name}" for work in WORKS if work.name != "tombstones"} == set(schedule)
    assert 120.0 == schedule["streams.maintenance.trim"]["schedule"]


def test_beat_sends_nothing_while_the_bridges_do_it() -> None:
    assert {} == maintenance_schedule(settings(upkeep="bridge"))


def test_a_task_sent_twice_is_done_once_in_its_interval(connected: Connected) -> None:
    app = connected().app
    add_maintenance_tasks(app)
    task = app.tasks["streams.maintenance.trim"]
    assert [True, False] == [task.run()["done"] for _ in range(2)]


def test_every_work_is_a_task_that_says_what_it_does(connected: Connected) -> None:
    app = connected().app
    add_maintenance_tasks(app)
    for work in WORKS:
        task = app.tasks[f"streams.maintenance.{work.name}"]
        assert task.__doc__ == work.do.__doc__
        assert task.run()["done"]
