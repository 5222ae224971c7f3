"""What each work of upkeep costs with 100,000 entries in a stream: `python benchmarks/upkeep_cost.py [--entries N] [--jobs N] [--before]`.

For each: how long it takes, and the longest wait (ms) of another client meanwhile, which is how long the server was held up at most.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import redis
from celery import Celery
from rich.console import Console
from rich.table import Table

from bridge import connect
from bridge.celery_internals.servers import redis_of_backend
from bridge.connection import Connection
from bridge.maintenance.consumers import delete_idle_consumers
from bridge.maintenance.dead_letters import purge_old_dead_letters
from bridge.maintenance.ghosts import sweep_all_ghosts
from bridge.maintenance.measuring import collect_metrics
from bridge.maintenance.memory import watch_memory
from bridge.maintenance.promoting import promote_due
from bridge.maintenance.reaping import reap_silent
from bridge.maintenance.reconciling import reconcile
from bridge.maintenance.repairing import repair_open
from bridge.maintenance.tombstones import purge_tombstones
from bridge.maintenance.trimming import trim_done
from bridge.settings import BridgeSettings
from streams.bus import clock
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import call, load_library
from streams.bus.limits import StreamLimits
from streams.bus.sweeping import delete_consumers
from streams.bus.topology import MANAGEMENT_CONSUMERS, SERVICES, Keys, Service
from streams.bus.trim import plan_trim
from streams.embedded import EmbeddedServer
from streams.jobs import dispatching, managing, running
from streams.jobs.messages import Command, DeadReason, JobErrorInfo
from streams.jobs.running import Delivery

LAB = Service.named("lab")
PART = 2_000
BODY = "x" * 500
"""About what a command or a result of a backtest holds."""


class Bench:
    """A server with one service, filled as each measurement wants it."""

    def __init__(self, url: str, results: str, entries: int, jobs: int, *, before: bool) -> None:
        SERVICES.clear()
        SERVICES[LAB.name] = LAB
        self.url, self.results, self.entries, self.jobs, self.keys = url, results, entries, jobs, Keys()
        self.client, self.before = connect_redis(url), before
        self.table = Table(
            "work", "what lies there", "seconds", "longest wait of others (ms)", "outcome", title=f"{entries:,} entries, {jobs:,} jobs"
        )

    def connection(self, **settings: Any) -> Connection:
        app = connect(Celery("bench", broker="memory://", backend="cache+memory://", set_as_current=False))
        app.streams_connection = Connection(app, BridgeSettings(redis_url=self.url, **settings))
        return Connection.of(app)

    def empty(self) -> None:
        self.client.flushall()
        load_library(self.client)
        for stream, group in ((LAB.commands, LAB.group), (LAB.results, MANAGEMENT_CONSUMERS)):
            self.client.xgroup_create(stream, group, id="0", mkstream=True)

    def fill(self, stream: str, fields: Callable[[int], dict[str, str]], *, since_days: float | None = None) -> list[str]:
        ids: list[str] = []
        first = None if since_days is None else clock.now_ms() - int(since_days * 86_400_000)
        for start in range(0, self.entries, PART):
            pipe = self.client.pipeline(transaction=False)
            for number in range(start, min(start + PART, self.entries)):
                pipe.xadd(stream, fields(number), id="*" if first is None else f"{first}-{number}")  # type: ignore[arg-type]
            ids += map(str, pipe.execute())
        return ids

    def read(self, stream: str, group: str, consumer: str = "c", *, noack: bool = False) -> None:
        while self.client.xreadgroup(group, consumer, {stream: ">"}, count=PART, noack=noack):
            pass

    def measure(self, work: str, lies_there: str, do: Callable[[], object]) -> None:
        with longest_wait(self.url) as waits:
            started = time.perf_counter()
            outcome = do()
            seconds = time.perf_counter() - started
        self.table.add_row(work, lies_there, f"{seconds:.3f}", f"{max(waits, default=0.0) * 1000:.1f}", str(outcome)[:60])


@contextmanager
def longest_wait(url: str) -> Iterator[list[float]]:
    """How long another client waits for each PING meanwhile (s)."""
    over, waits, pinging = threading.Event(), list[float](), redis.Redis.from_url(url)
    pinging.ping()

    def ping() -> None:
        while not over.is_set():
            started = time.perf_counter()
            pinging.ping()
            waits.append(time.perf_counter() - started)
            time.sleep(0.001)

    thread = threading.Thread(target=ping)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()
        pinging.close()


def body(number: int) -> dict[str, str]:
    return {"n": str(number), "data": BODY}


def promote(bench: Bench) -> None:
    bench.empty()
    for number in range(bench.jobs):
        command = Command(type="x", task_id=f"t{number}", callback_stream=LAB.results, data={"n": BODY})
        call(bench.client, dispatching.dispatch(bench.keys, LAB, command, publish_id=f"p{number}", lineage="l", retries=0, context="{}"))
    error = JobErrorInfo(type="Unreachable", retryable=True)
    for number, (entry, fields) in enumerate(bench.client.xreadgroup(LAB.group, "c", {LAB.commands: ">"}, count=bench.jobs)[LAB.commands]):
        delivery = Delivery(LAB, LAB.commands, entry, "c", Command.from_redis_dict(fields))
        taken = call(bench.client, running.take_up(bench.keys, delivery, nonce=str(number), max_deliveries=3, worker="w", pid=1))
        common = {"reason": DeadReason.EXHAUSTED, "delay": timedelta(0), "max_deliveries": 3, "worker": "w", "pid": 1}
        call(bench.client, running.retry_later(bench.keys, delivery, taken.token, error, **common))
    far = clock.now_ms() + 10**9
    for start in range(0, bench.entries, PART):
        bench.client.zadd(bench.keys.delayed(LAB.name), {f"later{number}": far for number in range(start, start + PART)})
    bench.measure("promote", f"{bench.entries:,} delayed, {bench.jobs:,} more are due", lambda: promote_due(bench.connection()))
    bench.measure("promote", "none of them due", lambda: promote_due(bench.connection()))


def repair(bench: Bench) -> None:
    """Jobs of foreign workers whose command is acknowledged and whose result waits: R13 has to look for each."""
    bench.empty()
    publishes = [f"p{number}" for number in range(bench.jobs)]
    for publish in publishes:
        command = Command(type="x", task_id=f"t-{publish}", callback_stream=LAB.results, data={"n": BODY})
        call(bench.client, dispatching.dispatch(bench.keys, LAB, command, publish_id=publish, lineage=publish, retries=0, context="{}"))
    bench.read(LAB.commands, LAB.group, noack=True)
    every = max(1, bench.entries // bench.jobs)

    def result(number: int) -> dict[str, str]:
        name = publishes[number // every] if number % every == 0 and number // every < bench.jobs else f"other{number}"
        return {"publish_id": name, "task_id": "t", "attempt": "1", "status": "succeeded", "data": BODY}

    bench.fill(LAB.results, result)
    lies_there = f"{bench.entries:,} unacknowledged results, {bench.jobs:,} open jobs with one"
    bench.measure("repair", lies_there, lambda: repair_open(bench.connection(), older_than_seconds=0))

    def each_by_itself() -> int:
        for publish in publishes:
            step = managing.repair(
                bench.keys,
                LAB,
                publish,
                task_id=f"t-{publish}",
                attempt=1,
                callback_stream=LAB.results,
                results_group=MANAGEMENT_CONSUMERS,
                max_deliveries=3,
            )
            assert call(bench.client, step) == "fine:answered"
        return len(publishes)

    if bench.before:
        bench.measure("repair, each job by itself", lies_there, each_by_itself)


def repair_waiting(bench: Bench) -> None:
    bench.empty()
    for number in range(bench.entries):
        command = Command(type="x", task_id=f"t{number}", callback_stream=LAB.results, data={"n": 1})
        call(
            bench.client,
            dispatching.dispatch(bench.keys, LAB, command, publish_id=f"p{number}", lineage="l", retries=0, context="{}", max_backlog=10**9),
        )
    bench.measure("repair", f"{bench.entries:,} open jobs that wait", lambda: repair_open(bench.connection(), older_than_seconds=0))
    bench.measure("metrics", f"{bench.entries:,} commands wait", lambda: collect_metrics(bench.connection()))
    bench.measure("tombstones", f"{bench.entries:,} ledgers, all open", lambda: purge_tombstones(bench.connection()))
    full = dispatching.dispatch(
        bench.keys,
        LAB,
        Command(type="x", task_id="t", callback_stream=LAB.results),
        publish_id="one more",
        lineage="l",
        retries=0,
        context="",
        max_backlog=bench.entries,
    )
    bench.measure("(a dispatch that is refused, 1,000 times)", "a full backlog", lambda: {call(bench.client, full).verdict for _ in range(1_000)})


def reconciling(bench: Bench) -> None:
    """In a row after `repair_waiting`: its jobs, and the states of their tasks in the result backend."""
    app = connect(Celery("bench", broker="memory://", backend=bench.results, set_as_current=False))
    app.streams_connection = Connection(app, BridgeSettings(redis_url=bench.url))
    backend = redis_of_backend(app.backend)
    for start in range(0, bench.entries, PART):
        keys = [app.backend.get_key_for_task(f"t{number}") for number in range(start, min(start + PART, bench.entries))]
        backend.mset(dict.fromkeys(keys, b'{"status": "DISPATCHED", "result": null, "children": []}'))
    bench.measure("reconcile", f"{bench.entries:,} open jobs that wait", lambda: reconcile(Connection.of(app)))
    SERVICES[LAB.name] = replace(LAB, reap_after_seconds=3600)
    bench.read(LAB.commands, LAB.group)
    bench.measure("reap", f"{bench.entries:,} pending, none silent", lambda: reap_silent(Connection.of(app)))
    SERVICES[LAB.name] = LAB


def trimming(bench: Bench) -> None:
    for label, limits in (
        ("nothing is kept", StreamLimits()),
        ("1,000 are kept", StreamLimits(keep_entries=1_000)),
        ("all are kept", StreamLimits(keep_hours=1)),
    ):
        bench.empty()
        bench.fill(LAB.commands, body)
        bench.read(LAB.commands, LAB.group, noack=True)
        connection = bench.connection(stream_limits={"lab": limits})
        bench.measure("trim", f"{bench.entries:,} done with, {label}", lambda connection=connection: trim_done(connection))
    bench.measure("(trim --explain)", "the plan alone", lambda: call(bench.client, plan_trim(LAB.commands)).length)


def memory(bench: Bench) -> None:
    bench.empty()
    bench.fill(LAB.commands, body)
    bench.measure("memory", f"{bench.entries:,} in a stream", lambda: watch_memory(bench.connection(memory_mib=10_000)))


def ghosts(bench: Bench) -> None:
    bench.empty()
    ids = bench.fill(LAB.results, body)
    bench.read(LAB.results, MANAGEMENT_CONSUMERS)
    time.sleep(1.1)  # older than the lease, which is a second here
    connection = bench.connection(lease_seconds=1)
    bench.measure("ghosts", f"{bench.entries:,} pending, none a ghost", lambda: sweep_all_ghosts(connection))
    for start in range(0, len(ids), PART):
        bench.client.xdel(LAB.results, *ids[start : start + PART])
    bench.measure("ghosts", f"{bench.entries:,} pending, all ghosts", lambda: sweep_all_ghosts(connection))


def consumers(bench: Bench) -> None:
    bench.empty()
    for number in range(bench.jobs):
        bench.client.xgroup_createconsumer(LAB.commands, LAB.group, f"c{number}")
    bench.measure("consumers", f"{bench.jobs:,}, none idle", lambda: delete_idle_consumers(bench.connection()))
    step = delete_consumers(LAB.commands, group=LAB.group, idle=timedelta(0), kept="handed_back", most=10**6)
    bench.measure("consumers", f"{bench.jobs:,}, all idle", lambda: len(call(bench.client, step)))


def dead_letters(bench: Bench) -> None:
    bench.empty()
    bench.fill(LAB.dead_letters, lambda number: {"publish_id": f"p{number}", "data": BODY}, since_days=40)
    bench.measure("dead letters", f"{bench.entries:,}, none old", lambda: purge_old_dead_letters(bench.connection(dead_letter_days=50)))
    bench.measure("dead letters", f"{bench.entries:,}, all old", lambda: purge_old_dead_letters(bench.connection()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--before", action="store_true", help="also let each open job search the results by itself, as repair once did (minutes)")
    given = parser.parse_args()
    with EmbeddedServer() as server:
        bench = Bench(server.url, server.celery_url(1), given.entries, given.jobs, before=given.before)
        for part in (promote, repair, repair_waiting, reconciling, trimming, memory, ghosts, consumers, dead_letters):
            part(bench)
        Console(width=170).print(bench.table)


if __name__ == "__main__":
    main()
