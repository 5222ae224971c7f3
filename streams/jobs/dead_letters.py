"""What becomes of a job whose command is a dead letter (protocol R12, R15, R16); its functions are in `lua/35_dead_letters.lua`."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from streams.bus import clock
from streams.bus.functions import FunctionCall, verdict
from streams.bus.topology import Keys, Service


def park(keys: Keys, publish_id: str, *, task_id: str, results: str, group: str, entry: str) -> FunctionCall[str]:
    """R15: the publish waits for an operator; its result is kept, and acknowledged.

    Returns `parked`, `cancelled` (a cancel came meanwhile, and a result of it is sent), `repeated` or `superseded`.
    """
    return FunctionCall(
        "park",
        (keys.job(publish_id), keys.open_jobs, keys.parked_jobs, results, keys.cancel_flag(task_id), keys.task(task_id)),
        (group, entry, f"{results} {entry}", publish_id, clock.now_ms(), clock.moment(), int(signal.SIGTERM)),
        verdict,
    )


def release(keys: Keys, service: Service, publish_id: str) -> FunctionCall[str]:
    """R16: a parked publish ends as the failure that it is. Returns `released`, `repeated` or `not parked`. (R10 ends it as cancelled.)"""
    return FunctionCall(
        "release",
        (keys.job(publish_id), keys.open_jobs, keys.parked_jobs, keys.stream(service.results)),
        (publish_id, clock.now_ms(), clock.moment()),
        verdict,
    )


@dataclass(frozen=True, slots=True)
class Redriven:
    """What redrive did."""

    verdict: str
    """`sent`; `duplicate` (it was before); `changed` (the task has a new publish: look at its lineage again); `gone` (no ledger); or `refused:<why>`."""
    seq: int = 0
    """Run number of the new publish."""
    entry: str = ""
    lineage: str = ""
    waits: bool = False
    """Whether the new publish has no outcome yet, nor a result that has begun."""


def redrive(
    keys: Keys,
    service: Service,
    publish_id: str,
    *,
    new_publish_id: str,
    task_id: str,
    seen_seq: int,
    seen_phase: str,
    lineage_publishes: Sequence[str],
    stream: str,
    context: str,
    data: bytes | str,
    dead_letter_id: str,
    tombstone: timedelta,
) -> FunctionCall[Redriven]:
    """R12: run a job again under its task id.

    Args:
        keys: of this deployment.
        service: whose dead letter it is.
        publish_id: of the dead letter.
        new_publish_id: derived from the dead letter, so that a repeat is known.
        task_id: of the job.
        seen_seq: the task's newest run number, as the caller saw it when it read the lineage.
        seen_phase: of the publish, `parked` or `closed`, for which the context was made.
        lineage_publishes: the publishes of the same lineage, the newest last.
        stream: full key of the command stream.
        context: what the bridge needs to resume the task.
        data: of the command, as JSON; "" leaves what it was.
        dead_letter_id: entry id of the dead letter.
        tombstone: how long the ledger of a parked publish is kept from now on.
    """

    def parse(reply: Any) -> Redriven:
        return (
            Redriven(str(reply[0]), int(reply[1]), str(reply[2]), str(reply[3]), bool(int(reply[4]))) if len(reply) > 1 else Redriven(str(reply[0]))
        )

    return FunctionCall(
        "redrive",
        (
            keys.job(publish_id),
            keys.run(service.name, publish_id),
            keys.task(task_id),
            keys.open_jobs,
            keys.parked_jobs,
            keys.cancel_flag(task_id),
            stream,
            keys.job(new_publish_id),
            keys.fates(service.name),
            *map(keys.job, lineage_publishes),
        ),
        (
            publish_id,
            new_publish_id,
            seen_seq,
            seen_phase,
            clock.now_ms(),
            clock.moment(),
            int(tombstone.total_seconds() * 1000),
            context,
            data,
            dead_letter_id,
        ),
        parse,
    )


def resend(keys: Keys, service: Service, dead_letter_id: str, *, stream: str, data: bytes | str) -> FunctionCall[str]:
    """Send a command again that has no ledger, of a producer that isn't ours. Returns its new entry, or "" when that was done before."""
    return FunctionCall("resend", (keys.stream(service.dead_letters), keys.fates(service.name), stream), (dead_letter_id, data, clock.moment()), str)


def command_of(keys: Keys, publish_id: str) -> FunctionCall[Mapping[str, str]]:
    """The command of a publish as it was dispatched, from management's half of the ledger; empty when that is gone."""
    return FunctionCall("command_of", (keys.job(publish_id),), (), lambda reply: dict(zip(map(str, reply[::2]), map(str, reply[1::2]), strict=True)))
