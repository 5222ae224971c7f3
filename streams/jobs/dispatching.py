"""The step that puts a job on its stream (protocol R3); its function is in `lua/10_dispatch.lua`.

Here as in `running`, `resolving` and `managing`: a pure, typed caller returns a `FunctionCall`; `call` or `call_async` of `streams.bus.functions` sends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from streams.bus import clock
from streams.bus.functions import FunctionCall, flat
from streams.bus.topology import Keys, Service
from streams.jobs.messages import Command


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What dispatch did."""

    verdict: str
    """`sent`, `cancelled` (a cancel was waiting) or `duplicate` (this publish is known)."""
    seq: int
    """Run number of the task id."""
    entry: str


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
    tombstone: timedelta = timedelta(days=7),
) -> FunctionCall[Dispatched]:
    """R3: remember the publish and send its command, once, on a lane of the service.

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
        tombstone: how long the ledger of that one is kept from now on.

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
            parent,
            int(tombstone.total_seconds() * 1000),
            *flat(fields),
        ),
        lambda reply: Dispatched(str(reply[0]), int(reply[1]), str(reply[2])),
    )
