"""Let a process under test die at one exact step: SIGKILL to itself, once.

A process that was started with TEST_STOP_FILE looks into that file at each step. It holds a point, such as `before resolved`, `after put_state SUCCESS`
or `after publish`; the process that comes to it takes the file away and dies. The steps are our functions by their names, and what Celery does itself:
`publish` (a task's message; `event` is that of an event), `chord part` (counted by the result backend), `ack` (of a broker's message), `read` (of a stream).
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

PUT_STATE_ARGS = 5
"""Of the FCALL, before the state: name, number of keys, two keys, run number, rank, lineage."""


def install() -> None:
    """Wrap the steps, if this process was told to."""
    name = os.environ.get("TEST_STOP_FILE")
    if not name:
        return
    import redis  # only here: a job's process must know no Redis
    import redis.asyncio

    file = Path(name)
    for client in (redis.Redis, redis.asyncio.Redis):
        client.fcall = _wrapped(file, client.fcall, _function)  # type: ignore[method-assign]
        client.xreadgroup = _wrapped(file, client.xreadgroup, lambda *_, **__: "read")  # type: ignore[method-assign]
    with contextlib.suppress(ImportError):  # a stream worker has no Celery
        _wrap_celery(file)


def _wrap_celery(file: Path) -> None:
    from celery.backends.redis import RedisBackend
    from kombu import Message, Producer

    Producer.publish = _wrapped(file, Producer.publish, _published)  # type: ignore[method-assign]
    RedisBackend.on_chord_part_return = _wrapped(file, RedisBackend.on_chord_part_return, lambda *_, **__: "chord part")
    Message.ack = _wrapped(file, Message.ack, lambda *_, **__: "ack")  # type: ignore[method-assign]


def _published(_producer: Any, body: Any, *_: Any, **__: Any) -> str:
    return "publish" if isinstance(body, tuple) else "event"


def _function(_client: Any, name: str, _keys: int, *args: Any) -> str:
    step = name.split("_", 1)[1]
    return f"{step} {args[PUT_STATE_ARGS] or 'mark'}" if step == "put_state" else step


def _wrapped(file: Path, method: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def step_async(*args: Any, **kwargs: Any) -> Any:
            _die_at(file, f"before {name(*args, **kwargs)}")
            result = await method(*args, **kwargs)
            if result:
                _die_at(file, f"after {name(*args, **kwargs)}")
            return result

        return step_async

    @wraps(method)
    def step(*args: Any, **kwargs: Any) -> Any:
        _die_at(file, f"before {name(*args, **kwargs)}")
        result = method(*args, **kwargs)
        if inspect.isawaitable(result):

            async def then() -> Any:
                value = await result
                if value:
                    _die_at(file, f"after {name(*args, **kwargs)}")
                return value

            return then()
        _die_at(file, f"after {name(*args, **kwargs)}")
        return result

    return step


def _die_at(file: Path, point: str) -> None:
    try:
        if file.read_text() != point:
            return
        file.rename(file.with_name(f"{file.name} of {os.getpid()}"))
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
