"""What was measured, as typed values: `collect` makes them, `verdict` judges them, the renderers show them.

Durations are seconds, sizes bytes. None is "not known", never a number: what isn't known says why.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

LATELY_COUNTED: Final = 1_000
"""Of the dead letters that came lately, no more are counted."""


class Measured(BaseModel):
    """Base of each part of a snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Lag(Measured):
    """How many entries a group hasn't been given yet: exactly, or unknown with the reason."""

    entries: int | None
    """None: not known."""
    at_least: int = 0
    """What is known of it all the same."""
    why_unknown: str = ""

    @classmethod
    def exactly(cls, entries: int) -> Lag:
        """A known lag."""
        return cls(entries=entries, at_least=entries)

    @classmethod
    def unknown(cls, why: str, *, at_least: int = 0) -> Lag:
        """A lag that can't be told, and why."""
        return cls(entries=None, at_least=at_least, why_unknown=why)

    def plus(self, other: Lag) -> Lag:
        """Of both together."""
        at_least = self.at_least + other.at_least
        if self.entries is None or other.entries is None:
            return Lag.unknown(self.why_unknown or other.why_unknown, at_least=at_least)
        return Lag.exactly(at_least)

    def __str__(self) -> str:
        if self.entries is not None:
            return f"{self.entries:,}"
        return f"unknown, at least {self.at_least:,}" if self.at_least else "unknown"


class Deliveries(Measured):
    """Pending entries by how often they were delivered; more than twice is a sign of workers that die under a job."""

    once: int = 0
    twice: int = 0
    thrice: int = 0
    more: int = 0
    uncounted: int = 0
    """Beyond the 10,000 oldest."""


class HeardBy(StrEnum):
    """What says that a consumer is alive."""

    HEARTBEAT = "heartbeat"
    """A stream worker tells of itself."""
    CONNECTION = "connection"
    """A connection of its name has asked for something within a lease."""
    RENEWAL = "renewal"
    """It was given an entry, or has renewed its hold, within a lease."""
    IDLE = "idle"
    """It has read or claimed within a lease."""
    NOTHING = "nothing"
    """It isn't."""


class Consumer(Measured):
    """One consumer of a group: a worker process, or a bridge."""

    name: str
    pending: int
    idle_seconds: float
    """As the server counts it. Redis 7.0 counts no read that found nothing: a consumer that waits looks as idle there as a dead one."""
    alive: bool
    heard_by: HeardBy
    """How that is known."""


class Group(Measured):
    """A consumer group of one stream."""

    name: str
    lag: Lag
    oldest_unread_age_seconds: float | None = None
    """None: there is nothing unread, or its age isn't known."""
    pending: int = 0
    """Given to a consumer and not acknowledged."""
    handed_back: int = 0
    """Of them, those that nobody has: a worker gave them back in good order."""
    oldest_pending_age_seconds: float | None = None
    """Since that entry was added."""
    deliveries: Deliveries = Deliveries()
    abandoned: int = 0
    """Pending entries of consumers that aren't alive, unrenewed for longer than a lease."""
    longest_abandoned_seconds: float | None = None
    consumers: tuple[Consumer, ...] = ()

    @property
    def alive(self) -> int:
        """Consumers that are there."""
        return sum(consumer.alive for consumer in self.consumers)


class StreamRole(StrEnum):
    """What a stream carries."""

    COMMANDS = "commands"
    RESULTS = "results"
    STATUS = "status"
    DEAD_LETTERS = "dead letters"
    OTHER = "other"


class Stream(Measured):
    """One stream."""

    name: str
    """Without the deployment's prefix."""
    key: str
    role: StreamRole
    service: str = ""
    """"" for a stream of no service."""
    problem: str = ""
    """Why it can't be looked at, such as a key of another type."""
    length: int = 0
    bytes: int = 0
    """MEMORY USAGE, which samples a few of its nodes."""
    oldest_age_seconds: float | None = None
    """None: it is empty, or its first id was made up by somebody and holds no time."""
    groups: tuple[Group, ...] = ()

    def group(self, name: str) -> Group | None:
        """The group of that name."""
        return next((group for group in self.groups if group.name == name), None)


class DeadLetters(Measured):
    """What lies in a service's dead-letter stream."""

    total: int = 0
    lately: int | None = 0
    """Those of the last hour (HEALTH_DEAD_LETTERS_SECONDS), at most 1,000 are counted; None: not known."""
    by_reason: dict[str, int] = {}
    uncounted: int = 0
    """Older than the 10,000 whose reasons were counted."""


class Times(Measured):
    """Of the jobs that ended within the window."""

    finished: int = 0
    per_minute: float = 0.0
    queue_wait_p50_seconds: float | None = None
    """From dispatch to the first start; None: no job of the window says it."""
    queue_wait_p95_seconds: float | None = None
    run_p50_seconds: float | None = None
    run_p95_seconds: float | None = None


class ServiceHealth(Measured):
    """A service: what waits, runs, was delayed, ended."""

    name: str
    group: str
    """Consumer group of its workers."""
    workers: int
    """Worker processes that are alive."""
    waiting: Lag
    """On its command streams, taken up by nobody; with what was handed back."""
    oldest_waiting_seconds: float | None
    running: int
    """Given to a worker and not acknowledged."""
    delayed: int
    """Waiting for their next delivery."""
    overdue: int
    """Of them, those whose time had come more than 5 s ago: a bridge puts them back within a second."""
    most_overdue_seconds: float
    open: int | None
    """Jobs without an outcome; None: there are too many to ask each whose it is."""
    parked: int | None
    """Jobs that wait for an operator."""
    times: Times
    dead_letters: DeadLetters


class Jobs(Measured):
    """Of all services together."""

    open: int
    oldest_open_age_seconds: float | None
    parked: int
    oldest_parked_age_seconds: float | None


class Server(Measured):
    """The server of the streams."""

    version: str
    role: str
    """`master`, or `slave`, which takes no writes."""
    uptime_seconds: int
    used_bytes: int
    max_bytes: int
    """0: no limit."""
    policy: str
    """maxmemory-policy; anything but `noeviction` may lose jobs."""
    evicted_keys: int
    """Since its start."""
    aof: bool
    """What was written survives a crash."""
    aof_ok: bool
    rdb_ok: bool


class Upkeep(Measured):
    """When a work of upkeep was done last, by a bridge or by beat."""

    name: str
    age_seconds: float | None
    """None: it isn't known."""
    took_seconds: float
    error: str = ""
    """Why it failed."""


class Snapshot(Measured):
    """How everything stood when it was asked: several reads, so that a part may be a moment newer than another."""

    at: datetime
    """By the server's clock."""
    prefix: str
    window_seconds: float
    """Over which queue waits, run times and throughput are taken."""
    lease_seconds: float
    server: Server
    streams: tuple[Stream, ...]
    services: tuple[ServiceHealth, ...]
    jobs: Jobs
    upkeep: tuple[Upkeep, ...] = ()
    findings: dict[str, int] = {}
    """What the reconciler found last and couldn't repair, by kind."""

    def stream(self, name: str) -> Stream | None:
        """The stream of that name, without prefix."""
        return next((stream for stream in self.streams if stream.name == name), None)

    def service(self, name: str) -> ServiceHealth | None:
        """The service of that name."""
        return next((service for service in self.services if service.name == name), None)
