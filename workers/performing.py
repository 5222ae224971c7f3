"""Running a handler, wherever that is: its result, or whatever it raises, becomes an outcome."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import orjson

from streams.bus.codec import encode_json
from streams.errors import PayloadTooLarge
from workers import interrupting
from workers.errors import BadRequest, JobCancelled, SoftTimeLimit
from workers.frames import MAX_FRAME_BYTES
from workers.handlers import HANDLERS, Handler
from workers.interrupting import Interruptible
from workers.job import Job
from workers.limits import soft_time_limit_exceeded
from workers.outcome import Cancelled, Failed, Succeeded, describe_error

_OWN_FRAMES = (__file__, interrupting.__file__, str(Path(asyncio.__file__).parent))
"""Source files whose frames say nothing about a job."""

logger = logging.getLogger(__name__)


def perform(job: Job, data: dict[str, Any], *, interruptible: AbstractContextManager[None] | None = None) -> Succeeded | Failed | Cancelled:
    """Run the job's handler to its end, in this thread.

    Args:
        job: what the handler sees.
        data: the command's.
        interruptible: entered around a plain function.
    """
    try:
        handler = _handler(job.type)
        params = handler.parse(data)
        # A coroutine is interrupted at its awaits: a signal would hit the event loop.
        with nullcontext() if interruptible is None or handler.is_async else interruptible:
            result = handler.function(job, params)
        if inspect.iscoroutine(result):
            result = asyncio.run(Interruptible(job, result).run())
        return _succeeded(job, result)
    except BaseException as exc:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of user code are failures too, not a silent end
        return failed(job, exc)


async def perform_inline(job: Job, data: dict[str, Any]) -> Succeeded | Failed | Cancelled:
    """Run the job's handler to its end, on this event loop."""
    try:
        handler = _handler(job.type)
        result = handler.function(job, handler.parse(data))
        if inspect.iscoroutine(result):
            result = await Interruptible(job, result).run()
        return _succeeded(job, result)
    except BaseException as exc:  # noqa: BLE001 - as above
        return failed(job, exc)


def failed(job: Job | None, error: BaseException) -> Failed | Cancelled:
    """What an exception means: the cancellation that was asked for, the soft time limit, or an error."""
    if isinstance(error, JobCancelled):
        return Cancelled(error.reason)
    if job is not None and job.cancelled and _comes_of_cancellation(error):
        return Cancelled(str(job._cancelled))  # noqa: SLF001 - the runtime's own side of Job
    described = describe_error(error, without=_OWN_FRAMES)
    logger.error("job %s failed:\n%s", job.id if job else "", described.traceback.rstrip())
    return Failed(soft_time_limit_exceeded(described.traceback) if _is_soft_limit(error) else described)


def _handler(type_: str) -> Handler:
    try:
        return HANDLERS[type_]
    except KeyError:
        raise BadRequest(f"no handler for the type {type_!r}; this worker has {', '.join(sorted(HANDLERS)) or 'none'}") from None


def _succeeded(job: Job, result: Any) -> Succeeded:
    encoded = encode_json(result)
    if len(encoded) > MAX_FRAME_BYTES:
        raise PayloadTooLarge(
            f"the result of {job.type} has {len(encoded)} bytes: put large data in a file (job.artifact) and return its claim check"
        )
    return Succeeded(orjson.Fragment(encoded))


def _is_soft_limit(error: BaseException) -> bool:
    """Also one that a TaskGroup gave out, as part of a group."""
    return isinstance(error, SoftTimeLimit) or (isinstance(error, BaseExceptionGroup) and error.split(SoftTimeLimit)[1] is None)


def _comes_of_cancellation(error: BaseException) -> bool:
    """Whether an engine wrapped our JobCancelled into an error of its own."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if isinstance(cause, JobCancelled):
            return True
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return False
