"""From the server's answers to a snapshot; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from typing import Any, Final

from streams.bus.codec import shown
from streams.bus.topology import Service
from streams.health import recent, upkeep
from streams.health.collect import OWNERS_ASKED, Measurements, Place
from streams.health.deployment import Deployment
from streams.health.life import SignsOfLife
from streams.health.snapshot import (
    Consumer,
    DeadLetters,
    Deliveries,
    Group,
    HeardBy,
    Jobs,
    Lag,
    Server,
    ServiceHealth,
    Snapshot,
    Stream,
    StreamRole,
)
from streams.health.thresholds import Thresholds
from streams.jobs.messages import DeadReason
from streams.jobs.running import HANDED_BACK

NO_TIME_BEFORE_MS: Final = 1_000_000_000_000
"""An entry id below that (2001) was made up by somebody, and isn't a time."""
OTHER_REASON: Final = "other"
"""What a worker of somebody else's calls a reason that isn't one of ours: names that anybody may choose stay out of labels."""


def assemble(deployment: Deployment, thresholds: Thresholds, found: Measurements) -> Snapshot:
    """Put a snapshot together."""
    life = SignsOfLife.read(found.first.get("workers", {}), found.first.get("clients", []), now=found.now_ms / 1000)
    notes = upkeep.read(found.first.get("upkeep", {}))
    streams = tuple(_stream(deployment, found, place, life) for place in found.places)
    return Snapshot(
        at=datetime.fromtimestamp(found.now_ms / 1000, UTC),
        prefix=deployment.keys.prefix,
        window_seconds=thresholds.window_seconds,
        lease_seconds=deployment.lease_seconds,
        server=_server(found.first.get("info", {})),
        streams=streams,
        services=tuple(_service(deployment, thresholds, found, each, streams) for each in deployment.services),
        jobs=Jobs(
            open=int(found.first.get("open", 0)),
            oldest_open_age_seconds=_since(found, ("open", "oldest")),
            parked=int(found.first.get("parked", 0)),
            oldest_parked_age_seconds=_since(found, ("parked", "oldest")),
        ),
        upkeep=upkeep.works(notes, found.now_ms / 1000),
        findings=upkeep.findings(notes),
    )


def age_seconds(entry_id: str, now_ms: int) -> float | None:
    """How long ago an entry was added; None when its id holds no time."""
    milliseconds = int(entry_id.partition("-")[0])
    return None if milliseconds < NO_TIME_BEFORE_MS else max(0.0, (now_ms - milliseconds) / 1000)


def _since(found: Measurements, name: tuple[str, str]) -> float | None:
    rows = found.first.get(name, [])
    return max(0.0, (found.now_ms - float(rows[0][1])) / 1000) if rows else None


# ----------------------------------------------------------------------------------------------------------------------------------------- streams


def _stream(deployment: Deployment, found: Measurements, place: Place, life: SignsOfLife) -> Stream:
    extent = found.extents.get(place.key)
    common = {"name": place.name, "key": place.key, "role": place.role, "service": place.service}
    if extent is None:
        refusal = found.first.refusal(("stream", place.key))
        return Stream(**common, problem="" if "no such key" in refusal else refusal)
    return Stream(
        **common,
        length=extent.length,
        bytes=int(found.first.get(("bytes", place.key), 0)),
        oldest_age_seconds=age_seconds(extent.first, found.now_ms) if extent.first else None,
        groups=tuple(_group(deployment, found, place, row, life) for row in found.first.get(("groups", place.key), [])),
    )


def _group(deployment: Deployment, found: Measurements, place: Place, row: dict[str, Any], life: SignsOfLife) -> Group:
    name = str(row["name"])
    at = (place.key, name)
    pending: list[dict[str, Any]] = found.second.get(("pending", *at), [])
    held = [each for each in pending if each["consumer"] != HANDED_BACK]
    lease = _lease(deployment, place)
    renewed: dict[str, float] = {}
    for each in held:
        ago = each["time_since_delivered"] / 1000
        renewed[each["consumer"]] = min(ago, renewed.get(each["consumer"], ago))
    rows = [each for each in found.second.get(("consumers", *at), []) if each["name"] != HANDED_BACK]
    consumers = tuple(_consumer(each, life, renewed.get(each["name"]), lease) for each in rows)
    alive = {each["name"] for each, consumer in zip(rows, consumers, strict=True) if consumer.alive}
    abandoned = [
        each["time_since_delivered"] / 1000 for each in held if each["consumer"] not in alive and each["time_since_delivered"] > lease * 1000
    ]
    unread = found.second.get(("unread", *at), (0, ""))[1]
    return Group(
        name=shown(name),
        lag=found.lags[at],
        oldest_unread_age_seconds=age_seconds(unread, found.now_ms) if unread else None,
        pending=int(row["pending"]),
        handed_back=len(pending) - len(held),
        oldest_pending_age_seconds=age_seconds(str(pending[0]["message_id"]), found.now_ms) if pending else None,
        deliveries=_deliveries([int(each["times_delivered"]) for each in held], uncounted=max(0, int(row["pending"]) - len(pending))),
        abandoned=len(abandoned),
        longest_abandoned_seconds=max(abandoned, default=None),
        consumers=consumers,
    )


def _lease(deployment: Deployment, place: Place) -> float:
    """How long nothing need be heard of an entry; workers that don't claim have their service's own time."""
    service = next((each for each in deployment.services if each.name == place.service), None)
    return (
        max(deployment.lease_seconds, (service and service.reap_after_seconds) or 0.0)
        if place.role is StreamRole.COMMANDS
        else deployment.lease_seconds
    )


def _deliveries(counts: list[int], *, uncounted: int) -> Deliveries:
    return Deliveries(
        once=sum(count <= 1 for count in counts),
        twice=counts.count(2),
        thrice=counts.count(3),
        more=sum(count > 3 for count in counts),
        uncounted=uncounted,
    )


def _consumer(row: dict[str, Any], life: SignsOfLife, renewed_ago: float | None, lease_seconds: float) -> Consumer:
    name, idle = str(row["name"]), int(row["idle"]) / 1000
    heard_by = life.of(name, idle_seconds=idle, renewed_ago_seconds=renewed_ago, lease_seconds=lease_seconds)
    return Consumer(name=shown(name), pending=int(row["pending"]), idle_seconds=idle, alive=heard_by is not HeardBy.NOTHING, heard_by=heard_by)


# ---------------------------------------------------------------------------------------------------------------------------------------- services


def _service(deployment: Deployment, thresholds: Thresholds, found: Measurements, service: Service, streams: tuple[Stream, ...]) -> ServiceHealth:
    own = [stream for stream in streams if stream.service == service.name and stream.role is StreamRole.COMMANDS]
    groups = [group for stream in own if (group := stream.group(service.group)) is not None]
    # A stream without the group: no worker and no bridge has ever been there, and everything on it waits.
    orphaned = [stream for stream in own if stream.group(service.group) is None and stream.length]
    waits = [group.oldest_unread_age_seconds for group in groups] + [stream.oldest_age_seconds for stream in orphaned]
    handed_back = sum(group.handed_back for group in groups)
    lags = [*(group.lag for group in groups), *(Lag.exactly(stream.length) for stream in orphaned), Lag.exactly(handed_back)]
    delayed = found.first.get(("delayed", service.name, "oldest"), [])
    return ServiceHealth(
        name=service.name,
        group=service.group,
        workers=len({consumer.name for group in groups for consumer in group.consumers if consumer.alive}),
        waiting=reduce(Lag.plus, lags),
        oldest_waiting_seconds=max((wait for wait in waits if wait is not None), default=None),
        running=sum(group.pending for group in groups) - handed_back,
        delayed=int(found.first.get(("delayed", service.name), 0)),
        overdue=int(found.second.get(("overdue", service.name), 0)),
        most_overdue_seconds=max(0.0, (found.now_ms - float(delayed[0][1])) / 1000) if delayed else 0.0,
        open=_owned(found, "open", service.name),
        parked=_owned(found, "parked", service.name),
        times=recent.times(
            recent.read_all(found.first.get(("recent", service.name), [])), now_ms=found.now_ms, window_seconds=thresholds.window_seconds
        ),
        dead_letters=_dead_letters(deployment, found, service),
    )


def _owned(found: Measurements, kind: str, service_name: str) -> int | None:
    publishes: list[Any] = found.first.get((kind, "publishes"), [])
    if max(len(publishes), int(found.first.get(kind, 0))) > OWNERS_ASKED:
        return None
    return [found.second.get((kind, str(publish))) for publish in publishes].count(service_name)


def _dead_letters(deployment: Deployment, found: Measurements, service: Service) -> DeadLetters:
    extent = found.extents.get(deployment.keys.stream(service.dead_letters))
    if extent is None:
        return DeadLetters()
    counts, _ = found.reasons[service.name]
    by_reason: dict[str, int] = {}
    for reason, count in counts.items():
        known = known_reason(reason)
        by_reason[known] = by_reason.get(known, 0) + count
    lately = found.second.get(("lately", service.name))
    return DeadLetters(
        total=extent.length,
        lately=None if lately is None else lately[0],
        by_reason=by_reason,
        uncounted=max(0, extent.length - sum(counts.values())),
    )


def known_reason(reason: str) -> str:
    """A dead letter's reason, or `other`."""
    return reason if reason in set(DeadReason) else OTHER_REASON


# ------------------------------------------------------------------------------------------------------------------------------------------ server


def _server(info: dict[str, Any]) -> Server:
    return Server(
        version=str(info.get("valkey_version") or info.get("redis_version") or "unknown"),
        role=str(info.get("role", "unknown")),
        uptime_seconds=int(info.get("uptime_in_seconds", 0)),
        used_bytes=int(info.get("used_memory", 0)),
        max_bytes=int(info.get("maxmemory", 0)),
        policy=str(info.get("maxmemory_policy", "unknown")),
        evicted_keys=int(info.get("evicted_keys", 0)),
        aof=bool(info.get("aof_enabled", 0)),
        aof_ok=info.get("aof_last_write_status", "ok") == "ok" and info.get("aof_last_bgrewrite_status", "ok") == "ok",
        rdb_ok=info.get("rdb_last_bgsave_status", "ok") == "ok",
    )
