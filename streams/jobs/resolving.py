"""The steps of the bridge with a result (protocol R8, R9), and the order of states on the result backend (R2); their functions are in `lua/30_resolve.lua`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from streams.bus import clock
from streams.bus.functions import FunctionCall, verdict
from streams.bus.topology import Keys

SUPERSEDED_STREAM_CAP: Final = 10_000


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
    announced: str = ""
    """The worker whose start of this job was shown."""


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
        return Begun("won", bool(reply[1]), bool(reply[2]), int(reply[3]), str(reply[4]), int(reply[5]), str(reply[6]), str(reply[7]))

    return FunctionCall(
        "begin", (keys.job(publish_id), results, keys.superseded), (group, entry, f"{results} {entry}", superseded_cap, task_id, service_name), parse
    )


def resolved(
    keys: Keys, service_name: str, publish_id: str, task_id: str, *, results: str, group: str, entry: str, tombstone: timedelta
) -> FunctionCall[str]:
    """R9: close the ledger and acknowledge the result. Returns `closed`, `repeated` or `superseded`."""
    return FunctionCall(
        "resolved",
        (keys.job(publish_id), keys.run(service_name, publish_id), keys.task(task_id), keys.open_jobs, results),
        (group, entry, f"{results} {entry}", publish_id, int(tombstone.total_seconds() * 1000), clock.now_ms()),
        verdict,
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
