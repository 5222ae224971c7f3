"""What is measured of a deployment, on a real server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streams.bus.clients import connect
from streams.bus.clock import utc_now
from streams.bus.codec import encode_json
from streams.bus.topology import MANAGEMENT_CONSUMERS, Service
from streams.health import Snapshot, collect_stream_metrics
from streams.health.life import SignsOfLife
from streams.health.recent import KEPT, RecentJob, percentile, remember, times
from streams.health.snapshot import Deliveries, Lag
from streams.jobs.messages import WorkerStatus, WorkerStatusKind
from streams.jobs.running import HANDED_BACK, HANDED_BACK_IDLE_MS
from tests.waiting import wait_until


def test_an_empty_deployment_has_nothing(lab: Any) -> None:
    snapshot = lab.look()
    assert [stream.length for stream in snapshot.streams] == [0] * len(snapshot.streams)
    assert [stream.problem for stream in snapshot.streams] == [""] * len(snapshot.streams)
    service = snapshot.service("lab")
    assert (service.waiting, service.running, service.delayed, service.open, service.parked) == (Lag.exactly(0), 0, 0, 0, 0)
    assert (service.times.finished, service.times.queue_wait_p50_seconds) == (0, None)


def test_it_survives_a_trip_through_json(lab: Any) -> None:
    lab.join()
    lab.add(3)
    lab.read(1)
    snapshot = lab.look()
    assert Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


def test_a_stream_has_its_length_its_bytes_and_the_age_of_its_oldest_entry(lab: Any) -> None:
    seconds, _ = lab.client.time()
    lab.client.xadd(lab.commands, {"data": "x" * 50_000}, id=f"{(seconds - 100) * 1000}-0")
    lab.add(9)
    stream = lab.look().stream(lab.service.commands)
    assert stream.length == 10
    assert stream.bytes > 50_000
    assert 100 <= stream.oldest_age_seconds < 160


def test_a_key_of_another_type_is_a_problem_of_its_stream_alone(lab: Any) -> None:
    lab.client.set(lab.results, "not a stream")
    lab.add(1)
    snapshot = lab.look()
    assert "WRONGTYPE" in snapshot.stream(lab.service.results).problem
    assert snapshot.stream(lab.service.commands).length == 1


def test_pending_entries_are_counted_by_their_deliveries(lab: Any) -> None:
    lab.join()
    entries = lab.add(7)
    lab.read(7)
    for entry, count in zip(entries, (1, 1, 2, 3, 3, 4, 9), strict=True):
        lab.client.xclaim(lab.commands, lab.service.group, "w1", 0, [entry], retrycount=count, justid=True)
    group = lab.group()
    assert (group.pending, group.deliveries) == (7, Deliveries(once=2, twice=1, thrice=2, more=2))


def test_what_was_handed_back_waits_and_is_nobodys(lab: Any) -> None:
    lab.join()
    entries = lab.add(3)
    lab.read(2)
    lab.client.xclaim(lab.commands, lab.service.group, HANDED_BACK, 0, [entries[0]], idle=HANDED_BACK_IDLE_MS, retrycount=0, justid=True)
    service, group = lab.seen(), lab.group()
    assert (service.waiting, service.running) == (Lag.exactly(2), 1)
    assert group.handed_back == 1
    assert [consumer.name for consumer in group.consumers] == ["w1"]
    assert group.abandoned == 0


def test_a_consumer_that_asks_for_something_is_alive_and_one_that_is_silent_for_longer_than_a_lease_is_not(lab: Any) -> None:
    lab.join()
    entries = lab.add(2)
    lab.read(2, consumer="there")
    lab.client.xclaim(lab.commands, lab.service.group, "gone", 0, [entries[1]], idle=60_000, justid=True)
    assert {consumer.name: consumer.heard_by for consumer in lab.group().consumers} == {
        "there": "renewal",
        "gone": "idle",
    }  # the claim was a sign of life
    assert lab.group().abandoned == 0
    now = utc_now()
    said = WorkerStatus(kind=WorkerStatusKind.OFFLINE, worker="lab@gone", consumer="gone", pid=7, concurrency=1, freq=2, at=now)
    told = {**said.to_redis_dict(), "service": "lab", "heard_at": now.timestamp()}
    lab.client.hset(lab.keys.workers, "lab@gone", encode_json(told))
    group = lab.group()
    assert {consumer.name: (consumer.alive, consumer.pending) for consumer in group.consumers} == {"there": (True, 1), "gone": (False, 1)}
    assert (group.abandoned, group.alive) == (1, 1)
    assert 60 <= (group.longest_abandoned_seconds or 0) < 100
    assert lab.seen().workers == 1


def test_a_heartbeat_is_a_sign_of_life_too(lab: Any) -> None:
    lab.join()
    lab.add(1)
    lab.read(1, consumer="busy")
    said = WorkerStatus(kind=WorkerStatusKind.HEARTBEAT, worker="lab@busy", consumer="busy", pid=7, concurrency=1, freq=2)
    lab.client.hset(lab.keys.workers, "lab@busy", encode_json({**said.to_redis_dict(), "service": "lab", "heard_at": utc_now().timestamp()}))
    assert [(consumer.alive, consumer.heard_by) for consumer in lab.group().consumers] == [(True, "heartbeat")]


def test_a_connection_of_its_name_is_a_sign_of_life_where_a_read_that_finds_nothing_is_none(lab: Any, redis_url: str) -> None:
    lab.join()
    lab.client.xgroup_createconsumer(lab.commands, lab.service.group, "bridge@a host")
    with connect(redis_url, name="bridge@a_host") as client:
        client.ping()
        assert [(consumer.alive, consumer.heard_by) for consumer in lab.group().consumers] == [(True, "connection")]
    wait_until(lambda: lab.group().consumers[0].heard_by == "idle")


@pytest.mark.parametrize(
    ("idle", "renewed", "connected", "expected"),
    [
        (6.0, None, None, "nothing"),
        (4.9, None, None, "idle"),  # it may be waiting: a read blocks for 5 s at most
        (100.0, 1.9, None, "renewal"),
        (100.0, 2.1, None, "nothing"),
        (100.0, 2.1, 4.0, "connection"),
        (100.0, None, 6.0, "nothing"),  # its process hangs
    ],
)
def test_what_says_that_a_consumer_is_alive(idle: float, renewed: float | None, connected: float | None, expected: str) -> None:
    clients = [] if connected is None else [{"name": "c1", "idle": str(connected)}, {"name": "c1", "idle": "900"}, {"name": "", "idle": "0"}]
    life = SignsOfLife.read({"broken": "no JSON"}, clients, now=0.0)
    assert life.of("c1", idle_seconds=idle, renewed_ago_seconds=renewed, lease_seconds=2.0) == expected


def test_what_waits_on_the_lanes_of_a_service_waits_for_its_workers_together(lab: Any) -> None:
    laned = Service.named("laned", lanes=("urgent", "normal"))
    urgent, normal = (lab.keys.stream(name) for name in laned.command_streams)
    lab.join(stream=urgent, group=laned.group)
    lab.join(stream=normal, group=laned.group)
    seconds, _ = lab.client.time()
    lab.client.xadd(normal, {"n": "0"}, id=f"{(seconds - 100) * 1000}-0")
    lab.add(2, normal)
    lab.add(3, urgent)
    lab.client.xreadgroup(laned.group, "w1", {urgent: ">"}, count=1)
    (service,) = collect_stream_metrics(replace(lab.deployment, services=(laned,))).services
    assert (service.waiting, service.running, service.workers) == (Lag.exactly(5), 1, 1)
    assert 100 <= (service.oldest_waiting_seconds or 0) < 160


def test_delayed_and_overdue_commands_are_counted(lab: Any) -> None:
    seconds, _ = lab.client.time()
    lab.client.zadd(lab.keys.delayed("lab"), {"p1": (seconds - 90) * 1000, "p2": (seconds - 1) * 1000, "p3": (seconds + 60) * 1000})
    service = lab.seen()
    assert (service.delayed, service.overdue) == (3, 1)
    assert 90 <= service.most_overdue_seconds < 120


def test_dead_letters_are_counted_by_reason_and_a_strangers_reason_is_other(lab: Any) -> None:
    lab.add(1_200, lab.dead, reason="exhausted")
    lab.add(3, lab.dead, reason="poison")
    lab.add(2, lab.dead, reason="whatever a foreign worker says")
    lab.client.xadd(lab.dead, {"reason": "poison"}, id="*")
    letters = lab.seen().dead_letters
    assert letters.by_reason == {"exhausted": 1_200, "poison": 4, "other": 2}
    assert (letters.total, letters.uncounted, letters.lately) == (1_206, 0, 1_000)


def test_old_dead_letters_are_none_of_lately(lab: Any) -> None:
    seconds, _ = lab.client.time()
    lab.client.xadd(lab.dead, {"reason": "poison"}, id=f"{(seconds - 7_200) * 1000}-0")
    lab.add(2, lab.dead, reason="exhausted")
    letters = lab.seen(dead_letters_seconds=3_600).dead_letters
    assert (letters.total, letters.lately) == (3, 2)


def test_open_and_parked_jobs_are_counted_by_service(lab: Any) -> None:
    seconds, _ = lab.client.time()
    for publish, service in (("p1", "lab"), ("p2", "lab"), ("p3", "elsewhere")):
        lab.client.hset(lab.keys.job(publish), "service", service)
    lab.client.zadd(lab.keys.open_jobs, {"p1": (seconds - 50) * 1000, "p3": seconds * 1000})
    lab.client.zadd(lab.keys.parked_jobs, {"p2": (seconds - 70) * 1000})
    snapshot = lab.look()
    assert (snapshot.jobs.open, snapshot.jobs.parked, snapshot.service("lab").open, snapshot.service("lab").parked) == (2, 1, 1, 1)
    assert 50 <= snapshot.jobs.oldest_open_age_seconds < 90
    assert 70 <= snapshot.jobs.oldest_parked_age_seconds < 110


def test_too_many_open_jobs_to_ask_whose_they_are_is_not_known(lab: Any) -> None:
    lab.client.zadd(lab.keys.open_jobs, {f"p{number}": number for number in range(1_001)})
    snapshot = lab.look()
    assert (snapshot.jobs.open, snapshot.service("lab").open) == (1_001, None)


def test_a_stream_without_its_group_waits_whole(lab: Any) -> None:
    lab.add(4)
    service = lab.seen()
    assert (service.waiting, service.workers) == (Lag.exactly(4), 0)


def test_recent_jobs_give_queue_waits_run_times_and_throughput(lab: Any) -> None:
    seconds, _ = lab.client.time()
    for number in range(1, 21):
        remember(
            lab.client,
            lab.keys,
            "lab",
            RecentJob(queue_wait_ms=number * 1_000, run_ms=number * 10_000, finished_at=(seconds - number) * 1000, outcome="succeeded"),
        )
    remember(lab.client, lab.keys, "lab", RecentJob(queue_wait_ms=9_999_000, run_ms=1, finished_at=(seconds - 4_000) * 1000, outcome="failed"))
    lab.client.lpush(lab.keys.recent("lab"), "not JSON")
    found = lab.seen(window_seconds=300).times
    assert (found.finished, found.per_minute) == (20, 4.0)
    assert (found.queue_wait_p50_seconds, found.queue_wait_p95_seconds) == (10.0, 19.0)
    assert (found.run_p50_seconds, found.run_p95_seconds) == (100.0, 190.0)


def test_the_list_of_recent_jobs_is_capped_and_goes_by_itself(lab: Any) -> None:
    for number in range(KEPT + 5):
        remember(lab.client, lab.keys, "lab", RecentJob(finished_at=number, outcome="succeeded"))
    assert lab.client.llen(lab.keys.recent("lab")) == KEPT
    assert lab.client.ttl(lab.keys.recent("lab")) > 0
    assert RecentJob.model_validate_json(lab.client.lindex(lab.keys.recent("lab"), 0)).finished_at == KEPT + 4


def test_a_full_list_that_covers_less_than_the_window_gives_the_rate_of_what_it_covers() -> None:
    jobs = [RecentJob(finished_at=1_000_000 - number * 60, outcome="succeeded") for number in range(KEPT)]  # 1,000 jobs within 60 s
    assert times(jobs, now_ms=1_000_000, window_seconds=300).per_minute == pytest.approx(1_000, rel=0.01)


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (95, 4.0), (1, 1.0), (100, 4.0)])
def test_a_percentile_is_one_of_the_values(percent: int, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == expected
    assert percentile([], percent) is None


def test_looking_changes_nothing_and_scans_nothing(lab: Any) -> None:
    lab.join()
    lab.join(stream=lab.results, group=MANAGEMENT_CONSUMERS)
    entries = lab.add(20)
    lab.read(5)
    lab.client.xdel(lab.commands, entries[10])
    lab.add(3, lab.dead, reason="poison")

    lab.client.config_resetstat()
    collect_stream_metrics(lab.deployment)
    called = {name.removeprefix("cmdstat_") for name in lab.client.info("commandstats")} - {"config|resetstat"}
    reads = {
        "time",
        "info",
        "hgetall",
        "zcard",
        "zrange",
        "zcount",
        "lrange",
        "hget",
        "memory|usage",
        "xinfo|stream",
        "xinfo|groups",
        "xinfo|consumers",
    }
    reads.add("client|list")
    functions = {"fcall", "xrange", "xrevrange"}  # these only call the other two
    assert called <= reads | functions | {"xpending"}
    assert "fcall" in called
