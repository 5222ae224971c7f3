"""What the management side does beside the straight way (protocol R7, R10, R11, R13); its functions are in `lua/40_manage.lua`."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from streams.bus import clock
from streams.bus.functions import FunctionCall, flat, verdict
from streams.bus.topology import Keys, Service


def promote(keys: Keys, service: Service, publish_id: str, *, stream: str | None = None) -> FunctionCall[str]:
    """R7: put a delayed command back on its stream if it is due. Returns the new entry, or "" when there was nothing to do.

    Args:
        keys: of this deployment.
        service: whose command it is.
        publish_id: of the job.
        stream: full key, as the workers' half of the ledger remembers it; None is the default lane's.
    """
    return FunctionCall(
        "promote",
        (stream or keys.stream(service.command_stream()), keys.delayed(service.name), keys.job(publish_id), keys.run(service.name, publish_id)),
        (publish_id, clock.now_ms(), service.name),
        str,
    )


def cancel(keys: Keys, service: Service, publish_id: str, *, waiting_only: bool = False, signum: int = signal.SIGTERM) -> FunctionCall[str]:
    """R10, for one publish. Returns `accepted`, `too late`, `unknown`, or with `waiting_only` also `running`."""
    return FunctionCall(
        "cancel",
        (keys.job(publish_id), keys.run(service.name, publish_id), keys.open_jobs, keys.parked_jobs, keys.stream(service.results)),
        (int(waiting_only), int(signum), publish_id, clock.now_ms(), clock.moment()),
        str,
    )


def reap(
    keys: Keys, service: Service, *, stream: str, entry: str, fields: Mapping[str, str], publish_id: str, min_idle: timedelta, max_deliveries: int
) -> FunctionCall[str]:
    """R11: take an entry away from a consumer that was silent for `min_idle`. What is answered goes on the service's own result stream: a `callback_stream` is
    whatever its workers wrote there, and this user may write everywhere.

    Args:
        keys: of this deployment.
        service: whose entry it is.
        stream: full key of the command stream.
        entry: its id.
        fields: the command's; empty when it is gone.
        publish_id: of the job.
        min_idle: since the consumer was given it, or renewed it.
        max_deliveries: after that many it is a dead letter.

    Returns:
        `reaped` (sent again), `dead_lettered`, `cancelled`, `resolved` or `vanished` (only acknowledged), `fresh` or `gone` (nothing done).
    """
    sender = {"schema": "1", "worker": "reaper"} | {name: fields[name] for name in ("task_id", "attempt", "publish_id") if fields.get(name)}
    return FunctionCall(
        "reap",
        (
            stream,
            keys.stream(service.results),
            keys.stream(service.dead_letters),
            keys.job(publish_id),
            keys.run(service.name, publish_id),
        ),
        (service.group, entry, int(min_idle.total_seconds() * 1000), max_deliveries, clock.moment(), service.name, *flat(sender)),
        verdict,
    )


def repair(
    keys: Keys,
    service: Service,
    publish_id: str,
    *,
    task_id: str,
    attempt: int,
    callback_stream: str,
    results_group: str,
    max_deliveries: int,
    stream: str | None = None,
    answered_up_to: str = "",
    only_say: bool = False,
) -> FunctionCall[str]:
    """R13: send an open publish again whose command vanished, or its result, on its `stream` (None: the default lane's).

    `answered_up_to`: an id of the result stream; the caller has seen that no unacknowledged result up to it is of this publish (`answered`). "" looks at all.

    Returns:
        `repaired`, `dead_lettered` or `fine:<why>`; with `only_say` `lost` or `result_lost` instead of the first two, and nothing is changed.
    """
    sender = {"schema": "1", "task_id": task_id, "attempt": str(attempt), "publish_id": publish_id, "worker": "reconciler"}
    return FunctionCall(
        "repair",
        (
            keys.job(publish_id),
            keys.run(service.name, publish_id),
            stream or keys.stream(service.command_stream()),
            keys.delayed(service.name),
            callback_stream,
            keys.stream(service.dead_letters),
        ),
        (publish_id, service.group, results_group, max_deliveries, clock.moment(), answered_up_to, int(only_say), *flat(sender)),
        verdict,
    )


@dataclass(frozen=True, slots=True)
class Answered:
    """A part of the unacknowledged results of a stream."""

    last: str
    """Id of the last one looked at; "" when there was none."""
    is_more: bool
    names: tuple[str, ...]
    """Publish ids; of results that name none, `unnamed(...)`."""


def unnamed(task_id: str, attempt: int | str) -> str:
    """What a result without a publish id is known by."""
    return f"unnamed:{task_id}:{attempt}"


def answered(results: str, *, group: str, after: str = "", most: int = 100) -> FunctionCall[Answered]:
    """Whose results lie on a stream unacknowledged, from the first one or `after` an id on."""
    return FunctionCall(
        "answered",
        (results,),
        (group, f"({after}" if after else "", most),
        lambda reply: Answered(str(reply[0]), bool(reply[1]), tuple(map(str, reply[2]))),
    )
