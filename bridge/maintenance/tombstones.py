"""What should have gone by itself gets a TTL: closed ledgers, and workers' halves whose ledger is gone, as a hand that helped (PERSIST, a restored backup) may leave them.

The keys are found by SCAN, which looks at every key of the server: hence the long interval.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.connection import Connection
from streams.bus.sweeping import expire_jobs, expire_runs

AT_A_TIME = 500


def purge_tombstones(connection: Connection) -> dict[str, int]:
    """Give what would stay for ever the life of a tombstone; returns how many, by kind."""
    keys, life = connection.keys, connection.settings.tombstone
    jobs = sum(connection.call(expire_jobs(part, life=life)) for part in _found(connection, keys.job("*")))
    runs = 0
    for each in connection.services:
        stem = keys.run(each.name, "")
        for part in _found(connection, keys.run(each.name, "*")):
            pairs = [(run, keys.job(run.removeprefix(stem))) for run in part]
            runs += connection.call(expire_runs(pairs, life=life))
    return {kind: count for kind, count in (("jobs", jobs), ("runs", runs)) if count}


def _found(connection: Connection, pattern: str) -> Iterator[list[str]]:
    cursor = 0
    while True:
        cursor, found = connection.client.scan(cursor, match=pattern, count=AT_A_TIME, _type="hash")
        if found:
            yield list(map(str, found))
        if cursor == 0:
            return
