"""Measuring: three round trips that only read, and no SCAN or KEYS. What the server refuses is left out, and said where it matters.

1. the server, the sets of jobs, and every stream with its groups;
2. each group's consumers and pending entries, what waits longest, the dead letters;
3. lags that the server doesn't know, counted there up to a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from streams.bus.functions import FunctionCall
from streams.bus.topology import RedisStreamsConfig, Service
from streams.health.asking import Answers, Questions
from streams.health.deployment import Deployment
from streams.health.lag import Extent, counted_lag, known_lag
from streams.health.snapshot import LATELY_COUNTED, Lag, StreamRole
from streams.health.thresholds import Thresholds
from streams.jobs.queueing import count_between

PENDING_COUNTED: Final = 10_000
"""Pending entries of a group whose deliveries are looked at, oldest first."""
REASONS_AT_A_TIME: Final = 1_000
REASONS_COUNTED: Final = 10_000
"""Dead letters of a service whose reasons are counted, newest first."""
OVERDUE_AFTER_SECONDS: Final = 5.0
OWNERS_ASKED: Final = 1_000
"""As many open or parked jobs are asked which service's they are."""


@dataclass(frozen=True, slots=True)
class Place:
    """A stream, and what it carries."""

    name: str
    key: str
    role: StreamRole
    service: str = ""

    @property
    def capped(self) -> bool:
        """Whether it is cut at a length, whoever has read it."""
        return self.role in (StreamRole.STATUS, StreamRole.OTHER)


@dataclass(frozen=True, slots=True)
class Measurements:
    """All answers, before they are put together."""

    places: tuple[Place, ...]
    first: Answers
    second: Answers
    extents: dict[str, Extent]
    """By key, of the streams that there are."""
    lags: dict[tuple[str, str], Lag]
    """By key and group."""
    reasons: dict[str, tuple[dict[str, int], bool]]
    """Of each service's dead letters; whether these are all."""
    now_ms: int


def places_of(deployment: Deployment) -> tuple[Place, ...]:
    """Every stream of the deployment."""
    places: list[Place] = []
    for each in deployment.services:
        roles = [(name, StreamRole.COMMANDS) for name in each.command_streams]
        roles += [(each.results, StreamRole.RESULTS), (each.status, StreamRole.STATUS), (each.dead_letters, StreamRole.DEAD_LETTERS)]
        places += [Place(name, deployment.keys.stream(name), role, each.name) for name, role in roles]
    others = (RedisStreamsConfig.SUPERSEDED_RESULTS, RedisStreamsConfig.SYSTEM_EVENTS)
    return (*places, *(Place(name, deployment.keys.stream(name), StreamRole.OTHER) for name in others))


def measure(deployment: Deployment, thresholds: Thresholds) -> Measurements:
    """Ask everything.

    Raises:
        one of CONNECTION_ERRORS: the server is away.
        redis.ResponseError: it refuses even the time of day.
    """
    places = places_of(deployment)
    first = _first(deployment, places)
    seconds, microseconds = first.must("time")
    now_ms = seconds * 1000 + microseconds // 1000
    extents = {place.key: Extent.read(info, capped=place.capped) for place in places if (info := first.get(("stream", place.key))) is not None}
    lags = _lags(deployment, extents, first, thresholds.count_limit)
    second = _second(deployment, first, extents, lags, now_ms, thresholds.dead_letters_seconds)
    reasons = {each.name: _reasons(deployment, each, extents) for each in deployment.services}
    return Measurements(places, first, second, extents, lags, reasons, now_ms)


def _first(deployment: Deployment, places: tuple[Place, ...]) -> Answers:
    keys, questions = deployment.keys, Questions(deployment.client)
    questions.ask("time").time()
    questions.ask("info").info()
    questions.ask("workers").hgetall(keys.workers)
    questions.ask("upkeep").hgetall(keys.upkeep)
    questions.ask("clients").client_list(_type="normal")
    for name, key in (("open", keys.open_jobs), ("parked", keys.parked_jobs)):
        questions.ask(name).zcard(key)
        questions.ask((name, "oldest")).zrange(key, 0, 0, withscores=True)
        questions.ask((name, "publishes")).zrange(key, 0, OWNERS_ASKED)
    for each in deployment.services:
        questions.ask(("delayed", each.name)).zcard(keys.delayed(each.name))
        questions.ask(("delayed", each.name, "oldest")).zrange(keys.delayed(each.name), 0, 0, withscores=True)
        questions.ask(("recent", each.name)).lrange(keys.recent(each.name), 0, -1)
    for place in places:
        questions.ask(("stream", place.key)).xinfo_stream(place.key)
        questions.ask(("groups", place.key)).xinfo_groups(place.key)
        questions.ask(("bytes", place.key)).memory_usage(place.key)
    return questions.answers()


def _lags(deployment: Deployment, extents: dict[str, Extent], first: Answers, limit: int) -> dict[tuple[str, str], Lag]:
    lags: dict[tuple[str, str], Lag] = {}
    for key, extent in extents.items():
        for row in first.get(("groups", key), []):
            last = str(row["last-delivered-id"])
            reported: int | None = row.get("lag")
            lags[key, str(row["name"])] = known_lag(extent, last, reported) or counted_lag(deployment.client, key, last, limit)
    return lags


def _second(
    deployment: Deployment,
    first: Answers,
    extents: dict[str, Extent],
    lags: dict[tuple[str, str], Lag],
    now_ms: int,
    lately_seconds: float,
) -> Answers:
    questions = Questions(deployment.client)
    for key in extents:
        for row in first.get(("groups", key), []):
            group = str(row["name"])
            questions.ask(("consumers", key, group)).xinfo_consumers(key, group)
            if row["pending"]:
                questions.ask(("pending", key, group)).xpending_range(key, group, "-", "+", PENDING_COUNTED)
            if lags[key, group].entries != 0:
                questions.call(("unread", key, group), count_between(key, str(row["last-delivered-id"]), most=1))
    for each in deployment.services:
        overdue_before = now_ms - int(OVERDUE_AFTER_SECONDS * 1000)
        questions.ask(("overdue", each.name)).zcount(deployment.keys.delayed(each.name), "-inf", overdue_before)
        dead = deployment.keys.stream(each.dead_letters)
        if dead in extents:
            questions.call(("lately", each.name), count_between(dead, f"{now_ms - int(lately_seconds * 1000)}-0", most=LATELY_COUNTED))
    for name in ("open", "parked"):
        publishes = first.get((name, "publishes"), [])
        if len(publishes) <= OWNERS_ASKED:
            for publish in map(str, publishes):
                questions.ask((name, publish)).hget(deployment.keys.job(publish), "service")
    return questions.answers()


def _reasons(deployment: Deployment, service: Service, extents: dict[str, Extent]) -> tuple[dict[str, int], bool]:
    """Why a service's dead letters are dead; and whether all were counted."""
    key = deployment.keys.stream(service.dead_letters)
    counts: dict[str, int] = {}
    if key not in extents or extents[key].length == 0:
        return counts, True
    before = "+"
    for _ in range(REASONS_COUNTED // REASONS_AT_A_TIME):
        questions = Questions(deployment.client)
        questions.call("reasons", count_values(key, "reason", before=before, most=REASONS_AT_A_TIME))
        before, more = questions.answers().get("reasons", ("", None))
        if more is None:
            return counts, False
        for reason, count in more.items():
            counts[reason] = counts.get(reason, 0) + count
        if not before:
            return counts, True
    return counts, False


def count_values(stream: str, field: str, *, before: str = "+", most: int = REASONS_AT_A_TIME) -> FunctionCall[tuple[str, dict[str, int]]]:
    """How many of the newest entries of a stream (full key) have which value of a field; and the id of the oldest one counted, "" when there are no more."""

    def parse(reply: Any) -> tuple[str, dict[str, int]]:
        return str(reply[0]), {str(value): int(count) for value, count in zip(reply[1::2], reply[2::2], strict=True)}

    return FunctionCall("count_values", (stream,), (field, before, most), parse)
