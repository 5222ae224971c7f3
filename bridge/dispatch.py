"""Phase 1 (protocol S1): a bridged task's payload onto its stream, in a Celery worker. Acknowledged only afterwards.

The order is: the ledger and the command in one step (R3), then the state DISPATCHED (R2), then Celery acknowledges the message. A worker that dies
anywhere in between has its message delivered again, and everything is done again with no effect.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import redis
from celery import Task
from celery.exceptions import BackendError
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.utils.json import dumps
from pydantic import BaseModel

from bridge import identity
from bridge.celery_internals.dispatching import SentBack
from bridge.celery_internals.resuming import context_of
from bridge.celery_internals.servers import is_server_away
from bridge.configuration.checks import refuse_what_loses_jobs
from bridge.connection import Connection
from bridge.dead_letters import payload_changes
from bridge.states import DISPATCHED
from streams.bus.codec import encode_json, to_json_safe
from streams.errors import BacklogFull, PayloadTooLarge
from streams.jobs import dispatching
from streams.jobs.messages import Command

logger = logging.getLogger(__name__)

LANE: Final = "lane"
"""The header of a task's message that names its lane."""


def dispatch(task: Task, payload: Any) -> dispatching.Dispatched:
    """Send a payload as the command of a bridged task's current request.

    Raises:
        EncodeError: the payload holds a value that can't go over the wire; nothing was sent.
        PayloadTooLarge: nothing was sent.
        UnknownLane: the service has no such lane; nothing was sent.
        BacklogFull: as many commands wait as may; nothing was sent.
        SentBack: Redis was away for too long; the message goes back to the broker.
    """
    connection, request = Connection.of(task.app), task.request
    refuse_what_loses_jobs(task)
    service = connection.service(task.service)
    publish_id, lineage = identity.of_message(vars(request))
    hard, soft = request.timelimit or (None, None)
    command = Command(
        type=task.command,
        task_id=request.id,
        callback_stream=connection.keys.stream(service.results),
        data=_plain(task, payload, connection.settings.max_message_bytes, getattr(request, payload_changes.HEADER, None)),
        time_limit=hard or task.time_limit or task.app.conf.task_time_limit,
        soft_time_limit=soft or task.soft_time_limit or task.app.conf.task_soft_time_limit,
        expires_at=_moment(task, request.expires),
        at_most_once=task.at_most_once,
    )
    lane = getattr(request, LANE, None) or task.lane
    stream = service.command_stream(lane)
    max_backlog = connection.settings.limits_of(stream, service).max_backlog
    step = dispatching.dispatch(
        connection.keys,
        service,
        command,
        publish_id=publish_id,
        lineage=lineage,
        retries=request.retries or 0,
        context=dumps(_context(request, publish_id, lineage)),
        lane=lane,
        max_backlog=max_backlog,
        parent=getattr(request, identity.PARENT, None) or "",
    )
    try:
        dispatched = connection.call(step, patience_seconds=connection.settings.dispatch_patience_seconds)
        if dispatched.verdict == "full":
            raise BacklogFull(f"{int(dispatched.why_not):,} commands wait on {stream}, its max_backlog is {max_backlog:,}")
        if dispatched.verdict == "over_memory":
            raise BacklogFull(f"the streams are over their memory budget: {dispatched.why_not}")
        _store_dispatched(task, identity.CurrentRun(publish_id, lineage, dispatched.seq, request.id))
    except (redis.RedisError, OSError) as exc:
        if not is_server_away(exc):
            raise
        logger.warning("task %s can't be dispatched (%s: %s): its message goes back to the broker", request.id, type(exc).__name__, exc)
        raise SentBack(f"{type(exc).__name__}: {exc}", requeue=True) from exc
    logger.info("task %s: %s %s, run %d, entry %s", request.id, command.type, dispatched.verdict, dispatched.seq, dispatched.entry or "-")
    return dispatched


def _context(request: Any, publish_id: str, lineage: str) -> dict[str, Any]:
    """What the bridge needs to resume the task; its retries inherit whose they are, also when whoever sent it isn't connected and stamped nothing."""
    mine = {identity.PUBLISH_ID: publish_id, identity.LINEAGE: lineage}
    context = context_of(request)
    return context | mine | {"headers": dict(context.get("headers") or {}) | mine}


def was_dispatched(task: Task, message: Mapping[str, Any]) -> bool:
    """Whether the ledger knows this message's publish, open or closed."""
    connection = Connection.of(task.app)
    publish_id, _ = identity.of_message(message)
    return bool(connection.client.exists(connection.keys.job(publish_id)))


def ended_before_dispatch(task: Task, message: Mapping[str, Any], state: str) -> None:
    """A message ends with this state, and its job was never sent: the run that it is a retry of, if it is one, needn't be kept for it any longer."""
    if parent := message.get(identity.PARENT):
        connection = Connection.of(task.app)
        connection.call_patiently(dispatching.retry_ended(connection.keys, parent=str(parent), task_id=str(message["id"]), state=state))


def _plain(task: Task, payload: Any, limit: int, changes: Mapping[str, Any] | None) -> Any:
    data = payload.model_dump(mode="json") if isinstance(payload, BaseModel) else payload
    if changes:  # of a redriven task: this is a retry of it
        data = payload_changes.changed(to_json_safe(data), changes)
    size = len(encode_json(data))
    if size > limit:
        raise PayloadTooLarge(
            f"the payload of {task.name} has {size:,} bytes, STREAMS_MAX_MESSAGE_BYTES allows {limit:,}: put large data in a file and send its URI"
        )
    return data


def _moment(task: Task, expires: Any) -> datetime | None:
    if expires is None:
        return None
    moment: datetime = maybe_make_aware(maybe_iso8601(expires), task.app.timezone)
    return moment


def _store_dispatched(task: Task, run: identity.CurrentRun) -> None:
    request, backend = task.request, task.backend
    ignored = request.ignore_result if request.ignore_result is not None else task.ignore_result
    if ignored:
        return
    try:
        with identity.running(run):
            backend.store_result(request.id, None, DISPATCHED, request=request)
    except BackendError as exc:
        # A database. The job is on its stream; sending the message back would bring it again and again for as long as the database is away.
        if not is_server_away(exc):
            raise
        logger.warning("task %s: %s isn't shown, its result backend is away: %s", request.id, DISPATCHED, exc)
