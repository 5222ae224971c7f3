"""What Celery's own tools show of stream workers and their jobs: `inspect`, events, and Flower unmodified, through its HTTP API."""

from __future__ import annotations

import base64
import json
import socket
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
from celery.events.state import State

from tests.acceptance.stack import Stack
from tests.waiting import wait_until

USER = "watch:secret"


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge("one")
    stack.bridge("two")
    stack.worker(concurrency=2)
    stack.start()


@pytest.fixture(scope="module")
def worker_name() -> str:
    return f"lab@{socket.gethostname()}"


def inspect(stack: Stack, command: str, *args: Any, destination: list[str] | None = None) -> dict[str, Any]:
    return getattr(stack.caller.control.inspect(timeout=1.0, destination=destination), command)(*args) or {}


def test_a_running_job_is_active_on_its_worker_and_a_waiting_one_is_reserved(stack: Stack, worker_name: str) -> None:
    running = [stack.send("sleep", seconds=20, steps=100) for _ in range(2)]
    for job in running:
        stack.wait_for_run(job)
    waiting = stack.send("echo", value=1)
    wait_until(lambda: stack.state(waiting) == "DISPATCHED")
    wait_until(lambda: worker_name in inspect(stack, "ping"))  # a bridge has heard of it

    active = inspect(stack, "active")
    assert {job.id for job in running} == {request["id"] for request in active[worker_name]}
    assert [request["hostname"] for request in active[worker_name]] == [worker_name] * 2
    assert [request["kwargs"] for request in active[worker_name]] == [{"seconds": 20, "steps": 100}] * 2
    reserved = inspect(stack, "reserved")
    assert [waiting.id] == [request["id"] for requests in reserved.values() for request in requests]
    assert reserved[worker_name] == []

    found = inspect(stack, "query_task", [running[0].id])
    assert "active" == found[worker_name][running[0].id][0]
    found = inspect(stack, "query_task", [waiting.id])
    assert any(told.get(waiting.id, ["", {}])[0] == "reserved" for told in found.values())

    for job in running:
        job.revoke(terminate=True)
    assert stack.get(waiting) == {"value": 1}
    stack.wait_for_rest()
    assert inspect(stack, "active")[worker_name] == []


def test_stream_workers_answer_pings_and_tell_what_they_are(stack: Stack, worker_name: str) -> None:
    wait_until(lambda: worker_name in inspect(stack, "ping"))
    assert {worker_name: {"ok": "pong"}} == inspect(stack, "ping", destination=[worker_name])
    [stats] = inspect(stack, "stats", destination=[worker_name]).values()
    assert 2 == stats["pool"]["max-concurrency"]
    assert stats["pid"] == stack.processes["worker"].pid
    registered = inspect(stack, "registered")[worker_name]
    assert {"lab.echo", "lab.retried"} <= set(registered)
    assert not {"lab.total", "lab.nobody_handles_this"} & set(registered)
    assert "mgmt:lab:commands" == inspect(stack, "active_queues")[worker_name][0]["name"]


def test_events_of_a_job_come_once_and_carry_its_workers_name(stack: Stack, worker_name: str) -> None:
    seen: list[dict[str, Any]] = []
    state = State()

    def note(event: dict[str, Any]) -> None:
        state.event(event)
        seen.append(event)

    with stack.caller.connection() as connection:
        receiver = stack.caller.events.Receiver(connection, handlers={"*": note})
        capturing = threading.Thread(target=receiver.capture, kwargs={"limit": None, "timeout": None, "wakeup": True})
        capturing.start()
        wait_until(lambda: any(event["type"] == "worker-heartbeat" and event["hostname"] == worker_name for event in seen))
        job = stack.send("sleep", seconds=1)
        stack.get(job)
        wait_until(lambda: any(event["type"] == "task-succeeded" and event["uuid"] == job.id for event in seen))
        receiver.should_stop = True
        capturing.join()
    of_job = [(event["type"], event["hostname"].split("@")[0]) for event in seen if event.get("uuid") == job.id]
    assert [("task-received", "celery"), ("task-started", "lab"), ("task-succeeded", "lab")] == [row for row in of_job if row[0] != "task-sent"]
    task = state.tasks[job.id]
    assert ("SUCCESS", worker_name) == (task.state, task.worker.hostname)
    assert 0.9 < task.runtime < 10


# --------------------------------------------------------------------------------------------------------------------------------------- Flower


@pytest.fixture(scope="module")
def flower(stack: Stack) -> str:
    """Flower as anybody starts it, with basic auth."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ("-m", "celery", "-A", "tests.bridged_app", "flower", "--address=127.0.0.1", f"--port={port}", f"--basic-auth={USER}")
    stack.start(stack.other("flower", arguments, ready="Connected to redis"))
    return f"http://127.0.0.1:{port}"


def read(flower: str, path: str, data: dict[str, str] | None = None) -> str:
    body = None if data is None else "&".join(f"{name}={value}" for name, value in data.items()).encode()
    request = urllib.request.Request(flower + path, data=body, method="POST" if data is not None else "GET")
    request.add_header("Authorization", "Basic " + base64.b64encode(USER.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return ""


def ask(flower: str, path: str, data: dict[str, str] | None = None) -> Any:
    return json.loads(read(flower, path, data) or "{}")


def test_flower_lists_stream_workers_and_no_phantoms(stack: Stack, flower: str, worker_name: str) -> None:
    host = socket.gethostname()
    wait_until(lambda: set(ask(flower, "/api/workers?status=1")) >= {worker_name, f"celery@{host}", f"one@{host}", f"two@{host}"})
    stack.get(stack.send("echo", value=1))
    assert {worker_name, f"celery@{host}", f"one@{host}", f"two@{host}"} == set(ask(flower, "/api/workers?status=1"))
    told = ask(flower, f"/api/workers?refresh=1&workername={worker_name}")[worker_name]
    assert 2 == told["stats"]["pool"]["max-concurrency"]
    assert "lab.echo" in told["registered"]
    # Its page of the worker, which shows stats, queues, tasks and limits.
    page = read(flower, f"/worker/{worker_name}")
    assert "mgmt:lab:commands" in page
    assert "stream worker" in page


def test_flower_shows_a_jobs_state_worker_runtime_arguments_and_result(stack: Stack, flower: str, worker_name: str) -> None:
    job = stack.send("sleep", seconds=1)
    stack.get(job)
    wait_until(lambda: ask(flower, f"/api/task/info/{job.id}").get("state") == "SUCCESS")
    info = ask(flower, f"/api/task/info/{job.id}")
    assert (worker_name, 0, "{'slept': 1.0}") == (info["worker"], info["retries"], info["result"])
    assert "'seconds': 1" in info["kwargs"]
    assert 0.9 < info["runtime"] < 10


def test_flowers_revoke_button_stops_a_running_job(stack: Stack, flower: str) -> None:
    job = stack.send("sleep", seconds=60)
    stack.wait_for_run(job)
    wait_until(lambda: ask(flower, f"/api/task/info/{job.id}").get("state") == "STARTED")
    ask(flower, f"/api/task/revoke/{job.id}?terminate=true", {})
    wait_until(lambda: stack.state(job) == "REVOKED")
    wait_until(lambda: ask(flower, f"/api/task/info/{job.id}").get("state") == "REVOKED")
    stack.wait_for_rest()


def test_flowers_buttons_change_a_stream_workers_pool_and_shut_it_down(stack: Stack, flower: str, worker_name: str) -> None:
    worker = stack.processes["worker"]
    # Its buttons work for workers that have answered to `inspect`.
    wait_until(lambda: worker_name in ask(flower, f"/api/workers?refresh=1&workername={worker_name}"))
    # Flower waits a second for an answer; on a busy machine only what comes of it is sure.
    ask(flower, f"/api/worker/pool/grow/{worker_name}?n=2", {})
    worker.wait_for("4 at a time from now on")
    wait_until(lambda: 4 == inspect(stack, "stats", destination=[worker_name])[worker_name]["pool"]["max-concurrency"])
    ask(flower, f"/api/worker/pool/shrink/{worker_name}?n=2", {})
    worker.wait_for("2 at a time from now on")

    job = stack.send("sleep", seconds=3)
    stack.wait_for_run(job)
    ask(flower, f"/api/worker/shutdown/{worker_name}", {})
    worker.wait_for("draining: 1 jobs")
    assert {"slept": 3} == stack.get(job)
    assert worker.wait(5)
    wait_until(lambda: ask(flower, "/api/workers?status=1").get(worker_name) is False)
