"""`celery inspect` answers for the stream workers too, which have no Celery, and for the jobs that wait; `celery control` reaches them.

Imported by the bridge's node only. A command that is addressed to all, or to a stream worker by its node name, is taken by a bridge, which answers in the worker's name.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any, Final

import redis
from celery.exceptions import NotRegistered
from celery.utils.functional import maybe_list
from celery.worker.control import Panel, inspect_command
from kombu import Queue
from kombu.matcher import match
from kombu.pidbox import Node
from kombu.utils.json import dumps, loads

from bridge.celery_internals.resuming import rebuild_request
from bridge.connection import Connection
from bridge.job_info import Stage
from bridge.remote_control.open_jobs import OpenJob, open_jobs
from bridge.remote_control.stream_workers import SOFTWARE, own_version, stream_workers
from bridge.remote_control.worker_orders import FOR_EACH_NAMED, ORDERS, refuse
from streams.bus.clients import CONNECTION_ERRORS
from streams.jobs.stream_worker import StreamWorker

logger = logging.getLogger(__name__)

ANSWERED_SECONDS = 60
"""How long it is known that a question was answered."""
HEARD_BY_ALL_SECONDS = 5
"""The same of a command that wants no answer: within that each bridge has heard it."""

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
    context, hostname = loads(job.context), job.worker or job.service
    try:
        request = rebuild_request(app, context, hostname=hostname)
    except NotRegistered:  # of another app on these streams; the others are told all the same
        name, known = context.get("task"), {part: context.get(part) for part in ("args", "kwargs", "delivery_info")}
        return {"id": job.task_id, "name": name, "type": name, **known, "hostname": hostname, "time_start": job.started_at, "acknowledged": True}
    request.time_start = job.started_at
    told: dict[str, Any] = request.info()
    return told


def _at(state: Any, stage: Stage) -> list[OpenJob]:
    """Of several bridges, one tells."""
    return [job for job in _jobs_now(state) if job.stage is stage] if state.speaks_for_the_streams else []


def _jobs_now(state: Any) -> list[OpenJob]:
    """Looked up once for one command, however many stream workers it is about."""
    if state.jobs_now is None:
        state.jobs_now = open_jobs(Connection.of(state.app))
    jobs: list[OpenJob] = state.jobs_now
    return jobs


# ------------------------------------------------------------------------------------------------- inspect: in the names of the stream workers


def _active(state: Any, worker: StreamWorker, **_: Any) -> Any:
    return [info(state.app, job) for job in _jobs_now(state) if job.worker == worker.name and job.stage is Stage.RUNNING]


def _query(state: Any, worker: StreamWorker, ids: Any = (), **_: Any) -> Any:
    jobs = open_jobs(Connection.of(state.app), map(str, maybe_list(ids) or []))
    return {job.task_id: ("active", info(state.app, job)) for job in jobs if job.worker == worker.name and job.stage is Stage.RUNNING}


def _stats(state: Any, worker: StreamWorker, **_: Any) -> Any:
    app, status = state.app, worker.status
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
        "refuses": status.refuses,
    }


def _registered(state: Any, worker: StreamWorker, **_: Any) -> Any:
    types = set(worker.status.task_types or ())
    return sorted(
        name for name, task in state.app.tasks.items() if getattr(task, "service", None) == worker.service and getattr(task, "command", None) in types
    )


def _queues(state: Any, worker: StreamWorker, **_: Any) -> Any:
    # In kombu's form, of which Flower's page needs every field.
    return [Queue(each, routing_key=each).as_dict(recurse=True) for each in Connection.of(state.app).service(worker.service).command_streams]


_ANSWERS: Final[dict[str, Callable[..., Any]]] = {
    "ping": lambda _state, _worker, **_: {"ok": "pong"},
    "active": _active,
    "dump_active": _active,
    "reserved": lambda _state, _worker, **_: [],
    "dump_reserved": lambda _state, _worker, **_: [],
    "scheduled": lambda _state, _worker, **_: [],
    "dump_schedule": lambda _state, _worker, **_: [],
    "revoked": lambda _state, _worker, **_: [],
    "dump_revoked": lambda _state, _worker, **_: [],
    "query_task": _query,
    "stats": _stats,
    "registered": _registered,
    "dump_tasks": _registered,
    "active_queues": _queues,
    "clock": lambda state, _worker, **_: {"clock": state.app.clock.value},
    "report": lambda _state, worker, **_: {"ok": f"stream worker of {worker.service}, {SOFTWARE} {own_version()}: {worker.status.versions}"},
    "conf": lambda _state, _worker, **_: {},
}


class NodeForStreamWorkers(Node):
    """The bridge's mailbox node, which speaks and acts for the stream workers too."""

    state: Any

    def handle_message(self, body: dict[str, Any], message: Any = None) -> Any:
        """Celery's commands; each answer goes out under the name of whoever it is about."""
        self.state.speaks_for_the_streams, self.state.jobs_now = False, None
        try:
            self._for_stream_workers(body, message)
        except (*CONNECTION_ERRORS, redis.RedisError) as exc:  # and a bridge that is told to end does so
            logger.warning("%s for the stream workers: %s: %s", body.get("method"), type(exc).__name__, exc)
        try:
            return super().handle_message(body, message)  # type: ignore[no-untyped-call]
        finally:
            self.state.jobs_now = None

    def _for_stream_workers(self, body: dict[str, Any], message: Any) -> None:
        act, reply_to = _act(body), body.get("reply_to")
        if act is None:
            return
        asked = [worker for worker in stream_workers(Connection.of(self.state.app)) if _is_addressed(worker.name, body)]
        # Celery's client warns of two answers in one name: of several bridges the first one speaks.
        if asked or _is_addressed(self.hostname, body):
            self.state.speaks_for_the_streams = self._is_first(body, message)
        for worker in asked if self.state.speaks_for_the_streams else ():
            told = {worker.name: self._answer(act, worker, body)}
            if reply_to:
                self.reply(told, exchange=reply_to["exchange"], routing_key=reply_to["routing_key"], ticket=body.get("ticket"))  # type: ignore[no-untyped-call]

    def _is_first(self, body: dict[str, Any], message: Any) -> bool:
        """Of the bridges that hear this one message."""
        connection, seconds = Connection.of(self.state.app), ANSWERED_SECONDS
        ticket = body.get("ticket")
        if not ticket:  # nobody waits for an answer: the sender's clock tells two such messages apart
            sent = [body.get("method"), body.get("arguments"), body.get("destination"), body.get("pattern"), message and message.headers.get("clock")]
            ticket, seconds = hashlib.sha256(dumps(sent).encode()).hexdigest(), HEARD_BY_ALL_SECONDS
        return bool(connection.client.set(connection.keys.answered(str(ticket)), str(self.hostname), nx=True, ex=seconds))

    def _answer(self, act: Callable[..., Any], worker: StreamWorker, body: dict[str, Any]) -> Any:
        logger.debug("%s for %s", body.get("method"), worker.name)
        try:
            return act(self.state, worker, **(body.get("arguments") or {}))
        except Exception as exc:
            logger.exception("%s for %s", body.get("method"), worker.name)
            return {"error": repr(exc)}


def _act(body: dict[str, Any]) -> Callable[..., Any] | None:
    """What is to be done for a stream worker, if it is addressed; None when it has no part in this."""
    method, named = str(body.get("method")), bool(body.get("destination") or body.get("pattern"))
    if method in ORDERS:
        return ORDERS[method] if named or method not in FOR_EACH_NAMED else None
    if not body.get("reply_to"):
        return None
    return _ANSWERS.get(method) or (refuse(method) if named else None)


def _is_addressed(name: Any, body: dict[str, Any]) -> bool:
    if body.get("destination"):
        return name in body["destination"]
    if body.get("pattern") and body.get("matcher"):
        matches: Any = match
        return bool(matches(name, body["pattern"], body["matcher"]))
    return True
