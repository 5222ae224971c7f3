"""Every name of a stream, group or key is built here, and nowhere else.

Streams follow one grammar: `<source>:<destination>:<kind>`, or `<source>:<kind>` for a broadcast. A service is data, and can be added by
configuration only (`streams.bus.services`). A service may have lanes, each a command stream of its own, `mgmt:<service>:commands:<lane>`, whose workers empty the first before they look
at the next; its plain stream may be one of them (`PLAIN`). The keys that go with jobs:

| key                          | type   | who writes | holds                                                        |
|------------------------------|--------|------------|--------------------------------------------------------------|
| job:<publish>                | hash   | management | ledger: task, seq, phase, winner, cancel, context, command   |
| run:<service>:<publish>      | hash   | workers    | runs, token, result id, heartbeat, progress                  |
| task:<task_id>               | hash   | management | run counter, and which publish each run number belongs to    |
| cancel:<task_id>             | string | management | a cancel that came before the dispatch; has a TTL            |
| jobs:open                    | zset   | management | open publishes by dispatch time (ms), so that nobody SCANs   |
| jobs:parked                  | zset   | management | publishes that wait for an operator (DEAD_LETTERED), by time   |
| jobs:retrying                | zset   | management | publishes whose retry isn't dispatched yet, by its due time  |
| jobs:closed                  | zset   | management | the last publishes that ended, by time                       |
| dead:<service>               | hash   | management | what became of a dead letter, by its entry id                |
| recent:<service>             | list   | management | how long the last 1,000 jobs waited and ran; has a TTL       |
| told:critical                | string | management | that people were told of a critical verdict; has a TTL       |
| workers                      | hash   | management | what each stream worker last told of itself, by node name    |
| orders:<consumer>            | stream | management | what one worker process is asked to do; has a TTL            |
| answered:<ticket>            | string | management | which bridge answers a question of remote control; has a TTL |
| delayed:<service>            | zset   | workers    | publishes that are to be retried, by due time (ms)           |
| upkeep                       | hash   | management | when each work of upkeep was done, by whom, what came out    |
| upkeep:turn:<work>           | string | management | whose turn a work of upkeep is; has a TTL                    |
| over_memory                  | string | management | the streams are over their budget; has a TTL                 |
| mark:<task_id>               | hash   | management | how far the task's state has advanced; see `Keys.mark`       |
| sent:<stream>:<key>          | string | senders    | entry of the message with that idempotency key; has a TTL    |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.errors import UnknownLane, UnknownService

MANAGEMENT_CONSUMERS: Final = "management_consumers"
MONITORING_CONSUMERS: Final = "monitoring_consumers"
PLAIN: Final = ""
"""Among a service's lanes: its plain stream, `mgmt:<service>:commands`, which is the default then."""


@dataclass(frozen=True, slots=True)
class Service:
    """The streams and the consumer group of one kind of worker, without prefix."""

    name: str
    commands: str
    """The command stream; with lanes the stem of their names."""
    results: str
    status: str
    dead_letters: str
    group: str
    """Consumer group of the workers on the command streams."""
    lanes: tuple[str, ...] = ()
    """Names of its lanes, the most urgent first; the default is `PLAIN` where that is one of them, else the last."""
    handlers: tuple[str, ...] = ()
    """Modules that register its handlers; only its workers import them."""
    reap_after_seconds: float | None = None
    """For workers that don't claim what a dead one left (in another language, say): after so long without a word the management side takes an entry away from
    its consumer (protocol R11). It must be longer than the longest job, if the workers don't renew their hold. None: they claim."""

    @classmethod
    def named(
        cls,
        name: str,
        *,
        status: str | None = None,
        group: str | None = None,
        lanes: tuple[str, ...] = (),
        handlers: tuple[str, ...] = (),
        reap_after_seconds: float | None = None,
    ) -> Service:
        """A service by the standard grammar."""
        return cls(
            name=name,
            commands=f"mgmt:{name}:commands",
            results=f"{name}:mgmt:results",
            status=status or f"{name}:status",
            dead_letters=f"{name}:mgmt:dead_letters",
            group=group or f"{name}_workers",
            lanes=lanes,
            handlers=handlers,
            reap_after_seconds=reap_after_seconds,
        )

    @property
    def command_streams(self) -> tuple[str, ...]:
        """Every stream that commands come on, the most urgent first."""
        return tuple(self.commands if lane == PLAIN else f"{self.commands}:{lane}" for lane in self.lanes or (PLAIN,))

    @property
    def streams(self) -> tuple[str, ...]:
        """Every stream of the service."""
        return (*self.command_streams, self.results, self.status, self.dead_letters)

    def command_stream(self, lane: str | None = None) -> str:
        """The stream of a lane; None is the default one.

        Raises:
            UnknownLane: names those that there are.
        """
        if lane is None:
            return self.commands if PLAIN in self.lanes else self.command_streams[-1]
        if lane not in self.lanes:
            named = [lane for lane in self.lanes if lane != PLAIN]
            known = f"its lanes: {', '.join(named)}" if named else "it has none"
            raise UnknownLane(f"the service {self.name} has no lane {lane!r}; {known}")
        return self.command_streams[self.lanes.index(lane)]


SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service.named("trading", status="trading:mgmt:status", group="trading_instances"),
        # Sweeps go to `bulk`: one worker does a single backtest first. The default stays the plain stream, so nothing has to be moved on an upgrade.
        Service.named("backtesting", lanes=("urgent", PLAIN, "bulk")),
        Service.named("freqai"),
        Service.named("hyperopt"),
        Service.named("data"),
    )
}


def service(name: str) -> Service:
    """The service of that name.

    Raises:
        UnknownService: lists the known ones.
    """
    try:
        return SERVICES[name]
    except KeyError:
        raise UnknownService(f"unknown service {name!r}; known: {', '.join(sorted(SERVICES))} (STREAMS_SERVICES adds others)") from None


def add_service(new: Service) -> Service:
    """Make a service of your own known; idempotent. `STREAMS_SERVICES` does it without code."""
    return SERVICES.setdefault(new.name, new)


def dead_letters_of(stream: str) -> str:
    """Logical name of the stream for dead letters of another: its service's; else `<source>:<destination>:dead_letters`, or `<name>:dead_letters`."""
    for each in SERVICES.values():
        if stream in {each.commands, *each.command_streams}:
            return each.dead_letters
    match stream.split(":"):
        case [source, destination, _]:
            return f"{source}:{destination}:dead_letters"
        case _:
            return f"{stream}:dead_letters"


def may_be_capped(stream: str) -> bool:
    """Whether old entries of a logical stream may be dropped unread: news only. A command, result or dead letter never is."""
    return stream.rpartition(":")[2] in {"status", "events"}


class RedisStreamsConfig:
    """The logical stream and group names as constants."""

    MGMT_TRADING_COMMANDS: Final = SERVICES["trading"].commands
    TRADING_MGMT_RESULTS: Final = SERVICES["trading"].results
    TRADING_MGMT_STATUS: Final = SERVICES["trading"].status
    TRADING_MGMT_DEAD_LETTERS: Final = SERVICES["trading"].dead_letters
    TRADING_INSTANCES: Final = SERVICES["trading"].group

    MGMT_BACKTESTING_COMMANDS: Final = SERVICES["backtesting"].commands
    BACKTESTING_MGMT_RESULTS: Final = SERVICES["backtesting"].results
    BACKTESTING_STATUS: Final = SERVICES["backtesting"].status
    BACKTESTING_MGMT_DEAD_LETTERS: Final = SERVICES["backtesting"].dead_letters
    BACKTESTING_WORKERS: Final = SERVICES["backtesting"].group

    MGMT_FREQAI_COMMANDS: Final = SERVICES["freqai"].commands
    FREQAI_MGMT_RESULTS: Final = SERVICES["freqai"].results
    FREQAI_STATUS: Final = SERVICES["freqai"].status
    FREQAI_MGMT_DEAD_LETTERS: Final = SERVICES["freqai"].dead_letters
    FREQAI_WORKERS: Final = SERVICES["freqai"].group

    MANAGEMENT_CONSUMERS: Final = MANAGEMENT_CONSUMERS
    MONITORING_CONSUMERS: Final = MONITORING_CONSUMERS
    SYSTEM_EVENTS: Final = "system:events"
    SUPERSEDED_RESULTS: Final = "mgmt:superseded"


class Predecessor:
    """Streams of the system before this one, whose keys had no prefix, and where their entries belong now."""

    MOVED: Final = {
        "mcp_commands": RedisStreamsConfig.MGMT_TRADING_COMMANDS,
        "bot_commands": RedisStreamsConfig.MGMT_TRADING_COMMANDS,
        "bot_events": RedisStreamsConfig.TRADING_MGMT_STATUS,
        "system_events": RedisStreamsConfig.SYSTEM_EVENTS,
    }
    ROUTED: Final = "mcp_events"
    """Each of its messages names its destination: the service whose command it is."""
    ALL: Final = (*MOVED, ROUTED)


@dataclass(frozen=True, slots=True)
class Keys:
    """Full key names of one deployment: every one starts with its prefix."""

    prefix: str = ""

    def stream(self, name: str) -> str:
        """The key of a stream, given its logical name."""
        return self.prefix + name

    def job(self, publish_id: str) -> str:
        """Ledger of a publish, management's half."""
        return f"{self.prefix}job:{publish_id}"

    def run(self, service_name: str, publish_id: str) -> str:
        """Ledger of a publish, the workers' half."""
        return f"{self.prefix}run:{service_name}:{publish_id}"

    def task(self, task_id: str) -> str:
        """Run counter and publishes of a task id."""
        return f"{self.prefix}task:{task_id}"

    def cancel_flag(self, task_id: str) -> str:
        """A cancel that came before the dispatch."""
        return f"{self.prefix}cancel:{task_id}"

    @property
    def open_jobs(self) -> str:
        """Open publishes by dispatch time."""
        return f"{self.prefix}jobs:open"

    @property
    def parked_jobs(self) -> str:
        """Publishes that wait for an operator, by when they were parked."""
        return f"{self.prefix}jobs:parked"

    @property
    def retrying_jobs(self) -> str:
        """Publishes whose retry isn't dispatched yet, by when it is due."""
        return f"{self.prefix}jobs:retrying"

    @property
    def closed_jobs(self) -> str:
        """The last publishes that ended, by when."""
        return f"{self.prefix}jobs:closed"

    def fates(self, service_name: str) -> str:
        """What became of a service's dead letters, by their entry ids."""
        return f"{self.prefix}dead:{service_name}"

    def recent(self, service_name: str) -> str:
        """How long the last jobs of a service waited and ran, newest first."""
        return f"{self.prefix}recent:{service_name}"

    @property
    def told_critical(self) -> str:
        """That people were told of a critical verdict: one of several bridges does it."""
        return f"{self.prefix}told:critical"

    @property
    def workers(self) -> str:
        """What each stream worker last told of itself."""
        return f"{self.prefix}workers"

    def orders(self, consumer: str) -> str:
        """What one worker process is asked to do, by its consumer name."""
        return f"{self.prefix}orders:{consumer}"

    def answered(self, ticket: str) -> str:
        """Which bridge answers a question of Celery's remote control for the stream workers."""
        return f"{self.prefix}answered:{ticket}"

    def delayed(self, service_name: str) -> str:
        """Publishes waiting for their next delivery."""
        return f"{self.prefix}delayed:{service_name}"

    @property
    def upkeep(self) -> str:
        """When each work of upkeep was done last, by whom, and what came out."""
        return f"{self.prefix}upkeep"

    def upkeep_turn(self, work: str) -> str:
        """Whose turn a work of upkeep is."""
        return f"{self.prefix}upkeep:turn:{work}"

    @property
    def over_memory(self) -> str:
        """There while the streams use more memory than their budget; says how much."""
        return f"{self.prefix}over_memory"

    @property
    def superseded(self) -> str:
        """Results that lost, kept aside."""
        return self.stream(RedisStreamsConfig.SUPERSEDED_RESULTS)

    def sent(self, stream: str, idempotency_key: str) -> str:
        """Which entry of a stream (logical name) is the message with that key."""
        return f"{self.prefix}sent:{stream}:{idempotency_key}"

    def mark(self, task_id: str) -> str:
        """How far a task's state has advanced; beside the Celery result where that is in Redis, else on the streams' server."""
        return f"{self.prefix}mark:{task_id}"
