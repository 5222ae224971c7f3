"""What one look at the health costs, with 100,000 entries in the streams: for the caller, and of the server's time.

python benchmarks/health_cost.py [entries]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import redis

from streams.bus.clients import connect
from streams.bus.functions import load_library
from streams.bus.topology import MANAGEMENT_CONSUMERS, Keys, Service
from streams.embedded import EmbeddedServer
from streams.health import Deployment, Thresholds, check_stream_health
from streams.jobs.messages import Command, DeadReason

LAB = Service.named("lab")
LOOKS = 10
BATCH = 1_000
PENDING = 200
NOT_COUNTED = ("cmdstat_config|resetstat", "cmdstat_xrange", "cmdstat_xrevrange")
"""The last two are called by our functions only, whose time counts."""


def fill(client: redis.Redis, stream: str, count: int, **more: str) -> list[str]:
    """Commands of a usual size."""
    command = Command(type="backtest.run", task_id="0" * 36, callback_stream=LAB.results, data={"strategy": "EmaCross", "config": {"x": "y" * 300}})
    fields: dict[str, str] = {**command.to_redis_dict(), **more}
    entries: list[str] = []
    for _ in range(count // BATCH):
        with client.pipeline(transaction=False) as pipe:
            for _ in range(BATCH):
                pipe.xadd(stream, fields)  # type: ignore[arg-type]
            entries += map(str, pipe.execute())
    return entries


def cost(what: str, client: redis.Redis, look: Callable[[], object]) -> None:
    """Print the median of some looks."""
    look()
    seconds = []
    client.config_resetstat()
    for _ in range(LOOKS):
        started = time.perf_counter()
        look()
        seconds.append(time.perf_counter() - started)
    stats = client.info("commandstats")
    on_server = sum(row["usec"] for name, row in stats.items() if name not in NOT_COUNTED) / LOOKS
    longest = max((row["usec_per_call"], name.removeprefix("cmdstat_")) for name, row in stats.items())
    print(
        f"{what:62} {1000 * statistics.median(seconds):7.1f} ms, of the server {on_server / 1000:6.1f} ms (longest call {longest[0] / 1000:.1f} ms, {longest[1]})"
    )


def main() -> None:
    """Measure."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    keys = Keys()
    with EmbeddedServer() as server, connect(server.url) as client:
        load_library(client)
        deployment, thresholds = Deployment(client, keys, (LAB,)), Thresholds()

        def look() -> object:
            return check_stream_health(deployment, thresholds)

        cost("an empty deployment", client, look)
        client.xgroup_create(LAB.commands, LAB.group, id="0", mkstream=True)
        client.xgroup_create(LAB.results, MANAGEMENT_CONSUMERS, id="0", mkstream=True)
        entries = fill(client, LAB.commands, total)
        cost(f"{total:,} commands, none read", client, look)
        client.xreadgroup(LAB.group, "w1", {LAB.commands: ">"}, count=PENDING)
        cost(f"{total:,} commands, {PENDING} pending", client, look)
        fill(client, LAB.dead_letters, total, reason=DeadReason.EXHAUSTED)
        cost(f"{total:,} dead letters beside them", client, look)
        client.xreadgroup(LAB.group, "w1", {LAB.commands: ">"}, count=10_000)
        cost("10,200 pending", client, look)
        client.xgroup_setid(LAB.commands, LAB.group, entries[total - 40_000])
        client.xdel(LAB.commands, entries[-2])
        cost("a lag of 39,999 that has to be counted", client, look)
        client.xgroup_setid(LAB.commands, LAB.group, entries[1])
        cost("a lag that is too long to be counted", client, look)


if __name__ == "__main__":
    main()
