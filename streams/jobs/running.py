"""The steps of a worker with an entry of its service (protocol R4 to R6, and the orderly hand-back); their functions are in `lua/20_run.lua`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from streams.bus import clock, reader
from streams.bus.codec import encode_json
from streams.bus.functions import FunctionCall, flat, verdict
from streams.bus.topology import Keys, Service
from streams.jobs.messages import Command, DeadReason, JobErrorInfo, Result, Status

STATUS_STREAM_CAP: Final = 10_000
HANDED_BACK: Final = reader.HANDED_BACK
HANDED_BACK_IDLE_MS: Final = reader.HANDED_BACK_IDLE_MS


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry handed to one consumer."""

    service: Service
    stream: str
    """Full key of the command stream that it came on."""
    entry: str
    consumer: str
    command: Command

    @property
    def publish_id(self) -> str:
        """The publish; a command of a foreign producer without one is known by its entry."""
        return publish_of(self.service, self.stream, self.entry, self.command.publish_id)

    def sender(self, worker: str, pid: int) -> dict[str, str]:
        """The flat fields that every message of this run begins with."""
        fields = {"schema": "1", "task_id": self.command.task_id, "attempt": str(self.command.attempt), "worker": worker, "pid": str(pid)}
        if self.command.publish_id:
            fields["publish_id"] = self.command.publish_id
        return fields


def publish_of(service: Service, stream: str, entry: str, named: str | None) -> str:
    """The publish that a command names, or else what it is known by: two lanes may hold entries of the same id.

    On the plain stream that stays the same when the service gets lanes beside it.
    """
    return named or (f"entry:{entry}" if stream.endswith(service.commands) else f"entry:{stream}:{entry}")


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What take_up decided."""

    verdict: str
    """`run`; else the entry is dealt with: `lost`, `resolved`, `cancelled`, `expired` or `dead_lettered`."""
    token: str = ""
    delivery: int = 0
    crashes: int = 0
    """Earlier runs whose worker died, or lost its lease, under them."""


def take_up(
    keys: Keys, delivery: Delivery, *, nonce: str, max_deliveries: int, worker: str, pid: int, status_cap: int = STATUS_STREAM_CAP
) -> FunctionCall[TakenUp]:
    """R4: may this entry run, and under which token. The same `nonce` twice counts once."""
    service, command = delivery.service, delivery.command
    expires = "" if command.expires_at is None else int(command.expires_at.timestamp() * 1000)
    return FunctionCall(
        "take_up",
        (
            delivery.stream,
            command.callback_stream,
            keys.stream(service.dead_letters),
            keys.stream(service.status),
            keys.run(service.name, delivery.publish_id),
        ),
        (
            keys.job(delivery.publish_id),
            service.group,
            delivery.consumer,
            delivery.entry,
            nonce,
            1 if command.at_most_once else max_deliveries,
            clock.now_ms(),
            expires,
            command.deliveries,
            status_cap,
            clock.moment(),
            *flat(delivery.sender(worker, pid)),
        ),
        lambda reply: TakenUp(str(reply[0]), str(reply[1]), int(reply[2]), int(reply[3])) if len(reply) > 1 else TakenUp(str(reply[0])),
    )


def heartbeat(keys: Keys, delivery: Delivery, token: str, status: Status | None = None, *, status_cap: int = STATUS_STREAM_CAP) -> FunctionCall[str]:
    """R5: renew the lease, and report progress when there is some. Returns `held`, `cancelled` or `lost`."""
    service = delivery.service
    return FunctionCall(
        "heartbeat",
        (
            delivery.stream,
            keys.stream(service.status),
            keys.run(service.name, delivery.publish_id),
        ),
        (
            keys.job(delivery.publish_id),
            service.group,
            delivery.consumer,
            delivery.entry,
            token,
            clock.now_ms(),
            status_cap,
            *(flat(status.to_redis_dict()) if status else ()),
        ),
        verdict,
    )


def finish(keys: Keys, delivery: Delivery, token: str, result: Result) -> FunctionCall[str]:
    """R6: the result and the acknowledgement in one step. Returns `finished` or `lost`; safe to send again."""
    service = delivery.service
    return FunctionCall(
        "finish",
        (delivery.stream, delivery.command.callback_stream, keys.run(service.name, delivery.publish_id)),
        (service.group, delivery.consumer, delivery.entry, token, *flat(result.to_redis_dict())),
        verdict,
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
            delivery.stream,
            delivery.command.callback_stream,
            keys.stream(service.dead_letters),
            keys.delayed(service.name),
            keys.run(service.name, delivery.publish_id),
        ),
        (
            keys.job(delivery.publish_id),
            service.group,
            delivery.consumer,
            delivery.entry,
            token,
            1 if delivery.command.at_most_once else max_deliveries,
            clock.now_ms() + int(delay.total_seconds() * 1000),
            delivery.publish_id,
            DeadReason.UNCERTAIN if delivery.command.at_most_once else reason,
            encode_json(error),
            clock.moment(),
            *flat(delivery.sender(worker, pid)),
        ),
        verdict,
    )


def dead_letter(
    keys: Keys,
    service: Service,
    *,
    stream: str,
    consumer: str,
    entry: str,
    fields: dict[str, str],
    reason: str,
    error: JobErrorInfo,
    worker: str,
    pid: int,
) -> FunctionCall[str]:
    """R6, for an entry that can't be taken up: parked with its own fields; a result goes out when they still say to whom.

    Returns `dead_lettered`, `resolved` (its publish has ended already: only acknowledged) or `lost`.
    """
    publish_id = publish_of(service, stream, entry, fields.get("publish_id"))
    sender = {"schema": "1", "worker": worker, "pid": str(pid)}
    callback = fields.get("callback_stream", "")
    if callback and fields.get("task_id") and fields.get("attempt", "").isdigit():
        sender |= {name: fields[name] for name in ("task_id", "attempt", "publish_id") if fields.get(name)}
    return FunctionCall(
        "dead_letter",
        (
            stream,
            callback or keys.stream(service.results),
            keys.stream(service.dead_letters),
            keys.run(service.name, publish_id),
        ),
        (keys.job(publish_id), service.group, consumer, entry, reason, encode_json(error), 1, clock.moment(), *flat(sender)),
        verdict,
    )


def hand_back(keys: Keys, delivery: Delivery, token: str, *, keep: bool = False) -> FunctionCall[str]:
    """Give an entry back in order: the run doesn't count, and any worker may take it at once; with `keep` it stays this consumer's, for another lease.

    Returns:
        `handed_back` or `lost`.
    """
    service = delivery.service
    return FunctionCall(
        "hand_back",
        (delivery.stream, keys.run(service.name, delivery.publish_id)),
        (service.group, delivery.consumer, delivery.entry, token, *((delivery.consumer, 0) if keep else (HANDED_BACK, HANDED_BACK_IDLE_MS))),
        verdict,
    )
