"""The Celery app of the fidelity suite: each pair of `table` as `native.<name>` and `bridged.<name>`, and a few ordinary tasks as `common.<name>`.

`celery -A tests.fidelity.app worker|bridge`, and `python -m workers fidelity --import tests.fidelity.handlers`.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import Any

from celery import Celery, Task, current_task

from bridge import StreamTask, connect
from streams.bus.topology import Service, add_service
from tests.fidelity import work
from tests.fidelity.recording import Recorded, record, record_signals
from tests.fidelity.table import PAIRS, Pair
from tests.fidelity.work import run_logged

SERVICE = add_service(Service.named("fidelity", handlers=("tests.fidelity.handlers",)))


@functools.cache
def _base(mixin: type, celerys: type[Task]) -> type[Task]:
    return type(f"{mixin.__name__}{celerys.__name__}", (mixin, celerys), {"abstract": True})


def make_app(name: str, **settings: Any) -> Celery:
    """An app with all of the tasks."""
    app = connect(Celery(name, set_as_current=False))
    app.conf.update(
        broker_url=os.environ.get("CELERY_BROKER_URL") or "redis://127.0.0.1:6379/0",
        result_backend=os.environ.get("CELERY_RESULT_BACKEND") or "redis://127.0.0.1:6379/0",
        broker_connection_retry_on_startup=True,
        broker_pool_limit=None,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        result_extended=True,
        task_send_sent_event=True,
        worker_send_task_events=True,
        # All messages are taken at once: a task that isn't due for seconds is received meanwhile, whoever waits for a pool process.
        worker_prefetch_multiplier=0,
        **settings,
    )
    for pair in PAIRS:
        _add_native(app, pair)
        _add_bridged(app, pair)
    for function in (note, note_new, total, echo):
        app.task(shared=False, name=f"common.{function.__name__}", base=_base(Recorded, Task))(function)
    for each in _classes():
        app.register_task(each())
    return app


def _add_native(app: Celery, pair: Pair) -> None:
    def bound(self: Task, *args: Any, **kwargs: Any) -> Any:
        if pair.prepare is not None:
            pair.prepare(self, *args, **kwargs)
        return run_logged(self.request.id, pair.work, args, kwargs)

    def unbound(*args: Any, **kwargs: Any) -> Any:
        return run_logged(current_task.request.id, pair.work, args, kwargs)

    app.task(shared=False, name=f"native.{pair.name}", base=_base(pair.base, Task), bind=pair.bind, **pair.options)(
        _like(pair, bound if pair.bind else unbound)
    )


def _add_bridged(app: Celery, pair: Pair) -> None:
    def bound(self: Task, *args: Any, **kwargs: Any) -> Any:
        if pair.prepare is not None:
            pair.prepare(self, *args, **kwargs)
        return {"args": args, "kwargs": kwargs}

    def unbound(*args: Any, **kwargs: Any) -> Any:
        return {"args": args, "kwargs": kwargs}

    command = f"fidelity.{pair.work.__name__}"
    body = _like(pair, bound if pair.bind else unbound)
    app.task(
        shared=False,
        name=f"bridged.{pair.name}",
        base=_base(pair.base, StreamTask),
        bind=pair.bind,
        service=SERVICE.name,
        command=command,
        **pair.options,
    )(body)


def _classes() -> tuple[type[Task], type[Task]]:
    """Tasks written as classes; made anew for each app, as Celery binds the class to its app."""

    class NativeClass(Recorded, Task):
        name = "native.classy"

        def run(self, x: int, y: int) -> Any:
            return run_logged(self.request.id, work.add, (x, y), {})

    class BridgedClass(Recorded, StreamTask):
        name = "bridged.classy"
        service = SERVICE.name
        command = "fidelity.add"

        def run(self, x: int, y: int) -> Any:
            return {"args": [x, y], "kwargs": {}}

    return NativeClass, BridgedClass


def _like(pair: Pair, body: Callable[..., Any]) -> Callable[..., Any]:
    """The body with the signature of the work, which Celery checks arguments by."""
    wrapped = functools.wraps(pair.work)(body)
    parameters = list(inspect.signature(pair.work).parameters.values())
    if pair.bind:
        parameters.insert(0, inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD))
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return wrapped


def note(task_id: str) -> str:
    """An errback of the old style: a task of its own."""
    record("noted", task_id, style="old")
    return "noted"


def note_new(request: Any, exc: Any, traceback: Any) -> None:
    """An errback of the new style: called where the task failed."""
    record("noted", request.id, style="new", exc=exc, traceback=bool(traceback))


def total(values: list[Any]) -> Any:
    return sum(values)


def echo(value: Any = None) -> Any:
    return value


record_signals()
app = make_app("fidelity")
