"""What the reconciler finds, one kind a test: found when it is so, not before, and gone when it is repaired. The steps are the real functions on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy.exc
from celery import Celery
from click.testing import CliRunner

from bridge import StreamTask, connect, identity
from bridge.cli.streams import streams
from bridge.connection import Connection
from bridge.maintenance.reconciling import reconcile
from bridge.reconciling import Kind, Problem, find_problems, repair
from bridge.reconciling.ledgers import open_ledgers
from bridge.reconciling.thresholds import ReconcilerSettings
from bridge.settings import BridgeSettings
from bridge.states import BEGUN_RANK
from streams.bus import clock
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import load_library
from streams.bus.reader import NEWER_SCHEMA
from streams.bus.topology import MANAGEMENT_CONSUMERS, SERVICES, add_service
from streams.embedded import Server
from streams.jobs import dead_letters, running
from streams.jobs.messages import Status, StatusKind, WorkerStatus, WorkerStatusKind
from streams.jobs.running import Delivery
from tests.protocol.scene import LONG, SERVICE, Scene

AT_ONCE = ReconcilerSettings(settle_seconds=0, silent_leases=1, stalled_seconds=0.001, retry_grace_seconds=0)


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[Scene]:
    add_service(SERVICE)
    with connect_redis(redis_url) as client:
        load_library(client)
        yield Scene(client, prefix)
    SERVICES[SERVICE.name] = SERVICE


@pytest.fixture
def app(server: Server, prefix: str) -> Iterator[Celery]:
    app = Celery("unit", broker="memory://", backend=server.celery_url(), set_as_current=False)
    app.conf.result_backend_transport_options = {"global_keyprefix": prefix}
    app.conf.result_extended = True
    yield connect(app, BridgeSettings(redis_url=server.url, streams_prefix=prefix))
    Connection.of(app).client.close()
    app.backend.client.close()


@pytest.fixture
def connection(app: Celery) -> Connection:
    return Connection.of(app)


def found(connection: Connection, *kinds: Kind, settings: ReconcilerSettings = AT_ONCE, slow: bool = False) -> list[Problem]:
    return [problem for problem in find_problems(connection, slow=slow, settings=settings) if problem.kind in kinds]


def told(scene: Scene) -> None:
    """A worker of the service is alive."""
    status = WorkerStatus(kind=WorkerStatusKind.HEARTBEAT, worker="lab@here", pid=1, concurrency=1, freq=2)
    fields = {**status.to_redis_dict(), "service": SERVICE.name, "heard_at": clock.now_ms() / 1000}
    scene.client.hset(scene.keys.workers, "lab@here", json.dumps(fields))


def progress(scene: Scene, delivery: Delivery, token: str, current: int) -> None:
    command = delivery.command
    status = Status(task_id=command.task_id, attempt=command.attempt, publish_id=command.publish_id, kind=StatusKind.PROGRESS, current=current)
    assert scene.do(running.heartbeat(scene.keys, delivery, token, status)) == "held"


def test_a_quiet_deployment_has_no_problems(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    scene.close()
    connection.app.backend.store_result("t1", 1, "SUCCESS")
    assert list(find_problems(connection, slow=True, settings=AT_ONCE)) == []


def test_what_is_young_is_left_alone(connection: Connection, scene: Scene) -> None:
    scene.dispatch()
    assert list(find_problems(connection, settings=ReconcilerSettings())) == []


def test_jobs_wait_and_no_worker_of_their_service_is_there(connection: Connection, scene: Scene) -> None:
    scene.dispatch("p1")
    scene.dispatch("p2", task="t2")
    (problem,) = found(connection, Kind.NO_WORKER)
    assert problem.what == "service lab"
    assert "2 jobs" in problem.why
    assert "python -m workers lab" in problem.to_do
    told(scene)
    assert found(connection, Kind.NO_WORKER) == []


def test_a_worker_is_silent_and_nobody_takes_its_job_over(app: Celery, scene: Scene) -> None:
    app.streams_connection = connection = Connection(app, BridgeSettings(**{**Connection.of(app).settings.model_dump(), "lease_seconds": 1.0}))
    scene.started()
    assert found(connection, Kind.JOB_WITHOUT_OWNER) == []
    scene.client.xclaim(scene.commands, SERVICE.group, "W1", 0, [scene.job()["entry"]], idle=5_000, justid=True)
    (problem,) = found(connection, Kind.JOB_WITHOUT_OWNER)
    assert problem.what == "task t1"
    assert "lab@W1 was last heard of 5 s ago" in problem.why
    assert problem.fix is None


def test_a_silent_foreign_worker_is_left_to_the_reaper(app: Celery, scene: Scene) -> None:
    app.streams_connection = connection = Connection(app, BridgeSettings(**{**Connection.of(app).settings.model_dump(), "lease_seconds": 1.0}))
    SERVICES[SERVICE.name] = replace(SERVICE, reap_after_seconds=3600)
    scene.started()
    scene.client.xclaim(scene.commands, SERVICE.group, "W1", 0, [scene.job()["entry"]], idle=5_000, justid=True)
    assert found(connection, Kind.JOB_WITHOUT_OWNER, Kind.NO_WORKER) == []


def test_progress_stands_still(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    progress(scene, delivery, token, 3)
    (problem,) = found(connection, Kind.PROGRESS_STALLED)
    assert "stood at 3/?" in problem.why
    assert "revoke --terminate t1" in problem.to_do
    patient = AT_ONCE.model_copy(update={"stalled_seconds": 60})
    assert found(connection, Kind.PROGRESS_STALLED, settings=patient) == []
    scene.client.hset(scene.keys.run(SERVICE.name, "p1"), "progress_at", clock.now_ms() - 120_000)
    assert len(found(connection, Kind.PROGRESS_STALLED, settings=patient)) == 1
    progress(scene, delivery, token, 3)  # told once more is no progress
    assert len(found(connection, Kind.PROGRESS_STALLED, settings=patient)) == 1
    progress(scene, delivery, token, 4)
    assert found(connection, Kind.PROGRESS_STALLED, settings=patient) == []


def test_a_worker_that_is_silent_is_not_said_to_answer(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    progress(scene, delivery, token, 3)
    run, lease = scene.keys.run(SERVICE.name, "p1"), connection.settings.lease_seconds
    long_ago = clock.now_ms() - 3_600_000
    scene.client.hset(run, mapping={"progress_at": long_ago, "heartbeat": clock.now_ms() - int(lease * 900)})
    assert len(found(connection, Kind.PROGRESS_STALLED)) == 1
    scene.client.hset(run, mapping={"progress_at": long_ago, "heartbeat": clock.now_ms() - int(lease * 1100)})
    assert found(connection, Kind.PROGRESS_STALLED) == []


def test_payloads_are_not_read(connection: Connection, scene: Scene) -> None:
    """500 ledgers at a time, with a MiB in the command and one in the context of each, took a GB and more."""
    scene.started()
    (ledger,) = open_ledgers(connection, scene.keys.open_jobs)
    assert not {"command", "ctx"} & set(ledger.job)
    assert (ledger.task_id, ledger.run["worker"], ledger.is_newest) == ("t1", "lab@W1", True)


def test_no_bridge_resolves_a_result(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    (problem,) = found(connection, Kind.RESULT_UNRESOLVED)
    assert "start a bridge" in problem.to_do
    scene.close()
    assert found(connection, Kind.RESULT_UNRESOLVED) == []


def test_a_result_is_gone_after_a_bridge_had_begun_with_it(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    scene.client.xdel(scene.results, entry)
    (problem,) = found(connection, Kind.RESULT_LOST)
    assert entry in problem.why


def test_a_put_off_job_is_overdue_until_it_is_put_back(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token)
    (problem,) = found(connection, Kind.DELAYED_OVERDUE)
    assert "1 jobs" in problem.why
    assert repair(problem).done
    assert found(connection, Kind.DELAYED_OVERDUE) == []
    assert scene.read().publish_id == "p1"


def test_one_that_is_put_off_for_longer_is_not(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token, delay=LONG)
    assert found(connection, Kind.DELAYED_OVERDUE) == []


@pytest.mark.parametrize("taken_up", [False, True])
def test_the_state_of_an_open_job_is_gone(connection: Connection, scene: Scene, taken_up: bool) -> None:
    scene.dispatch()
    scene.client.hset(scene.keys.job("p1"), "ctx", json.dumps({"id": "t1", "task": "lab.run"}))
    if taken_up:
        scene.take_up(scene.read())
    (problem,) = found(connection, Kind.STATE_DISAGREES)
    expected = "STARTED" if taken_up else "DISPATCHED"
    assert expected in problem.to_do
    assert repair(problem).words == f"its state is {expected} now"
    assert found(connection, Kind.STATE_DISAGREES) == []


def test_a_repair_of_a_state_loses_against_what_came_meanwhile(connection: Connection, scene: Scene) -> None:
    scene.dispatch()
    scene.client.hset(scene.keys.job("p1"), "ctx", json.dumps({"id": "t1", "task": "lab.run"}))
    (problem,) = found(connection, Kind.STATE_DISAGREES)
    run = identity.CurrentRun("p1", "p1", 1, "t1")
    connection.raise_mark(run, BEGUN_RANK)
    with identity.running(run):
        connection.app.backend.store_result("t1", 5, "SUCCESS")
    assert repair(problem).words == "its state is SUCCESS now"


def test_a_state_that_was_stored_before_and_has_expired_is_no_success(connection: Connection, scene: Scene) -> None:
    scene.dispatch()
    scene.client.hset(scene.keys.job("p1"), "ctx", json.dumps({"id": "t1", "task": "lab.run"}))
    with identity.running(identity.CurrentRun("p1", "p1", 1, "t1")):
        connection.app.backend.store_result("t1", None, "DISPATCHED")
    assert found(connection, Kind.STATE_DISAGREES) == []
    connection.app.AsyncResult("t1").forget()
    (problem,) = found(connection, Kind.STATE_DISAGREES)
    repaired = repair(problem)
    assert not repaired.done
    assert "its state stays PENDING: DISPATCHED was stored before, and is gone" in repaired.words


def test_a_state_says_that_an_open_job_has_ended(connection: Connection, scene: Scene) -> None:
    scene.dispatch()
    connection.app.backend.store_result("t1", ValueError("x"), "FAILURE")
    (problem,) = found(connection, Kind.STATE_DISAGREES)
    assert "its state is FAILURE, and its job is open" in problem.why


def test_an_ended_job_whose_state_says_that_it_runs(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    scene.close()
    connection.app.backend.store_result("t1", None, "STARTED")
    (problem,) = found(connection, Kind.STATE_DISAGREES)
    assert "it ended as SUCCESS, and its state is STARTED" in problem.why


def test_a_task_that_ignores_its_result_has_no_state_to_disagree(connection: Connection, scene: Scene) -> None:
    scene.dispatch()
    scene.client.hset(scene.keys.job("p1"), "ctx", json.dumps({"ignore_result": True}))
    assert found(connection, Kind.STATE_DISAGREES) == []


def test_a_parked_job_whose_state_does_not_say_so(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.retry_later(delivery, token, max_deliveries=1)
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    scene.do(dead_letters.park(scene.keys, "p1", task_id="t1", results=scene.results, group=MANAGEMENT_CONSUMERS, entry=entry))
    scene.client.hset(scene.keys.job("p1"), "ctx", json.dumps({"id": "t1", "task": "lab.run"}))
    (problem,) = found(connection, Kind.STATE_DISAGREES)
    assert repair(problem).words == "its state is DEAD_LETTERED now"
    assert found(connection, Kind.STATE_DISAGREES) == []


def test_a_result_that_names_no_job(connection: Connection, scene: Scene) -> None:
    entry = scene.client.xadd(scene.results, {"schema": "1", "task_id": "stranger", "attempt": "1", "status": "succeeded", "worker": "lab@odd"})
    scene.read_result()
    assert scene.begin("unknown", str(entry)).verdict == "unknown"
    (problem,) = found(connection, Kind.RESULT_WITHOUT_JOB)
    assert problem.what == "task stranger"
    assert "lab@odd" in problem.why


def test_a_superseded_result_has_a_job(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    scene.client.xadd(scene.results, {"schema": "1", "task_id": "t1", "attempt": "1", "publish_id": "p1", "status": "succeeded"})
    scene.close()
    assert scene.begin("p1", scene.read_result()[0]).verdict == "superseded"
    assert found(connection, Kind.RESULT_WITHOUT_JOB) == []


def test_a_message_of_a_newer_version_waits(connection: Connection, scene: Scene) -> None:
    scene.client.xadd(scene.commands, {"schema": "9", "task_id": "later", "type": "lab.run"})
    assert found(connection, Kind.NEWER_SCHEMA) == []
    scene.client.xreadgroup(SERVICE.group, NEWER_SCHEMA, {scene.commands: ">"})  # as a worker leaves it
    (problem,) = found(connection, Kind.NEWER_SCHEMA)
    assert problem.what == "task later"
    assert "schema 9" in problem.why


def retried(scene: Scene, *, due_ms: int = 1) -> None:
    """p1 has ended as RETRY, and its retry p2 isn't dispatched."""
    delivery, token = scene.started()
    scene.finish(delivery, token)
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    assert scene.resolved("p1", entry, outcome="RETRY", retry="p2", retry_due_ms=due_ms) == "closed"


def test_a_retry_has_not_arrived(connection: Connection, scene: Scene) -> None:
    retried(scene)
    connection.app.backend.store_result("t1", ValueError("again"), "RETRY")
    (problem,) = found(connection, Kind.RETRY_WITHOUT_CHILD)
    assert problem.what == "task t1"
    assert problem.fix is not None
    assert scene.client.ttl(scene.keys.job("p1")) == -1


def test_a_retry_that_was_sent_again_is_given_more_and_more_time(connection: Connection, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no Celery worker is there each pass would only add one more of the same message."""
    sent: list[str] = []
    monkeypatch.setattr("bridge.reconciling.retries.send_retry", lambda _, request: sent.append(request["id"]))
    retried(scene)
    scene.client.hset(scene.keys.job("p1"), "ctx", json.dumps({"id": "t1", "task": "lab.run"}))
    connection.app.backend.store_result("t1", ValueError("again"), "RETRY")
    settings = AT_ONCE.model_copy(update={"retry_grace_seconds": 900})
    for times, wait in enumerate((1800, 3600, 7200), 1):
        scene.client.zadd(scene.keys.retrying_jobs, {"p1": clock.now_ms() - 901_000}, xx=True)
        (problem,) = found(connection, Kind.RETRY_WITHOUT_CHILD, settings=settings)
        assert repair(problem).words == f"its retry is sent again, and looked for again in {wait / 60:.0f} min"
        assert len(sent) == times
        assert found(connection, Kind.RETRY_WITHOUT_CHILD, settings=settings) == []
        due: Any = scene.client.zscore(scene.keys.retrying_jobs, "p1")
        assert due + 900_000 == pytest.approx(clock.now_ms() + wait * 1000, abs=5_000)


def test_a_retry_that_is_due_later_is_waited_for(connection: Connection, scene: Scene) -> None:
    retried(scene, due_ms=clock.now_ms() + 60_000)
    connection.app.backend.store_result("t1", ValueError("again"), "RETRY")
    assert found(connection, Kind.RETRY_WITHOUT_CHILD) == []


def test_a_retry_of_a_task_that_has_ended_otherwise_is_not_waited_for(connection: Connection, scene: Scene) -> None:
    retried(scene)
    connection.app.backend.store_result("t1", ValueError("revoked"), "REVOKED")
    assert found(connection, Kind.RETRY_WITHOUT_CHILD) == []
    assert scene.client.zcard(scene.keys.retrying_jobs) == 0
    assert scene.job()["outcome"] == "REVOKED"
    assert scene.client.ttl(scene.keys.job("p1")) > 0
    assert scene.client.ttl(scene.keys.task("t1")) > 0


def test_a_task_whose_job_is_gone_with_its_server(connection: Connection, scene: Scene) -> None:
    @connection.app.task(base=StreamTask, name="lab.run", service="lab", command="lab.run")
    def run() -> dict[str, Any]:
        return {}

    backend = connection.app.backend
    backend.store_result("t-dispatched", None, "DISPATCHED")
    backend.store_result("t-started", None, "STARTED", request=type("Request", (), {"task": "lab.run", "args": (), "kwargs": {}, "group": None})())
    backend.store_result("t-ended", 1, "SUCCESS")
    backend.store_result("t-not-ours", None, "STARTED")
    backend.store_result("t-ordinary", {"current": 1}, "PROGRESS")
    backend.store_result("t-progress", {"current": 1}, "PROGRESS")
    backend.client.hset(connection.keys.mark("t-progress"), "seq", 1)
    backend.client.set(backend.get_key_for_task("t-pickled"), b"\x80\x04 of another app")
    backend.client.set(backend.get_key_for_task("t-list"), b"[]")
    scene.dispatch("p9", task="t-known")
    backend.store_result("t-known", None, "DISPATCHED")
    assert {problem.what for problem in found(connection, Kind.JOB_LOST, slow=True)} == {"task t-dispatched", "task t-started", "task t-progress"}
    assert found(connection, Kind.JOB_LOST) == []  # only when somebody asks


def test_a_command_is_gone_from_its_stream(connection: Connection, scene: Scene) -> None:
    scene.dispatch()
    assert found(connection, Kind.COMMAND_LOST) == []
    scene.client.delete(scene.commands)
    (problem,) = found(connection, Kind.COMMAND_LOST)
    assert problem.what == "task t1"
    assert scene.client.xlen(scene.commands) == 0, "a look changes nothing"
    assert repair(problem).words == "repaired"
    assert found(connection, Kind.COMMAND_LOST) == []
    assert scene.entries(scene.commands)[0][1]["publish_id"] == "p1"


def test_a_result_is_gone_before_anybody_resolved_it(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    assert found(connection, Kind.RESULT_LOST) == []
    scene.client.delete(scene.results)
    scene.client.xgroup_create(scene.results, MANAGEMENT_CONSUMERS, id="0", mkstream=True)
    (problem,) = found(connection, Kind.RESULT_LOST)
    assert repair(problem).words == "repaired"
    assert scene.finish(delivery, token) == "lost", "its worker, asked again, doesn't think that the result is there"
    again = scene.read("W2")
    scene.finish(again, scene.take_up(again).token)
    scene.close()
    assert scene.job()["phase"] == "closed"


def test_a_cancel_is_answered_although_the_result_was_lost(connection: Connection, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    scene.client.delete(scene.results)
    assert scene.cancel() == "accepted"
    (problem,) = found(connection, Kind.RESULT_LOST)
    repair(problem)
    assert scene.take_up(scene.read("W2")).verdict == "cancelled"


def test_upkeep_repairs_what_it_may_and_counts_the_rest(connection: Connection, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILE_SETTLE_SECONDS", "0")
    delivery, token = scene.started()
    scene.retry_later(delivery, token)
    scene.dispatch("p2", task="t2")
    scene.client.hset(scene.keys.job("p2"), "ctx", json.dumps({"id": "t2", "task": "lab.run"}))
    scene.client.hset(scene.keys.job("p1"), "ctx", json.dumps({"id": "t1", "task": "lab.run"}))
    assert reconcile(connection) == {"no_worker": 1}
    assert connection.app.AsyncResult("t2").state == "DISPATCHED"
    assert scene.client.zcard(scene.delayed) == 0


def test_the_database_of_the_results_is_away(connection: Connection, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise sqlalchemy.exc.OperationalError("select", {}, Exception("unable to open database file"))

    monkeypatch.setenv("RECONCILE_SETTLE_SECONDS", "0")
    monkeypatch.setattr(connection.app.backend, "get_task_meta", away)
    scene.dispatch()
    done = CliRunner().invoke(streams, ["doctor", "--quick"], obj=SimpleNamespace(app=connection.app))
    assert done.exit_code == 3
    assert done.output.startswith("a server can't be asked: OperationalError: ")


def test_one_repair_that_fails_says_so(connection: Connection) -> None:
    def fail() -> str:
        raise ValueError("no")

    done = repair(Problem(Kind.COMMAND_LOST, "task t1", "why", "what", fail))
    assert (done.done, done.words) == (False, "ValueError: no")
