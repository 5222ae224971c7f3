"""What Prometheus scrapes of a real bridge and of real workers."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest

from streams.bus.topology import MANAGEMENT_CONSUMERS
from tests.acceptance.stack import LAB, Process, Stack
from tests.scraping import Target
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def bridge(stack: Stack) -> Process:
    return stack.bridge(BRIDGE_METRICS_PORT="0", BRIDGE_METRICS_CACHE_SECONDS="0")


@pytest.fixture(scope="module")
def worker(stack: Stack, bridge: Process) -> Process:
    stack.celery()
    worker = stack.worker(WORKER_METRICS_PORT="0", STREAMS_MAX_DELIVERIES="1")
    stack.start()
    return worker


def test_a_job_is_counted_where_it_runs_and_where_it_is_resolved(stack: Stack, bridge: Process, worker: Process) -> None:
    jobs, runs = Target(bridge), Target(worker)
    result = stack.send("echo", value=1)
    assert stack.get(result) == {"value": 1}
    wait_until(lambda: jobs.value("resolve_latency_seconds_count", service="lab") == 1)
    assert jobs.value("queue_wait_seconds_count", service="lab") == 1
    assert jobs.value("run_seconds_count", service="lab", outcome="succeeded") == 1
    assert jobs.value("job_deliveries_sum", service="lab") == 1
    assert runs.value("worker_run_seconds_count", service="lab", outcome="succeeded") == 1
    assert runs.value("worker_queue_wait_seconds_count", service="lab") == 1
    assert runs.value("worker_deliveries_total", service="lab", delivery="1") == 1
    assert runs.value("worker_concurrency", service="lab") == 1
    for text in (jobs.text(), runs.text()):
        assert result.id not in text  # low cardinality
        assert "process_resident_memory_bytes" in text


def test_dead_letters_are_counted_by_reason(stack: Stack, bridge: Process, worker: Process) -> None:
    jobs, runs = Target(bridge), Target(worker)
    results = [stack.send("nobody_handles_this"), stack.send("crash")]
    stack.wait_for_states(results, "FAILURE")
    wait_until(lambda: jobs.value("dead_letters_total", service="lab", reason="unknown_type") == 1)
    wait_until(lambda: jobs.value("dead_letters_total", service="lab", reason="poison") == 1)
    assert runs.value("worker_dead_letters_total", service="lab", reason="unknown_type") == 1
    assert runs.value("worker_dead_letters_total", service="lab", reason="poison") == 1
    assert jobs.value("dead_letters_present", service="lab", reason="poison") == 1
    assert jobs.value("reasons", kind="dead_letters", level="degraded") == 1
    assert jobs.value("verdict") == 1


def test_a_parked_job_is_a_dead_letter_once_also_when_it_is_discarded(stack: Stack, bridge: Process, worker: Process, tmp_path: Path) -> None:
    jobs = Target(bridge)
    result = stack.send("parked", path=str(tmp_path / "never"))
    stack.wait_for_states([result], "DEAD_LETTERED")
    wait_until(lambda: jobs.value("dead_letters_total", service="lab", reason="exhausted") == 1)
    wait_until(lambda: jobs.value("service_parked_jobs", service="lab") == 1)
    assert jobs.value("reasons", kind="parked", level="degraded") == 1
    done = stack.run_celery("streams", "dead", "discard", "--all")
    assert done.returncode == 0, done.stderr
    stack.wait_for_states([result], "FAILURE")
    stack.wait_for_rest()
    assert jobs.value("dead_letters_total", service="lab", reason="exhausted") == 1
    assert jobs.value("service_parked_jobs", service="lab") == 0


def test_a_result_that_does_not_count_is_superseded(stack: Stack, bridge: Process, worker: Process) -> None:
    jobs = Target(bridge)
    result = stack.send("echo", value=2)
    stack.get(result)
    stack.wait_for_rest()
    stack.redis.xadd(LAB.results, {"schema": "1", "task_id": result.id, "attempt": "1", "status": "failed", "data": "null"})
    wait_until(lambda: jobs.value("superseded_total", service="lab", verdict="superseded") == 1)
    assert stack.get(result) == {"value": 2}


def test_a_scrape_shows_the_streams_as_they_are(stack: Stack, bridge: Process, worker: Process) -> None:
    jobs = Target(bridge)
    stack.wait_for_rest()
    of_workers = {"stream": LAB.commands, "group": LAB.group}
    assert (jobs.value("up"), jobs.value("group_lag", **of_workers), jobs.value("group_pending", **of_workers)) == (1, 0, 0)
    assert jobs.value("group_consumers_alive", stream=LAB.results, group=MANAGEMENT_CONSUMERS) == 1
    assert (jobs.value("stream_bytes", stream=LAB.results) or 0) > 0
    held = stack.send("sleep", seconds=60)
    stack.wait_for_run(held)
    waiting = [stack.send("echo", value=value) for value in range(3)]
    wait_until(lambda: jobs.value("group_lag", **of_workers) == 3)
    assert (jobs.value("group_pending", **of_workers), jobs.value("service_running", service="lab")) == (1, 1)
    assert Target(worker).value("worker_active", service="lab") == 1
    held.revoke(terminate=True)
    stack.wait_for_states(waiting, "SUCCESS")
    stack.wait_for_rest()
    assert (jobs.value("service_throughput_per_minute", service="lab") or 0) > 0


def test_a_lag_that_is_not_known_is_no_sample_and_never_0(stack: Stack, bridge: Process, worker: Process) -> None:
    jobs = Target(bridge)
    entries = [stack.redis.xadd("system:events", {"n": str(number)}) for number in range(4)]
    stack.redis.xgroup_create("system:events", "late", id=str(entries[0]))
    stack.redis.xdel("system:events", str(entries[2]))
    late = {"stream": "system:events", "group": "late"}
    assert jobs.value("group_lag", **late) == 2  # counted
    small = stack.bridge("small", BRIDGE_METRICS_PORT="0", BRIDGE_METRICS_CACHE_SECONDS="0", HEALTH_COUNT_LIMIT="1")
    stack.start(small)
    unknown = Target(small)
    assert (unknown.value("group_lag", **late), unknown.value("group_lag_unknown", **late), unknown.value("group_lag_at_least", **late)) == (
        None,
        1,
        1,
    )
    small.terminate()
    assert small.wait(20)
    with pytest.raises(urllib.error.URLError):
        unknown.text()
    stack.redis.delete("system:events")


def test_a_worker_that_comes_back_after_its_lease_counts_a_lost_lease(stack: Stack, bridge: Process, worker: Process) -> None:
    zombie = stack.worker("zombie", WORKER_METRICS_PORT="0")
    worker.terminate()
    assert worker.wait(20)
    stack.start(zombie)
    result = stack.send("sleep", seconds=6)
    stack.wait_for_run(result)
    zombie.pause()
    stack.start(worker)
    stack.wait_for_states([result], "FAILURE")  # it takes one delivery only
    zombie.resume()
    runs = Target(zombie)
    wait_until(lambda: runs.value("worker_lost_leases_total", service="lab") == 1)
    assert runs.value("worker_run_seconds_count", service="lab", outcome="lost") == 1
    stack.wait_for_rest()


def test_nothing_is_exposed_unless_a_port_is_set(stack: Stack, bridge: Process, worker: Process) -> None:
    quiet, other = stack.worker("quiet"), stack.bridge("silent")
    stack.start(quiet, other)
    for process in (quiet, other):
        listening = [connection for member in process.family() for connection in member.net_connections(kind="inet") if connection.status == "LISTEN"]
        assert listening == []
        assert "metrics: http" not in process.log


def test_a_port_that_is_taken_costs_the_metrics_and_nothing_else(stack: Stack, bridge: Process, worker: Process) -> None:
    port = Target(bridge).url.rpartition(":")[2].partition("/")[0]
    second = stack.worker("second", WORKER_METRICS_PORT=port)
    stack.start(second)
    second.wait_for(f"WORKER_METRICS_PORT: 127.0.0.1:{port} can't be listened on (")
    assert second.running
