"""The scenarios, each small enough to be searched to the end; and the rules, each with a scenario that needs it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from docs.protocol_model.state import Config


class Rule(NamedTuple):
    """One that can be taken away."""

    number: str
    says: str
    needed_in: str


RULES: Final = {
    "acknowledge": Rule("S1", "the Celery message is acknowledged after R3 and put_state", "dispatch"),
    "publish": Rule("R1", "the ledger is kept by publish, and not by task id and number of retries", "twice"),
    "derived": Rule("R1", "the publish ids of retries and callbacks are derived from their parent's", "retry"),
    "mark": Rule("R2", "a non-terminal state is written only where (run, rank) rises", "status"),
    "newer": Rule("R2", "a terminal state is refused when a newer run of the lineage exists", "redrive"),
    "tombstone": Rule("R3, R9", "a closed ledger stays as a tombstone", "dispatch"),
    "resolved": Rule("R4", "nothing runs whose result has begun or that is closed", "foreign retry"),
    "counter": Rule("R4", "one counter of deliveries, in the ledger and carried by the message", "lease"),
    "token": Rule("R5, R6", "the fence is the owner's name and the newest token", "lease"),
    "first": Rule("R8", "the first result of a publish wins", "foreign"),
    "replay": Rule("S3", "a replay skips nothing", "resume"),
    "retrying": Rule("R9", "a parent whose outcome is RETRY has no TTL before its child is dispatched", "lost retry"),
    "early child": Rule("R9", "a parent whose child is dispatched already isn't kept", "lost retry"),
    "run numbers": Rule("R9, R15", "the counter of run numbers has no TTL while a publish is open, parked or kept for its retry", "lost retry"),
    "outlives": Rule("R9", "run numbers and ends of lineages outlive every tombstone of their task", "twice after long"),
    "remembered": Rule("R9, R12", "how a lineage ended is remembered apart from its ledgers", "redrive after long"),
    "settle": Rule("R9", "a retry that ends without R3 lets its parent go, with the outcome that is stored", "payload"),
    "ledger": Rule("R10", "a cancel is written into the ledger, and R3, R4, R5, R8 obey", "cancel"),
    "too late": Rule("R10", "a result that has begun can't be cancelled", "cancel"),
    "reap": Rule("R11", "a foreign worker's entry is taken from it when it was silent for too long", "foreign only"),
    "once a letter": Rule("R12", "the publish id of a redrive is derived from the dead letter", "redrive"),
    "newest failed": Rule("R12", "the newest closed publish of the lineage has failed", "redrive a retry"),
    "nothing live": Rule("R12", "no publish of the lineage is open or parked", "redrive a retry"),
    "part counted": Rule("R12", "a redrive of what has failed is in no chord any more", "redrive"),
    "redriven": Rule("R12", "a redrive closes what was parked", "park"),
    "pardon": Rule("R12", "a redrive pardons its own lineage, and leaves the cancel flag to the others", "redrive of one, revoke of the other"),
    "repair": Rule("R13", "one look at command, delayed, result and ledger", "repair"),
    "once": Rule("S6", "max_deliveries of an at-most-once command is 1", "at most once, foreign"),
    "no way back": Rule("S6", "an orderly stop doesn't hand back an at-most-once command that was taken up", "at most once"),
    "uncertain": Rule("S6", "an at-most-once command that may have run isn't called expired", "at most once"),
    "not retried": Rule("S6", "Celery doesn't retry an uncertain outcome", "at most once"),
    "part waits": Rule("R15", "a parked publish's chord part isn't counted", "park"),
    "park once": Rule("R15", "parked is what is open and was won by this result", "discard"),
    "late revoke": Rule("R15", "what was revoked while its result was being resolved isn't parked", "park or revoke"),
    "sent again": Rule("R16", "a released publish is won by its result as it is sent again", "discard"),
    "for good": Rule("R16", "a released publish isn't parked again", "discard"),
    "parked only": Rule("R16", "released is what is parked", "park"),
}


def _scenario(may: str = "", **more: Any) -> Config:
    return Config(rules=frozenset(RULES), may=frozenset(may.split(", ")))._replace(**more)


TWO: Final = ("W1", "W2")
BRIDGES: Final = ("B1", "B2")

SCENARIOS: Final = {
    "dispatch": _scenario("celery dies, redelivery, status", endings=("fail",), faults=3),
    "status": _scenario("status, bridge pauses", endings=("fail",), bridges=BRIDGES, faults=2),
    "lease": _scenario("pause, worker dies, stop", endings=("ok", "again"), workers=TWO, faults=3),
    "resume": _scenario("bridge dies, bridge pauses, status", endings=("ok", "fail"), bridges=BRIDGES, faults=2),
    "retry": _scenario("bridge dies, bridge pauses, worker dies", endings=("ok", "fail"), bridges=BRIDGES, retries=1),
    "twice": _scenario("bridge dies, worker dies", publishes=("a", "b")),
    "twice after long": _scenario("long wait, worker dies", publishes=("a", "b"), faults=2),
    "foreign": _scenario("pause", endings=("ok", "fail"), workers=("F", "W1"), bridges=BRIDGES),
    "foreign retry": _scenario("pause, worker dies", endings=("ok", "fail"), workers=("F", "W1"), retries=1),
    "foreign only": _scenario("reap, worker dies, pause, bridge dies", endings=("ok", "fail"), workers=("F",), faults=2),
    "cancel": _scenario("revoke, bridge dies, worker dies, bridge pauses", workers=TWO, asks=2, faults=2),
    "cancel a retry": _scenario("revoke, worker dies, expiry", endings=("ok", "fail"), retries=1, asks=1),
    "lost retry": _scenario("message is lost, long wait, bridge dies", endings=("fail",), bridges=BRIDGES, retries=1, faults=2),
    "payload": _scenario("payload fails, redrive, bridge dies", endings=("again",), bridges=BRIDGES, retries=1, asks=1, faults=2, tries=1),
    "repair": _scenario("command is lost, worker dies, pause", endings=("ok", "fail"), workers=TWO, faults=2),
    "at most once": _scenario(
        "worker dies, stop, expiry, pause, command is lost", endings=("ok", "again"), workers=TWO, retries=1, faults=2, at_most_once=True
    ),
    "at most once, foreign": _scenario("reap, worker dies, pause", workers=("F", "W1"), bridges=BRIDGES, faults=2, at_most_once=True),
    "redrive": _scenario("redrive, repeat, bridge pauses, operator dies, redelivery", endings=("ok", "again"), bridges=BRIDGES, asks=3, tries=1),
    "redrive after long": _scenario("redrive, long wait", endings=("ok", "again"), retries=1, asks=2, tries=1, faults=3),
    "redrive a retry": _scenario("redrive, bridge dies, celery dies", endings=("ok", "again"), retries=1, asks=2, tries=1),
    "redrive or revoke": _scenario("redrive, revoke, bridge dies", endings=("ok", "again"), asks=3, tries=1),
    "redrive or revoke a retry": _scenario("redrive, revoke", endings=("ok", "again"), retries=1, faults=0, asks=2, tries=1),
    "redrive of one, revoke of the other": _scenario("redrive, revoke", publishes=("a", "b"), endings=("again",), faults=0, asks=2, tries=1),
    "park and status": _scenario("redrive, release, bridge pauses, status", endings=("again",), bridges=BRIDGES, park=True, asks=1, tries=1),
    "park": _scenario("redrive, release, bridge dies, bridge pauses", endings=("ok", "again"), bridges=BRIDGES, park=True, asks=2, tries=1),
    "park a retry": _scenario("redrive, release, bridge dies", endings=("ok", "again"), park=True, retries=1, asks=3, tries=1),
    "park or revoke": _scenario(
        "redrive, release, revoke, repeat, bridge dies", endings=("ok", "again"), bridges=BRIDGES, park=True, asks=3, tries=1
    ),
    "park, foreign": _scenario("redrive, release, reap, pause", workers=("F", "W1"), bridges=BRIDGES, park=True, asks=1, faults=2, tries=1),
    "discard": _scenario("release, bridge dies, bridge pauses", endings=("again",), bridges=BRIDGES, park=True, asks=2, faults=3, tries=1),
}
"""`endings` are those of a run; what is dead has failed `again` until it was used up."""

_ALL_AT_ONCE: Final = _scenario(
    "celery dies, redelivery, status, pause, worker dies, stop, expiry, reap, bridge dies, bridge pauses, operator dies, revoke, redrive, repeat, release, "
    "command is lost",
    publishes=("a", "b"),
    endings=("ok", "fail", "again"),
    workers=("W1", "W2", "F"),
    bridges=BRIDGES,
    retries=1,
    faults=5,
    asks=4,
)
EVERYTHING: Final = {
    "everything": _ALL_AT_ONCE,
    "everything, parked": _ALL_AT_ONCE._replace(park=True, tries=1, endings=("ok", "again")),
    "everything, redriven": _ALL_AT_ONCE._replace(tries=1, endings=("ok", "again"), may=_ALL_AT_ONCE.may - {"revoke"}),
    "everything, at most once": _ALL_AT_ONCE._replace(at_most_once=True, park=True),
}
"""Too many states: walked through at random."""
