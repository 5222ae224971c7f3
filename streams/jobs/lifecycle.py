"""The life of a job, step by step: one pure, typed caller per Redis function. Rule numbers are those of docs/protocol.md.

Each returns a `FunctionCall`; `streams.bus.functions.call` or `call_async` sends it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from streams.bus.codec import encode_datetime, encode_json
from streams.bus.functions import FunctionCall, flat
from streams.bus.messages import utc_now
from streams.bus.topology import Keys, Service
from streams.jobs.messages import Command, DeadReason, JobErrorInfo, Result, Status

STATUS_STREAM_CAP: Final = 10_000
SUPERSEDED_STREAM_CAP: Final = 10_000
HANDED_BACK: Final = "handed_back"
"""The consumer that holds what was handed back."""
HANDED_BACK_IDLE_MS: Final = 1_000_000_000
"""Idle time given to a handed-back entry (11 days), so that any claim takes it at once."""


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)


def moment() -> str:
    """Now, as messages carry it."""
    return encode_datetime(utc_now())


def _verdict(reply: Any) -> str:
    return str(reply[0])


# ---------------------------------------------------------------------------------------------------------------------- dispatch, management side


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What dispatch did."""

    verdict: str
    """`sent`, `cancelled` (a cancel was waiting) or `duplicate` (this publish is known)."""
    seq: int
    """Run number of the task id."""
    entry: str


def dispatch(
    keys: Keys, service: Service, command: Command, *, publish_id: str, lineage: str, retries: int, context: bytes | str
) -> FunctionCall[Dispatched]:
    """R3: remember the publish and send its command, once."""
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
            keys.stream(service.commands),
            command.callback_stream,
        ),
        (publish_id, command.task_id, lineage, retries, now_ms(), service.name, context, moment(), *flat(fields)),
        lambda reply: Dispatched(str(reply[0]), int(reply[1]), str(reply[2])),
    )


# -------------------------------------------------------------------------------------------------------------------------------- run, worker side


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry handed to one consumer."""

    service: Service
    entry: str
    consumer: str
    command: Command

    @property
    def publish_id(self) -> str:
        """The publish; a command of a foreign producer without one is known by its entry."""
        return self.command.publish_id or f"entry:{self.entry}"

    def sender(self, worker: str, pid: int) -> dict[str, str]:
        """The flat fields that every message of this run begins with."""
        fields = {"schema": "1", "task_id": self.command.task_id, "attempt": str(self.command.attempt), "worker": worker, "pid": str(pid)}
        if self.command.publish_id:
            fields["publish_id"] = self.command.publish_id
        return fields


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What take_up decided."""

    verdict: str
    """`run`; else the entry is dealt with: `lost`, `resolved`, `cancelled`, `expired` or `dead_lettered`."""
    token: str = ""
    delivery: int = 0


def take_up(
    keys: Keys, delivery: Delivery, *, nonce: str, max_deliveries: int, worker: str, pid: int, status_cap: int = STATUS_STREAM_CAP
) -> FunctionCall[TakenUp]:
    """R4: may this entry run, and under which token. The same `nonce` twice counts once."""
    service, command = delivery.service, delivery.command
    expires = "" if command.expires_at is None else int(command.expires_at.timestamp() * 1000)
    return FunctionCall(
        "take_up",
        (
            keys.stream(service.commands),
            command.callback_stream,
            keys.stream(service.dead_letters),
            keys.stream(service.status),
            keys.job(delivery.publish_id),
            keys.run(service.name, delivery.publish_id),
        ),
        (
            service.group,
            delivery.consumer,
            delivery.entry,
            nonce,
            max_deliveries,
            now_ms(),
            expires,
            command.deliveries,
            status_cap,
            moment(),
            *flat(delivery.sender(worker, pid)),
        ),
        lambda reply: TakenUp(str(reply[0]), str(reply[1]), int(reply[2])) if len(reply) > 1 else TakenUp(str(reply[0])),
    )


def heartbeat(keys: Keys, delivery: Delivery, token: str, status: Status | None = None, *, status_cap: int = STATUS_STREAM_CAP) -> FunctionCall[str]:
    """R5: renew the lease, and report progress when there is some. Returns `held`, `cancelled` or `lost`."""
    service = delivery.service
    return FunctionCall(
        "heartbeat",
        (
            keys.stream(service.commands),
            keys.stream(service.status),
            keys.job(delivery.publish_id),
            keys.run(service.name, delivery.publish_id),
        ),
        (
            service.group,
            delivery.consumer,
            delivery.entry,
            token,
            now_ms(),
            status_cap,
            *(flat(status.to_redis_dict()) if status else ()),
        ),
        _verdict,
    )


def finish(keys: Keys, delivery: Delivery, token: str, result: Result) -> FunctionCall[str]:
    """R6: the result and the acknowledgement in one step. Returns `finished` or `lost`; safe to send again."""
    service = delivery.service
    return FunctionCall(
        "finish",
        (keys.stream(service.commands), delivery.command.callback_stream, keys.run(service.name, delivery.publish_id)),
        (service.group, delivery.consumer, delivery.entry, token, *flat(result.to_redis_dict())),
        _verdict,
    )


def retry_later(
    keys: Keys,
    delivery: Delivery,
    token: str,
    error: JobErrorInfo,
    *,
    reason: DeadReason,
    delay: timedelta,
    max_deliveries: int,
    worker: str,
    pid: int,
) -> FunctionCall[str]:
    """R6: a passing trouble; run again after `delay`, or when used up park it for `reason`. Returns `delayed`, `dead_lettered` (used up) or `lost`; safe to send again."""
    service = delivery.service
    return FunctionCall(
        "retry_later",
        (
            keys.stream(service.commands),
            delivery.command.callback_stream,
            keys.stream(service.dead_letters),
            keys.delayed(service.name),
            keys.job(delivery.publish_id),
            keys.run(service.name, delivery.publish_id),
        ),
        (
            service.group,
            delivery.consumer,
            delivery.entry,
            token,
            max_deliveries,
            now_ms() + int(delay.total_seconds() * 1000),
            delivery.publish_id,
            reason,
            encode_json(error),
            moment(),
            *flat(delivery.sender(worker, pid)),
        ),
        _verdict,
    )


def dead_letter(
    keys: Keys, service: Service, *, consumer: str, entry: str, fields: dict[str, str], reason: str, error: JobErrorInfo, worker: str, pid: int
) -> FunctionCall[str]:
    """R6, for an entry that can't be taken up: parked with its own fields; a result goes out when they still say to whom.

    Returns `dead_lettered`, `resolved` (its publish has ended already: only acknowledged) or `lost`.
    """
    publish_id = fields.get("publish_id") or f"entry:{entry}"
    sender = {"schema": "1", "worker": worker, "pid": str(pid)}
    callback = fields.get("callback_stream", "")
    if callback and fields.get("task_id") and fields.get("attempt", "").isdigit():
        sender |= {name: fields[name] for name in ("task_id", "attempt", "publish_id") if fields.get(name)}
    return FunctionCall(
        "dead_letter",
        (
            keys.stream(service.commands),
            callback or keys.stream(service.results),
            keys.stream(service.dead_letters),
            keys.job(publish_id),
            keys.run(service.name, publish_id),
        ),
        (service.group, consumer, entry, reason, encode_json(error), 1, moment(), *flat(sender)),
        _verdict,
    )


def hand_back(keys: Keys, delivery: Delivery, token: str) -> FunctionCall[str]:
    """Give an entry back in order: the run doesn't count, and any worker may take it at once. Returns `handed_back` or `lost`."""
    service = delivery.service
    return FunctionCall(
        "hand_back",
        (keys.stream(service.commands), keys.run(service.name, delivery.publish_id)),
        (service.group, delivery.consumer, delivery.entry, token, HANDED_BACK, HANDED_BACK_IDLE_MS),
        _verdict,
    )


# --------------------------------------------------------------------------------------------------------------------- resolve, management side


@dataclass(frozen=True, slots=True)
class Begun:
    """What begin decided about a result."""

    verdict: str
    """`won`; else the result is acknowledged and not to be applied: `superseded`, `repeated` or `unknown` (no such publish)."""
    replay: bool = False
    """This result had begun before: a bridge died over it."""
    cancelled: bool = False
    """A cancel was accepted; it overrides any status."""
    seq: int = 0
    lineage: str = ""
    retries: int = 0
    context: str = ""


def begin(keys: Keys, publish_id: str, *, results: str, group: str, entry: str, superseded_cap: int = SUPERSEDED_STREAM_CAP) -> FunctionCall[Begun]:
    """R8: is this the result that counts? `results` is the full key of its stream."""

    def parse(reply: Any) -> Begun:
        if reply[0] != "won":
            return Begun(str(reply[0]))
        return Begun("won", bool(reply[1]), bool(reply[2]), int(reply[3]), str(reply[4]), int(reply[5]), str(reply[6]))

    return FunctionCall("begin", (keys.job(publish_id), results, keys.superseded), (group, entry, f"{results} {entry}", superseded_cap), parse)


def resolved(
    keys: Keys, service_name: str, publish_id: str, task_id: str, *, results: str, group: str, entry: str, tombstone: timedelta
) -> FunctionCall[str]:
    """R9: close the ledger and acknowledge the result. Returns `closed`, `repeated` or `superseded`."""
    return FunctionCall(
        "resolved",
        (keys.job(publish_id), keys.run(service_name, publish_id), keys.task(task_id), keys.open_jobs, results),
        (group, entry, f"{results} {entry}", publish_id, int(tombstone.total_seconds() * 1000), now_ms()),
        _verdict,
    )


def put_state(
    meta_key: str,
    mark_key: str,
    *,
    seq: int,
    rank: int,
    lineage: str,
    state: str,
    terminal: bool,
    ttl_seconds: int,
    mark_ttl_seconds: int,
    value: bytes | str,
) -> FunctionCall[bool]:
    """R2, on the result backend's server. An empty `value` only raises the mark. Returns whether it was written."""
    return FunctionCall(
        "put_state",
        (meta_key, mark_key),
        (seq, rank, lineage, state, int(terminal), ttl_seconds, mark_ttl_seconds, value),
        bool,
    )


# ------------------------------------------------------------------------------------------------------------------------ manage, management side


def promote(keys: Keys, service: Service, publish_id: str) -> FunctionCall[str]:
    """R7: put a delayed command back on its stream if it is due. Returns the new entry, or "" when there was nothing to do."""
    return FunctionCall(
        "promote",
        (keys.stream(service.commands), keys.delayed(service.name), keys.job(publish_id), keys.run(service.name, publish_id)),
        (publish_id, now_ms()),
        str,
    )


def cancel(keys: Keys, publish_id: str) -> FunctionCall[str]:
    """R10, for one publish. Returns `accepted`, `too late` or `unknown`."""
    return FunctionCall("cancel", (keys.job(publish_id),), (), str)


def repair(
    keys: Keys, service: Service, publish_id: str, *, task_id: str, attempt: int, callback_stream: str, results_group: str, max_deliveries: int
) -> FunctionCall[str]:
    """R13: send an open publish again whose command vanished. Returns `repaired`, `dead_lettered` or `fine:<why>`."""
    sender = {"schema": "1", "task_id": task_id, "attempt": str(attempt), "publish_id": publish_id, "worker": "reconciler"}
    return FunctionCall(
        "repair",
        (
            keys.job(publish_id),
            keys.run(service.name, publish_id),
            keys.stream(service.commands),
            keys.delayed(service.name),
            callback_stream,
            keys.stream(service.dead_letters),
        ),
        (publish_id, service.group, results_group, max_deliveries, moment(), *flat(sender)),
        _verdict,
    )
