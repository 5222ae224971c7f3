"""`celery inspect` answers for the stream workers too, which have no Celery, and for the jobs that wait.

Imported by the bridge's node only. A command that is addressed to all, or to a stream worker by its node name, is answered by a bridge in the worker's name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from celery.utils.functional import maybe_list
from celery.worker.control import Panel, inspect_command
from kombu.matcher import match
from kombu.pidbox import Node
from kombu.utils.json import loads

from bridge import celery_internals
from bridge.connection import Connection
from bridge.job_info import Stage
from bridge.open_jobs import OpenJob, open_jobs
from bridge.stream_workers import SOFTWARE, StreamWorker, own_version, stream_workers

logger = logging.getLogger(__name__)

ANSWERED_SECONDS = 60
"""How long it is known that a question was answered."""

_celerys = {name: Panel.data[name] for name in ("reserved", "scheduled", "query_task")}


# ------------------------------------------------------------------------------------------------------- inspect: what waits, the bridge answers


@inspect_command(name="reserved", alias="dump_reserved")
def reserved(state: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """List of currently reserved tasks, and of the jobs that wait on their streams."""
    return [*_celerys["reserved"](state, **kwargs), *(info(state.app, job) for job in _at(state, Stage.WAITING))]


@inspect_command(name="scheduled", alias="dump_schedule")
def scheduled(state: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """List of currently scheduled ETA/countdown tasks, and of the jobs that wait for their next delivery."""
    delayed = [{"eta": None, "priority": 0, "request": info(state.app, job)} for job in _at(state, Stage.DELAYED)]
    return [*_celerys["scheduled"](state, **kwargs), *delayed]


@inspect_command(name="query_task", variadic="ids", signature="[id1 [id2 [... [idN]]]]")
def query_task(state: Any, ids: Any, **kwargs: Any) -> dict[str, Any]:
    """Query for task information by id; the running ones are told by their workers."""
    named = {Stage.WAITING: "reserved", Stage.DELAYED: "scheduled"}
    jobs = open_jobs(Connection.of(state.app), map(str, maybe_list(ids) or [])) if state.speaks_for_the_streams else []
    waiting = {job.task_id: (named[job.stage], info(state.app, job)) for job in jobs if job.stage in named}
    return {**_celerys["query_task"](state, ids, **kwargs), **waiting}


def info(app: Any, job: OpenJob) -> dict[str, Any]:
    """A job as `inspect` shows a task."""
    request = celery_internals.rebuild_request(app, loads(job.context), hostname=job.worker or job.service)
    request.time_start = job.started_at
    told: dict[str, Any] = request.info()
    return told


def _at(state: Any, stage: Stage) -> list[OpenJob]:
    """Of several bridges, one tells."""
    return [job for job in open_jobs(Connection.of(state.app)) if job.stage is stage] if state.speaks_for_the_streams else []


# ------------------------------------------------------------------------------------------------- inspect: in the names of the stream workers


def _active(app: Any, worker: StreamWorker, **_: Any) -> Any:
    return [info(app, job) for job in open_jobs(Connection.of(app)) if job.worker == worker.name and job.stage is Stage.RUNNING]


def _query(app: Any, worker: StreamWorker, ids: Any = (), **_: Any) -> Any:
    jobs = open_jobs(Connection.of(app), map(str, maybe_list(ids) or []))
    return {job.task_id: ("active", info(app, job)) for job in jobs if job.worker == worker.name and job.stage is Stage.RUNNING}


def _stats(app: Any, worker: StreamWorker, **_: Any) -> Any:
    status = worker.status
    return {
        "total": {"jobs": status.processed},
        "pid": status.pid,
        "clock": str(app.clock.value),
        "uptime": None,
        "prefetch_count": 0,
        "pool": {"implementation": f"{SOFTWARE}: stream worker", "max-concurrency": status.concurrency, "running": status.active},
        "broker": {"transport": "redis streams", "virtual_host": Connection.of(app).service(worker.service).commands},
        "rusage": {},
        "versions": status.versions,
    }


def _registered(app: Any, worker: StreamWorker, **_: Any) -> Any:
    types = set(worker.status.task_types or ())
    return sorted(
        name for name, task in app.tasks.items() if getattr(task, "service", None) == worker.service and getattr(task, "command", None) in types
    )


def _queues(app: Any, worker: StreamWorker, **_: Any) -> Any:
    streams = Connection.of(app).service(worker.service).command_streams
    return [
        {"name": each, "routing_key": each, "exchange": {"name": "", "type": "stream"}, "durable": True, "auto_delete": False} for each in streams
    ]


_ANSWERS: Final[dict[str, Callable[..., Any]]] = {
    "ping": lambda _app, _worker, **_: {"ok": "pong"},
    "active": _active,
    "dump_active": _active,
    "reserved": lambda _app, _worker, **_: [],
    "dump_reserved": lambda _app, _worker, **_: [],
    "scheduled": lambda _app, _worker, **_: [],
    "dump_schedule": lambda _app, _worker, **_: [],
    "revoked": lambda _app, _worker, **_: [],
    "dump_revoked": lambda _app, _worker, **_: [],
    "query_task": _query,
    "stats": _stats,
    "registered": _registered,
    "dump_tasks": _registered,
    "active_queues": _queues,
    "clock": lambda app, _worker, **_: {"clock": app.clock.value},
    "report": lambda _app, worker, **_: {"ok": f"stream worker of {worker.service}, {SOFTWARE} {own_version()}: {worker.status.versions}"},
    "conf": lambda _app, _worker, **_: {},
}


class NodeForStreamWorkers(Node):
    """The bridge's mailbox node, which answers for the stream workers too."""

    state: Any

    def handle_message(self, body: dict[str, Any], message: Any = None) -> Any:
        """Celery's commands; each answer goes out under the name of whoever it is about."""
        answer, reply_to = _ANSWERS.get(body.get("method", "")), body.get("reply_to")
        self.state.speaks_for_the_streams = False
        if answer is None or not reply_to:
            return super().handle_message(body, message)  # type: ignore[no-untyped-call]
        asked = [worker for worker in stream_workers(Connection.of(self.state.app)) if _is_addressed(worker.name, body)]
        # Celery's client warns of two answers in one name: of several bridges the first one speaks.
        if asked or _is_addressed(self.hostname, body):
            self.state.speaks_for_the_streams = self._is_first(str(body.get("ticket")))
        reply = super().handle_message(body, message)  # type: ignore[no-untyped-call]
        for worker in asked if self.state.speaks_for_the_streams else ():
            told = {worker.name: self._answer(answer, worker, body)}
            self.reply(told, exchange=reply_to["exchange"], routing_key=reply_to["routing_key"], ticket=body.get("ticket"))  # type: ignore[no-untyped-call]
        return reply

    def _is_first(self, ticket: str) -> bool:
        connection = Connection.of(self.state.app)
        return bool(connection.client.set(connection.keys.answered(ticket), str(self.hostname), nx=True, ex=ANSWERED_SECONDS))

    def _answer(self, answer: Callable[..., Any], worker: StreamWorker, body: dict[str, Any]) -> Any:
        try:
            return answer(self.state.app, worker, **(body.get("arguments") or {}))
        except Exception as exc:
            logger.exception("inspect %s for %s", body.get("method"), worker.name)
            return {"error": repr(exc)}


def _is_addressed(name: Any, body: dict[str, Any]) -> bool:
    if body.get("destination"):
        return name in body["destination"]
    if body.get("pattern") and body.get("matcher"):
        matches: Any = match
        return bool(matches(name, body["pattern"], body["matcher"]))
    return True
