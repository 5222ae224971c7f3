"""A Celery app for tests: bridged tasks of the service `lab`, whose handlers are those of `tests.handlers`.

`celery -A tests.bridged_app worker|bridge`, and `python -m workers lab --import tests.handlers`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from bridge import DeadLettered, StreamTask, add_maintenance_tasks, connect, maintenance_schedule
from bridge.connection import Connection
from streams.bus.topology import Service, add_service
from tests import stopping

add_service(Service.named("lab"))

app = connect(Celery("lab"))
app.conf.update(
    broker_url=os.environ.get("CELERY_BROKER_URL") or "redis://127.0.0.1:6379/0",
    result_backend=os.environ.get("CELERY_RESULT_BACKEND") or "redis://127.0.0.1:6379/0",
    broker_connection_retry_on_startup=True,
    # What a killed worker held is looked for every second, not every 100 s; and by others 2 s after one was killed in the middle of looking, not 300 s.
    broker_transport_options={"visibility_timeout": 3, "unacked_restore_interval": 1, "unacked_restore_throttle": 1, "unacked_mutex_expire": 2},
    # Of a worker that died over a chord's body, Celery lets the claim stand for five times that.
    broker_connection_timeout=1,
    worker_prefetch_multiplier=4,
    # Where results are in a database, this sends the bodies of chords.
    task_annotations={"celery.chord_unlock": {"acks_late": True, "reject_on_worker_lost": True}},
    result_extended=True,
    task_send_sent_event=True,
    worker_send_task_events=True,
    beat_schedule=maintenance_schedule(),
)
add_maintenance_tasks(app)


def _payload(**data: Any) -> dict[str, Any]:
    return data


def _bridged(command: str, **options: Any) -> StreamTask:
    name = command.removeprefix("test.")
    task: StreamTask = app.task(base=StreamTask, name=f"lab.{name}", service="lab", command=command, **options)(_payload)
    return task


echo = _bridged("test.echo")
sleep = _bridged("test.sleep")
fail = _bridged("test.fail")
crash = _bridged("test.crash")
flaky = _bridged("test.flaky")
large = _bridged("test.large")
log = _bridged("test.log")
noise = _bridged("test.noise")
nap = _bridged("test.nap")
async_nap = _bridged("test.async_nap")
thread_nap = _bridged("test.thread_nap")
inline_nap = _bridged("test.inline_nap")
unknown = _bridged("test.nobody_handles_this")


@app.task(
    base=StreamTask,
    name="lab.retried",
    service="lab",
    command="test.flaky",
    autoretry_for=(DeadLettered,),
    max_retries=2,
    retry_backoff=1,
    retry_jitter=False,
)
def retried(**data: Any) -> dict[str, Any]:
    """Retried by Celery after its command became a dead letter."""
    return data


poison = _bridged("test.poison")
filling = _bridged("test.fill")
hung_up = _bridged("test.hung_up")
until = _bridged("test.until")
once = _bridged("test.once", at_most_once=True, autoretry_for=(Exception,), max_retries=2, retry_kwargs={"countdown": 0})
parked = app.task(base=StreamTask, name="lab.parked", service="lab", command="test.until", on_dead_letter="park")(_payload)
until_retried, parked_retried = (
    app.task(
        base=StreamTask,
        name=name,
        service="lab",
        command="test.until",
        on_dead_letter=end,
        autoretry_for=(DeadLettered,),
        max_retries=1,
        retry_kwargs={"countdown": 1},
    )(_payload)
    for name, end in (("lab.until_retried", "fail"), ("lab.parked_retried", "park"))
)


class Held(StreamTask):
    """Stays where it is told (`at`) until the file `until` is there; each step that a bridge comes to is a line of the file `<until>.steps`."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        _hold("before_start", task_id, **kwargs)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        _hold("on_success", task_id, **kwargs)


@app.task(base=Held, name="lab.held", service="lab", command="test.echo", bind=True)
def held(self: Any, at: str, until: str) -> dict[str, Any]:
    """In the Celery worker, `at` is `dispatch`."""
    _hold("dispatch", self.request.id, at, until)
    return {"value": at}


def _hold(step: str, task_id: str, at: str, until: str) -> None:
    with Path(f"{until}.steps").open("ab", buffering=0) as steps:
        steps.write(f"{task_id} {step}\n".encode())
    while step == at and not Path(until).exists():
        time.sleep(0.05)


@app.task(name="lab.total")
def total(values: list[dict[str, Any]]) -> int:
    """An ordinary task: the sum of the echoed values."""
    return sum(int(value["value"]) for value in values)


@app.task(name="lab.gather")
def gather(values: list[Any]) -> list[Any]:
    """An ordinary task: what a chord's body gets."""
    return values


@app.task(name="lab.promote_due")
def promote_due() -> int:
    """Beat's part."""
    from bridge.maintenance import promote_due as promote

    return promote(Connection.of(app))


stopping.install()
