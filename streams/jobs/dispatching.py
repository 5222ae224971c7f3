"""The step that puts a job on its stream (protocol R3); its function is in `lua/10_dispatch.lua`.

Here as in `running`, `resolving` and `managing`: a pure, typed caller returns a `FunctionCall`; `call` or `call_async` of `streams.bus.functions` sends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.bus import clock
from streams.bus.functions import FunctionCall, flat, verdict
from streams.bus.topology import Keys, Service
from streams.jobs.messages import Command

NO_LIMIT: Final = 2**53


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What dispatch did."""

    verdict: str
    """`sent`, `cancelled` (a cancel was waiting) or `duplicate` (this publish is known); `full` or `over_memory` (nothing was done)."""
    seq: int
    """Run number of the task id; 0 of what wasn't dispatched."""
    entry: str
    why_not: str = ""
    """Of `full` the backlog, of `over_memory` how much is used."""


def dispatch(
    keys: Keys,
    service: Service,
    command: Command,
    *,
    publish_id: str,
    lineage: str,
    retries: int,
    context: bytes | str,
    lane: str | None = None,
    parent: str = "",
    max_backlog: int | None = None,
) -> FunctionCall[Dispatched]:
    """R3: remember the publish and send its command, once, on a lane of the service; not while `max_backlog` commands wait there.

    Args:
        keys: of this deployment.
        service: whose workers run it.
        command: without `attempt` and `publish_id`, which are given here.
        publish_id: of the message.
        lineage: the first of its row of retries.
        retries: Celery's.
        context: what the bridge needs to resume the task.
        lane: None is the service's default one.
        parent: the publish that this one is a retry of.

    Raises:
        UnknownLane: the service has no such lane.
    """
    fields = command.to_redis_dict()
    for given in ("attempt", "publish_id", "deliveries"):
        fields.pop(given, None)
    return FunctionCall(
        "dispatch",
        (
            keys.job(publish_id),
            keys.task(command.task_id),
            keys.open_jobs,
            keys.cancel_flag(command.task_id),
            keys.stream(service.command_stream(lane)),
            command.callback_stream,
            keys.delayed(service.name),
            keys.over_memory,
            keys.retrying_jobs,
            keys.job(parent or publish_id),
        ),
        (
            publish_id,
            command.task_id,
            lineage,
            retries,
            clock.now_ms(),
            service.name,
            context,
            clock.moment(),
            service.group,
            max_backlog or NO_LIMIT,
            parent,
            *flat(fields),
        ),
        lambda reply: Dispatched(str(reply[0]), int(reply[1]), *map(str, reply[2:])),
    )


def retry_ended(keys: Keys, *, parent: str, task_id: str, state: str) -> FunctionCall[str]:
    """R9, for a retry that ends before its dispatch. Returns `ended`, or `told` when its parent isn't closed yet, or is known no more.

    Args:
        keys: of this deployment.
        parent: the publish that it is a retry of.
        task_id: of both.
        state: what the task ends with, which is how the lineage ends.
    """
    return FunctionCall("retry_ended", (keys.retrying_jobs, keys.job(parent), keys.task(task_id)), (parent, state), verdict)
