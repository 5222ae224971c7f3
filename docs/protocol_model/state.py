"""What there is, and what really happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

OPEN, PARKED, CLOSED = "open", "parked", "closed"
"""Phases of a ledger."""
SUCCESS, FAILURE, REVOKED, RETRY, DEAD_LETTERED, REDRIVEN = "SUCCESS", "FAILURE", "REVOKED", "RETRY", "DEAD_LETTERED", "REDRIVEN"
TERMINAL: Final = frozenset({SUCCESS, FAILURE, REVOKED})
FOREIGN: Final = "F"
"""A worker in another language: XREADGROUP, XADD, XACK, nothing else (S5)."""


class Ledger(NamedTuple):
    """Of one publish: `job:<publish>` and `run:<service>:<publish>`."""

    publish: str
    seq: int
    phase: str = OPEN
    winner: str = ""
    outcome: str = ""
    cancel: bool = False
    released: bool = False
    in_chord: bool = True
    kept: str = ""
    """The status of the result that R15 keeps."""
    retrying: bool = False
    """In `jobs:retrying`, without a TTL."""
    came: str = ""
    """How its retry ended, if that was without R3 and before R9 of this one."""
    runs: int = 0
    token: int = 0
    entries: int = 0
    results: int = 0

    @property
    def keeps_counter(self) -> bool:
        return self.phase != CLOSED or self.retrying


class Entry(NamedTuple):
    """Of the command stream; one that has an owner is pending."""

    id: str
    publish: str
    carried: int = 0
    owner: str = ""
    given: int = 0
    leased: bool = False


class Run(NamedTuple):
    """A worker at work. One that isn't sure doesn't know yet that its lease is over."""

    worker: str
    entry: str
    publish: str
    token: int
    sure: bool = True
    answered: bool = False


class Result(NamedTuple):
    """Of the result stream, not acknowledged."""

    id: str
    publish: str
    status: str
    owner: str = ""
    leased: bool = False


class Resolving(NamedTuple):
    """A bridge at work: what it still has to do. One without a lease was paused for longer than that, and another may have taken over."""

    bridge: str
    result: str
    publish: str
    seq: int
    todo: tuple[str, ...]
    leased: bool = True


class Storing(NamedTuple):
    """After R3 or R12, before put_state(DISPATCHED)."""

    who: str
    publish: str
    seq: int


class State(NamedTuple):
    """All of it."""

    broker: frozenset[str]
    faults: int
    asks: int
    storing: frozenset[Storing] = frozenset()
    ledgers: frozenset[Ledger] = frozenset()
    counter: int = 0
    entries: frozenset[Entry] = frozenset()
    delayed: frozenset[tuple[str, int]] = frozenset()
    runs: frozenset[Run] = frozenset()
    statuses: frozenset[str] = frozenset()
    results: frozenset[Result] = frozenset()
    resolving: frozenset[Resolving] = frozenset()
    letters: frozenset[str] = frozenset()
    flag: int = 0
    pardons: frozenset[tuple[str, int]] = frozenset()
    ends: frozenset[tuple[str, int, str]] = frozenset()
    """Of each lineage: its newest closed run, and that one's outcome. Kept in `task:<id>`, like the counter and the pardons."""
    fates: frozenset[str] = frozenset()
    """The dead letters that were redriven."""
    revoking: tuple[str, ...] | None = None
    """The publishes that a revoke under way has still to look at."""
    cell: tuple[str, str] = ("", "PENDING")
    mark: tuple[int, int] = (0, 0)
    newest: frozenset[tuple[str, int]] = frozenset()
    """Per lineage the highest run that has written or begun."""

    # Ghosts.
    born: tuple[str, ...] = ()
    """In the order of their dispatch."""
    sent: frozenset[str] = frozenset()
    ended: frozenset[tuple[str, str]] = frozenset()
    accepted: frozenset[str] = frozenset()
    started: frozenset[tuple[str, int]] = frozenset()
    handed_back: frozenset[tuple[str, int]] = frozenset()
    calls: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    redriven: frozenset[tuple[str, str]] = frozenset()
    lost: frozenset[str] = frozenset()
    """Messages."""
    failed: frozenset[str] = frozenset()
    """Retries that ended without R3; each copy of their messages does."""
    broken: str = ""

    def breaks(self, words: str) -> State:
        return self if self.broken else self._replace(broken=words)

    def fault(self) -> State:
        return self._replace(faults=self.faults - 1)

    def ask(self) -> State:
        return self._replace(asks=self.asks - 1)

    def put(self, old: Ledger | None, new: Ledger) -> State:
        """Write a ledger."""
        return self._replace(ledgers=(self.ledgers - {old} if old else self.ledgers) | {new})

    def ends_lineage(self, ledger: Ledger, outcome: str) -> State:
        """Remember the outcome of the newest run; they may be closed out of their order."""
        name = lineage(ledger.publish)
        if any(one == name and seq > ledger.seq for one, seq, _ in self.ends):
            return self
        return self._replace(ends=frozenset(end for end in self.ends if end[0] != name) | {(name, ledger.seq, outcome)})

    def started_times(self, publish: str) -> int:
        return sum(one == publish for one, _ in self.started)

    def handed_back_times(self, publish: str) -> int:
        return sum(one == publish for one, _ in self.handed_back)


class Config(NamedTuple):
    """A scenario."""

    rules: frozenset[str] = frozenset()
    publishes: tuple[str, ...] = ("a",)
    endings: tuple[str, ...] = ("ok",)
    """How a run may end: ok, fail, again (a passing trouble)."""
    workers: tuple[str, ...] = ("W1",)
    bridges: tuple[str, ...] = ("B1",)
    may: frozenset[str] = frozenset()
    """Which faults and requests happen; the names are those that the steps ask for."""
    faults: int = 1
    asks: int = 0
    retries: int = 0
    park: bool = False
    tries: int = 2
    """max_deliveries"""
    at_most_once: bool = False

    def has(self, rule: str) -> bool:
        return rule in self.rules

    @property
    def deliveries(self) -> int:
        """`max_deliveries` of this command."""
        return 1 if self.at_most_once and self.has("once") else self.tries

    def start(self) -> State:
        return State(frozenset(self.publishes), self.faults, self.asks, sent=frozenset(self.publishes))


class Step(NamedTuple):
    """What may happen next. One that isn't fair is a fault or a request, and needn't happen."""

    says: str
    state: State
    fair: bool = True


Steps = Iterator[Step]


def lineage(publish: str) -> str:
    return publish[0]


def retries(publish: str) -> int:
    """Celery's; a redrive keeps them."""
    return publish.count("+")


def find(s: State, c: Config, publish: str) -> Ledger | None:
    """The ledger of a publish."""
    for ledger in s.ledgers:
        if ledger.publish == publish or (not c.has("publish") and retries(ledger.publish) == retries(publish)):
            return ledger
    return None


def known(s: State, c: Config, publish: str) -> Ledger:
    """The ledger of a publish that has a message on a stream: it is there (I8)."""
    return find(s, c, publish) or Ledger(publish, 0)


def of_lineage(s: State, publish: str) -> list[Ledger]:
    """All ledgers of a lineage, the oldest run first."""
    return sorted((ledger for ledger in s.ledgers if lineage(ledger.publish) == lineage(publish)), key=lambda ledger: ledger.seq)


def send_command(s: State, ledger: Ledger, carried: int = 0) -> State:
    """XADD; the ledger as it is afterwards is written too."""
    new = ledger._replace(entries=ledger.entries + 1)
    s = s._replace(ledgers=frozenset(each for each in s.ledgers if each.publish != ledger.publish) | {new})
    return s._replace(entries=s.entries | {Entry(f"{ledger.publish}#{new.entries}", ledger.publish, carried)})


def send_result(s: State, ledger: Ledger, status: str) -> State:
    """XADD; the ledger as it is afterwards is written too."""
    new = ledger._replace(results=ledger.results + 1)
    s = s._replace(ledgers=frozenset(each for each in s.ledgers if each.publish != ledger.publish) | {new})
    return s._replace(results=s.results | {Result(f"{ledger.publish}#{new.results}", ledger.publish, status)})
