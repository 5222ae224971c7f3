"""The steps of the bridge with a result (protocol R8, R9), and the order of states (R2); their functions are in `lua/30_resolve.lua`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from streams.bus import clock
from streams.bus.functions import FunctionCall, verdict
from streams.bus.topology import Keys

SUPERSEDED_STREAM_CAP: Final = 10_000
CLOSED_LISTED: Final = 10_000
"""How many of the last publishes that ended are listed."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What begin decided about a result."""

    verdict: str
    """`won`; else the result is acknowledged and not to be applied: `superseded`, `repeated` or `unknown` (no such publish)."""
    replay: bool = False
    """This result had begun before: a bridge died over it."""
    cancelled: int = 0
    """The signal of the cancel that was accepted, which overrides any status; 0 when there was none."""
    seq: int = 0
    lineage: str = ""
    retries: int = 0
    context: str = ""
    announced: str = ""
    """The worker whose start of this job was shown."""
    released: bool = False
    """It was parked, and an operator has decided that this is its end."""


def begin(
    keys: Keys,
    publish_id: str,
    *,
    results: str,
    group: str,
    entry: str,
    task_id: str,
    service_name: str,
    superseded_cap: int = SUPERSEDED_STREAM_CAP,
) -> FunctionCall[Begun]:
    """R8: is this the result that counts?

    Args:
        keys: of this deployment.
        publish_id: of the job.
        results: full key of the stream that it came on.
        group: of the bridge.
        entry: of the result.
        task_id: that the result names; another than the ledger's loses.
        service_name: whose stream that is; a worker can't answer for another service.
        superseded_cap: of the stream of those that lost.
    """

    def parse(reply: Any) -> Begun:
        if reply[0] != "won":
            return Begun(str(reply[0]))
        return Begun(
            "won", bool(reply[1]), int(reply[2]), int(reply[3]), str(reply[4]), int(reply[5]), str(reply[6]), str(reply[7]), bool(int(reply[8]))
        )

    return FunctionCall(
        "begin", (keys.job(publish_id), results, keys.superseded), (group, entry, f"{results} {entry}", superseded_cap, task_id, service_name), parse
    )


def resolved(
    keys: Keys,
    service_name: str,
    publish_id: str,
    task_id: str,
    *,
    results: str,
    group: str,
    entry: str,
    outcome: str,
    tombstone: timedelta,
    retry: str = "",
    retry_due_ms: int = 0,
) -> FunctionCall[str]:
    """R9: close the ledger and acknowledge the result. Returns `closed`, `repeated` or `superseded`.

    Args:
        keys: of this deployment.
        service_name: whose workers ran it.
        publish_id: of the job.
        task_id: of the job.
        results: full key of the stream that the result came on.
        group: of the bridge.
        entry: of the result.
        outcome: the task's state: SUCCESS, FAILURE, RETRY or REVOKED.
        tombstone: how long the closed ledger is kept; with RETRY from its retry's dispatch on.
        retry: publish id of its retry, with the outcome RETRY.
        retry_due_ms: when that is to come.
    """
    return FunctionCall(
        "resolved",
        (
            keys.job(publish_id),
            keys.run(service_name, publish_id),
            keys.task(task_id),
            keys.open_jobs,
            results,
            keys.retrying_jobs,
            keys.closed_jobs,
            keys.job(retry or publish_id),
        ),
        (
            group,
            entry,
            f"{results} {entry}",
            publish_id,
            int(tombstone.total_seconds() * 1000),
            clock.now_ms(),
            outcome,
            retry_due_ms,
            CLOSED_LISTED,
        ),
        verdict,
    )


@dataclass(frozen=True, slots=True)
class StateChange:
    """What R2 decides about: a state of one run of a task."""

    seq: int
    """Run number."""
    rank: int
    """How far the state is, within the run."""
    lineage: str
    state: str
    """"" only raises the mark."""
    terminal: bool
    mark_ttl_seconds: int

    def args(self) -> tuple[str | int, ...]:
        """As the functions take it."""
        return (self.seq, self.rank, self.lineage, self.state, int(self.terminal), self.mark_ttl_seconds)


def put_state(meta_key: str, mark_key: str, change: StateChange, *, ttl_seconds: int, value: bytes | str) -> FunctionCall[bool]:
    """R2, where the result is in Redis. Returns whether it was written."""
    return FunctionCall("put_state", (meta_key, mark_key), (*change.args(), ttl_seconds, value), bool)


def decide_state(mark_key: str, change: StateChange, value: bytes | str = "") -> FunctionCall[int]:
    """R2, where it isn't: returns the number of the decision, under which the result is to be written, or 0 when it isn't to be."""
    return FunctionCall("decide_state", (mark_key,), (*change.args(), value), int)


def state_written(mark_key: str, number: int, *, gives_up: bool = False) -> FunctionCall[tuple[int, str] | None]:
    """R2, after the writing: None when nothing more is to be written, else the number and value of what was decided meanwhile."""
    return FunctionCall("state_written", (mark_key,), (number, int(gives_up)), lambda reply: (int(reply[0]), str(reply[1])) if reply else None)
