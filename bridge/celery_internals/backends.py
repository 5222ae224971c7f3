"""Which result backends can hold the states of bridged tasks, and the fence around each (protocol R2).

Celery's tracer stores states by itself, and only SUCCESS is sticky there. So a connected app's backend is one of a subclass made here, whose writes for
the run that this thread is at go through `bridge.stored_states`.
"""

from __future__ import annotations

import contextlib
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import redis
from celery import Celery
from celery.backends.base import Backend, BaseKeyValueStoreBackend, DisabledBackend
from celery.backends.redis import RedisBackend
from celery.exceptions import ImproperlyConfigured

from bridge import identity
from bridge.celery_internals.servers import Interrupted, is_server_away, redis_of_backend
from bridge.chord_parts import part_of
from bridge.remote_errors import remote_traceback
from bridge.stored_states import MarkedStates, RedisStates, StoredStates, stop_when_overtaken

if TYPE_CHECKING:
    from bridge.connection import Connection


def fence_backend(app: Celery, connection: Connection) -> None:
    """Let every state that is stored for a bridged task's run pass through R2."""
    make = app._get_backend
    classes: dict[Any, type[Backend]] = {}

    def fenced(backend: Backend) -> Backend:
        kind = type(backend)
        backend.__class__ = classes.setdefault(kind, _fenced(kind, connection))
        return backend

    app._get_backend = lambda: fenced(make())
    if app._backend is not None:
        fenced(app._backend)


def states_of(backend: type[Backend], connection: Connection) -> StoredStates:
    """How states are kept in order on this kind of backend.

    Raises:
        ImproperlyConfigured: they can't be.
    """
    reason = why_not(backend)
    if reason:
        raise ImproperlyConfigured(reason)
    return RedisStates(connection) if issubclass(backend, RedisBackend) else MarkedStates(connection)


def why_not(backend: type[Backend]) -> str:
    """Why bridged tasks can't have this kind of result backend; "" when they can."""
    name = backend.__name__.removeprefix("Fenced")
    if issubclass(backend, DisabledBackend):
        return "bridged tasks need a result backend: set result_backend to redis://... or db+postgresql+psycopg://..."
    if issubclass(backend, RedisBackend):
        return ""
    if not hasattr(backend, "_get_task_meta_for"):
        return f"bridged tasks can't use the result backend {name}: its results can't be read again; use Redis or SQLAlchemy"
    if issubclass(backend, BaseKeyValueStoreBackend) and backend.implements_incr:
        # A replay would count the part again, and the body be sent too early.
        return f"bridged tasks can't use the result backend {name}: it counts the parts of a chord without knowing them; use Redis or SQLAlchemy"
    return ""


def is_redis(backend: type[Backend]) -> bool:
    """Whether results are kept in Redis."""
    return issubclass(backend, RedisBackend)


def is_tested(backend: type[Backend]) -> bool:
    """Whether our tests run on it; the others that `why_not` lets pass should work."""
    return is_redis(backend) or _is_sqlalchemy(backend)


def _is_sqlalchemy(backend: type[Backend]) -> bool:
    # Without importing SQLAlchemy, which needn't be there.
    return any(base.__module__.startswith("celery.backends.database") for base in backend.__mro__)


def _fenced(base: type[Backend], connection: Connection) -> type[Backend]:
    if issubclass(base, _Fence):
        return base
    if why_not(base):
        return base  # its ordinary tasks are none of our business; a bridged one is refused
    kind = _RedisFence if issubclass(base, RedisBackend) else _DatabaseFence if _is_sqlalchemy(base) else _MarkedFence
    return type(f"Fenced{base.__name__}", (kind, base), {"connection": connection, "__module__": __name__})


class _Fence:
    """What every fence does: a server's absence is no outcome of a task."""

    connection: Connection

    def mark_as_failure(self, task_id: str, exc: Any, traceback: Any = None, *args: Any, **kwargs: Any) -> Any:
        # The tracer calls this too when SUCCESS can't be stored, or a link can't be sent. What a job raised is its outcome, whatever its class.
        run, remote = identity.current_run(), remote_traceback(exc)
        if run is not None and run.task_id == task_id and remote is None and is_server_away(exc):
            raise Interrupted(exc)
        return super().mark_as_failure(task_id, exc, remote or traceback, *args, **kwargs)  # type: ignore[misc]

    def mark_as_retry(self, task_id: str, exc: Any, traceback: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().mark_as_retry(task_id, exc, remote_traceback(exc) or traceback, *args, **kwargs)  # type: ignore[misc]


class _KeepingClient:
    """Celery's client while the bridge counts a chord's part. After any error Celery drops the chord's size, without which it never completes: not when only
    a server was away, as the part is counted again then.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def delete(self, *keys: Any) -> int:
        """Celery calls it in a `finally`."""
        error = sys.exc_info()[1]
        if isinstance(error, Interrupted) or is_server_away(error):
            return 0
        return int(self._client.delete(*keys))

    def let_go(self, claim: Any) -> None:
        """Delete a claim, so that others needn't wait until it has run out."""
        with contextlib.suppress(redis.RedisError, OSError):
            self._client.delete(claim)


class _RedisFence(_Fence):
    """Redis: the encoded result is written by our function. Celery counts the parts of chords here, too."""

    @property
    def client(self) -> Any:
        client = super().client  # type: ignore[misc]
        return _KeepingClient(client) if identity.current_run() is not None and identity.current_chord() is not None else client

    def _set_with_state(self, key: Any, value: Any, state: str) -> Any:
        run = identity.current_run()
        if run is None or key != self.get_key_for_task(run.task_id):  # type: ignore[attr-defined]
            return super()._set_with_state(key, value, state)  # type: ignore[misc]
        return RedisStates(self.connection).put(self, run, state, value)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> Any:
        state, result = part_of(self.connection.app, request, state, result)
        with identity.completing_chord(str(request.group)):
            super().on_chord_part_return(request, state, result, **kwargs)  # type: ignore[misc]
        run = identity.current_run()
        if run is not None and run.replay and request.group:
            run.chord_claimed = _chord_is_claimed(self, request.group)

    def chord_error_from_stack(self, callback: Any, exc: Any = None) -> Any:
        # A server's absence again, when a chord's body can't be sent. Without its claim Celery keeps the chord, and the part may be counted again.
        error, group_id = sys.exc_info()[1], identity.current_chord()
        if identity.current_run() is not None and error is not None and group_id is not None and is_server_away(error):
            self.client.let_go(self.get_key_for_group(group_id, ".c"))  # type: ignore[attr-defined]
            raise Interrupted(error)
        return super().chord_error_from_stack(callback, exc)  # type: ignore[misc]


class _MarkedFence(_Fence):
    """Any other: decided by the mark on the streams' server, then written."""

    def _store_result(self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any) -> Any:
        run, store = identity.current_run(), super()._store_result  # type: ignore[misc]
        if run is None or task_id != run.task_id:
            return store(task_id, result, state, traceback, request=request, **kwargs)
        # Celery tries all of this again, when the database says so; but what is decided once need only be written again.
        write = partial(self._ensure_retryable, store)  # type: ignore[attr-defined]
        return MarkedStates(self.connection).put(run, state, write, result=result, traceback=traceback, request=request)


class _DatabaseFence(_MarkedFence):
    """SQLAlchemy: Celery holds the lock of the task's row while it fills it in."""

    def _update_result(self, task: Any, result: Any, state: str, traceback: Any = None, request: Any = None) -> None:
        stop_when_overtaken()
        super()._update_result(task, result, state, traceback=traceback, request=request)  # type: ignore[misc]


def _chord_is_claimed(backend: Any, group_id: str) -> bool:
    """Whether somebody, alive or dead, holds the claim to send the body of a chord, and hasn't sent it.

    Celery lets the claim of a dead one stand for some 20 s (its budget to publish the body), and ignores parts that return meanwhile.
    """
    client = redis_of_backend(backend)
    size, claim = client.mget(backend.get_key_for_group(group_id, ".s"), backend.get_key_for_group(group_id, ".c"))
    return size is not None and claim not in {None, b"done"}
