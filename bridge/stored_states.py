"""Where the states of bridged tasks are stored, and in which order (protocol R2): one interface, two ways.

- `RedisStates`: the result is in Redis. A function of ours on that server compares the task's mark and writes the result, in one step.
- `MarkedStates`: the result is somewhere that can't do that (a database behind SQLAlchemy). The mark is on the streams' server, which decides; then the
  result is written through Celery's backend, and afterwards the mark is asked whether that is still the last decision. If it isn't, this writer may have
  written over a newer state, and writes that one again. docs/brokers-and-backends.md says what that leaves open.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import redis
from celery import states
from celery.app.task import Context
from celery.result import result_from_tuple
from kombu.utils.json import dumps, loads

from bridge import identity
from bridge.celery_internals.servers import redis_of_backend, result_ttl_seconds
from bridge.states import DEAD_LETTERED, TERMINAL_RANK, is_terminal, rank
from streams.jobs import resolving
from streams.jobs.resolving import StateChange

if TYPE_CHECKING:
    from celery.backends.base import Backend

    from bridge.connection import Connection

logger = logging.getLogger(__name__)

_STORED_OF_REQUEST = ("id", "task", "args", "kwargs", "hostname", "retries", "delivery_info", "group", "parent_id", "stamps", "stamped_headers")
"""What Celery puts beside a result (`result_extended`)."""


class StoredStates(Protocol):
    """The order of states, of one app."""

    def raise_mark(self, run: identity.CurrentRun, to_rank: int) -> None:
        """Before the first effect of a result: what is less far than that is refused from now on."""

    def has_outcome(self, run: identity.CurrentRun) -> bool:
        """Whether a terminal state of this run, or something of a newer one, is stored."""


def change(connection: Connection, run: identity.CurrentRun, state: str, to_rank: int | None = None) -> StateChange:
    """What R2 is asked about `run`; no state only raises the mark."""
    return StateChange(
        seq=run.seq,
        rank=rank(state) if to_rank is None else to_rank,
        lineage=run.lineage,
        state=state,
        terminal=bool(state) and is_terminal(state),
        mark_ttl_seconds=connection.settings.mark_ttl_seconds,
    )


def _say_refused(run: identity.CurrentRun, state: str) -> None:
    logger.info("task %s: %s of run %d is not stored, a newer state is there", run.task_id, state, run.seq)


class RedisStates:
    """In Redis: the mark lies beside the result, and one function compares and writes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, backend: Backend, run: identity.CurrentRun, state: str, value: str) -> None:
        """Store a state of a run, in Celery's encoded form, unless a newer one is there."""
        step = resolving.put_state(
            backend.get_key_for_task(run.task_id),
            self._connection.keys.mark(run.task_id),
            change(self._connection, run, state),
            ttl_seconds=0 if state == DEAD_LETTERED else result_ttl_seconds(backend, state),  # it waits for as long as its operator does
            value=value,
        )
        if not self._connection.call_patiently(step, redis_of_backend(backend)):
            _say_refused(run, state)

    def raise_mark(self, run: identity.CurrentRun, to_rank: int) -> None:
        backend = self._connection.app.backend
        key, mark = backend.get_key_for_task(run.task_id), self._connection.keys.mark(run.task_id)
        step = resolving.put_state(key, mark, change(self._connection, run, "", to_rank), ttl_seconds=0, value="")
        self._connection.call_patiently(step, redis_of_backend(backend))

    def has_outcome(self, run: identity.CurrentRun) -> bool:
        mark = redis_of_backend(self._connection.app.backend).hmget(self._connection.keys.mark(run.task_id), ["seq", "rank"])
        return _reached(mark, run)


class Overtaken(Exception):
    """Something newer was decided before this could be written."""


@dataclass(frozen=True, slots=True)
class _Writing:
    """A decision that this thread is writing."""

    connection: Connection
    task_id: str
    number: int


_writing: contextvars.ContextVar[_Writing | None] = contextvars.ContextVar("bridge_writing", default=None)


class MarkedStates:
    """Elsewhere: the mark lies on the streams' server and decides, the result is written afterwards."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, run: identity.CurrentRun, state: str, write: Callable[..., Any], *, result: Any, traceback: Any, request: Any) -> None:
        """Store a state of a run, unless a newer one is decided.

        Args:
            run: whose state it is.
            state: its name.
            write: the backend's own `_store_result(task_id, result, state, traceback, request=...)`.
            result: in the form that `write` takes.
            traceback: text, or None.
            request: the task's, or None.
        """
        mark = self._connection.keys.mark(run.task_id)
        packed = _pack(result, state, traceback, request)
        number = self._connection.call_patiently(resolving.decide_state(mark, change(self._connection, run, state), packed))
        if not number:
            _say_refused(run, state)
            return
        stored: tuple[Any, ...] = (result, state, traceback, request)
        while True:
            try:
                self._write(run.task_id, number, write, *stored)
            except BaseException:
                with contextlib.suppress(redis.RedisError, OSError):  # what is kept for it goes with the mark, then
                    self._connection.call(resolving.state_written(mark, number, gives_up=True))
                raise
            newer = self._connection.call_patiently(resolving.state_written(mark, number))
            if newer is None:
                return
            number, stored = newer[0], _unpack(newer[1], self._connection.app)
            logger.info("task %s: %s was decided while %s was being written; it is written again", run.task_id, stored[1], state)

    def _write(self, task_id: str, number: int, write: Callable[..., Any], result: Any, state: str, traceback: Any, request: Any) -> None:
        token = _writing.set(_Writing(self._connection, task_id, number))
        try:
            write(task_id, result, state, traceback, request=request)
        except Overtaken:
            pass
        finally:
            _writing.reset(token)

    def raise_mark(self, run: identity.CurrentRun, to_rank: int) -> None:
        self._connection.call_patiently(resolving.decide_state(self._connection.keys.mark(run.task_id), change(self._connection, run, "", to_rank)))

    def has_outcome(self, run: identity.CurrentRun) -> bool:
        # What is decided need not be written: a bridge may have died in between.
        mark = self._connection.client.hmget(self._connection.keys.mark(run.task_id), ["seq", "rank"])
        return _reached(mark, run) and self._connection.app.backend.get_task_meta(run.task_id, cache=False)["status"] in states.READY_STATES


def stop_when_overtaken() -> None:
    """Called while the backend holds the lock of the task's row: whoever is newer waits for it, or has had it.

    Raises:
        Overtaken: the transaction is to be rolled back.
    """
    writing = _writing.get()
    if writing is None:
        return
    last = writing.connection.client.hget(writing.connection.keys.mark(writing.task_id), "decision")
    if last is not None and int(str(last)) != writing.number:
        raise Overtaken


def _reached(mark: Any, run: identity.CurrentRun) -> bool:
    seq, rank_ = (int(value or 0) for value in mark)
    return (seq, rank_) >= (run.seq, TERMINAL_RANK)


def _pack(result: Any, state: str, traceback: Any, request: Any) -> str:
    fields = None
    if request is not None:
        fields = {name: value for name in _STORED_OF_REQUEST if (value := getattr(request, name, None)) is not None}
        fields["children"] = [child.as_tuple() for child in getattr(request, "children", None) or ()]
    packed: str = dumps([result, state, traceback, fields])
    return packed


def _unpack(packed: str, app: Any) -> tuple[Any, ...]:
    result, state, traceback, fields = loads(packed)
    if fields is None:
        return result, state, traceback, None
    fields["_children"] = [result_from_tuple(child, app) for child in fields.pop("children")]
    return result, state, traceback, Context(fields)
