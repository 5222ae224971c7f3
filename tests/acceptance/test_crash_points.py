"""A process dies before and after each effect of the sequences S1 to S4, is started again, and everything is as if it hadn't."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult

from bridge import RemoteError
from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Stack
from tests.handlers import HandlerError
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

Story = Callable[[Stack, int], None]
"""Sends something, and says what must have come of it, with at most that many runs of each job."""


@pytest.fixture(scope="module")
def stop_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By process."""
    return {name: tmp_path_factory.mktemp("stop") / name for name in ("celery", "bridge", "worker", "operator")}


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, stop_files: dict[str, Path]) -> Iterator[Stack]:
    stopping = {name: {"TEST_STOP_FILE": str(file)} for name, file in stop_files.items()}
    leases = {"STREAMS_LEASE_SECONDS": "1", "BRIDGE_RESULT_LEASE_SECONDS": "1", "WORKER_RETRY_BASE_SECONDS": "0.2"}
    with Stack(tmp_path_factory.mktemp("stack"), own_server, None, **leases, **stopping["operator"]) as stack:
        stack.celery("celery", "-P", "solo", **stopping["celery"])
        stack.bridge(**stopping["bridge"])
        stack.worker("worker", 4, STREAMS_MAX_DELIVERIES="2", TEST_STOP_FILE=str(stop_files["worker"]))
        stack.start()
        yield stack


def linked_chain_in_a_chord(stack: Stack, most: int) -> None:
    """Links, a chain, a chord: each part once, one link under the id that it was given, the others as the children that their parent names."""
    runs_before = len(stack.runs())
    link = AsyncResult(f"link-{runs_before}", app=stack.caller)
    links = [stack.task("echo", value="link").set(task_id=link.id), stack.task("echo", value="other"), group(stack.task("echo", value="member"))]
    first = stack.task("echo", value=1).set(link=links)
    body = chord([chain(first, stack.task("echo", value=2)), stack.task("echo", value=3)], stack.caller.signature("lab.total"))()
    assert stack.get(body) == 5
    assert stack.get(link) == {"value": "link"}
    chained, other = body.parent.results
    stack.wait_for_rest()
    children = AsyncResult(chained.parent.id, app=stack.caller).children
    assert [[{"value": "member"}], [{"value": "link"}, {"value": "other"}], {"value": 2}] == [stack.get(child) for child in children]
    assert len(stack.runs()) - runs_before <= 6 * most
    assert stack.run_counts([link, chained.parent, chained, other]).keys() <= set(range(1, most + 1))
    left = [key for key in stack.redis.keys(f"*{body.parent.id}*") if stack.redis.ttl(key) == -1]
    assert left == []  # the claim's "done" is kept for some minutes


def failure(stack: Stack, _most: int) -> None:
    """An error: the errback runs, the rest of the chain fails."""
    errback = AsyncResult(f"errback-{len(stack.runs())}", app=stack.caller)
    end = chain(
        stack.task("fail", message="on purpose").set(link_error=stack.task("echo", value="errback").set(task_id=errback.id)),
        stack.task("echo", value="never"),
    ).apply_async()
    with pytest.raises((HandlerError, RemoteError), match="on purpose"):
        stack.get(end)
    assert stack.get(errback) == {"value": "errback"}
    stack.wait_for_states([end, end.parent], "FAILURE")
    stack.wait_for_rest()
    assert stack.runs(end) == []
    assert len(stack.runs(errback)) == 1


def retry(stack: Stack, _most: int) -> None:
    """Passing troubles use its deliveries up, Celery retries it: two runs, a dead letter, a third run."""
    job = stack.send("retried", failures=2)
    assert stack.get(job) == {"runs": 3}
    stack.wait_for_rest()
    assert [(run.attempt, run.delivery) for run in stack.runs(job)] == [(1, 1), (1, 2), (2, 1)]


def cancel(stack: Stack, _most: int) -> None:
    """A running job is stopped, and its chord fails."""
    body = chord([stack.task("sleep", seconds=60), stack.task("echo", value=1)])(stack.caller.signature("lab.total"))
    sleeping = body.parent.results[0]
    stack.wait_for_states([sleeping], "STARTED", "PROGRESS")
    sleeping.revoke(terminate=True)
    stack.wait_for_states([sleeping], "REVOKED")
    stack.wait_for_states([body], "FAILURE")
    stack.wait_for_rest()
    assert len(stack.runs(sleeping)) == 1


def revoked_chain(stack: Stack, _most: int) -> None:
    """Revoked before it is due: it never runs, and neither does the rest of its chain."""
    end = chain(stack.task("echo", value=1).set(countdown=2), stack.task("echo", value=2)).apply_async()
    end.parent.revoke(wait=True, timeout=5)
    stack.wait_for_states([end.parent, end], "REVOKED")
    stack.wait_for_rest()
    assert stack.runs(end.parent, end) == []


def crashing_job(stack: Stack, _most: int) -> None:
    """The job kills its process, each time: a dead letter as poison."""
    job = stack.send("crash", exit=3)
    stack.wait_for_states([job], "FAILURE")
    stack.wait_for_rest()
    assert len(stack.runs(job)) == 2
    assert [letter["task_id"] for letter in stack.dead_letters()][-1] == job.id


def operate(stack: Stack, *arguments: str) -> None:
    """`streams dead ...`, typed again when it was killed. The second time there may be nothing left to do.

    No job runs meanwhile: of one that has succeeded already Celery stores no DISPATCHED any more, and that step would never come.
    """
    worker = stack.processes["worker"]
    worker.pause()
    try:
        while (done := stack.run_celery("streams", "dead", *arguments)).returncode < 0:
            pass
    finally:
        worker.resume()
    assert done.returncode in {0, 1}, done.stdout + done.stderr


def cure_of(stack: Stack) -> Path:
    """A file without which the job fails."""
    return stack.directory / f"cure-{len(stack.runs())}"


def redriven(stack: Stack, most: int) -> None:
    """A failed task that an operator sends again: its chain goes on, each job runs once."""
    cure = cure_of(stack)
    end = chain(stack.task("until", path=str(cure), value=1), stack.task("echo", value=2)).apply_async()
    stack.wait_for_states([end.parent, end], "FAILURE")
    stack.wait_for_rest()
    cure.touch()
    operate(stack, "redrive", end.parent.id)
    stack.wait_for_states([end.parent, end], "SUCCESS")
    stack.wait_for_rest()
    assert [run.attempt for run in stack.runs(end.parent)] == [1, 1, 2]
    assert len(stack.runs(end)) <= most


def parked(stack: Stack, most: int) -> None:
    """A parked part of a chord that is sent again: the chord finishes, and counts it once."""
    cure = cure_of(stack)
    body = chord([stack.task("parked", path=str(cure), value=1), stack.task("echo", value=2)])(stack.caller.signature("lab.total"))
    part = body.parent.results[0]
    stack.wait_for_states([part], "DEAD_LETTERED")
    wait_until(lambda: stack.redis.zcard(stack.keys.parked_jobs))
    cure.touch()
    operate(stack, "redrive", part.id)
    assert stack.get(body) == 3
    stack.wait_for_rest()
    assert len(stack.runs(part)) <= 2 + most
    assert [key for key in stack.redis.keys(f"*{body.parent.id}*") if stack.redis.ttl(key) == -1] == []


def discarded(stack: Stack, _most: int) -> None:
    """A parked task that is let go: it fails, and so does the rest of its chain."""
    end = chain(stack.task("parked", path=str(cure_of(stack))), stack.task("echo", value=1)).apply_async()
    stack.wait_for_states([end.parent], "DEAD_LETTERED")
    wait_until(lambda: stack.redis.zcard(stack.keys.parked_jobs))
    operate(stack, "discard", end.parent.id)
    stack.wait_for_states([end.parent, end], "FAILURE")
    stack.wait_for_rest()
    assert stack.runs(end) == []


def revoked_retry(stack: Stack, _most: int) -> None:
    """A retry that is revoked before it is due, and so never dispatched."""
    job = stack.send("retried", failures=99)
    stack.wait_for_states([job], "RETRY")
    job.revoke()
    stack.wait_for_states([job], "REVOKED")
    wait_until(lambda: not stack.redis.zcard(stack.keys.retrying_jobs))
    stack.wait_for_rest()
    assert len(stack.runs(job)) == 2


POINTS: list[tuple[str, str, Story]] = [
    # S1 dispatch: R3, DISPATCHED, the acknowledgement.
    *[("celery", point, linked_chain_in_a_chord) for point in ("before dispatch", "after dispatch", "after put_state DISPATCHED", "after ack")],
    *[("celery", point, revoked_chain) for point in ("before ack", "after ack")],
    # S2 worker: R4, R6 finish / retry_later (which also parks).
    *[("worker", point, linked_chain_in_a_chord) for point in ("after read", "before take_up", "after take_up", "before finish", "after finish")],
    *[("worker", point, retry) for point in ("before retry_later", "after retry_later")],
    ("worker", "after heartbeat", cancel),
    # S3 bridge: R8, mark, link and chain, state, chord part, R9.
    *[
        ("bridge", point, linked_chain_in_a_chord)
        for point in (
            *("before begin", "after begin", "after put_state mark", "before publish", "after publish", "before put_state SUCCESS"),
            *("after put_state SUCCESS", "before chord part", "after chord part", "before resolved", "after resolved"),
        )
    ],
    *[("bridge", point, failure) for point in ("after begin", "before put_state FAILURE", "after put_state FAILURE", "after publish")],
    *[("bridge", point, retry) for point in ("before promote", "after promote", "before publish", "after publish", "after put_state RETRY")],
    *[("bridge", point, cancel) for point in ("after begin", "before put_state REVOKED", "after put_state REVOKED", "after cancel")],
    ("bridge", "after begin", crashing_job),
    # R15 park, R16 release.
    *[("bridge", point, parked) for point in ("before put_state DEAD_LETTERED", "after put_state DEAD_LETTERED", "before park", "after park")],
    *[("bridge", point, discarded) for point in ("before put_state FAILURE", "after put_state FAILURE", "before resolved", "after resolved")],
    *[("operator", point, discarded) for point in ("before release", "after release")],
    # R12 redrive.
    *[("operator", point, redriven) for point in ("before redrive", "after redrive", "after put_state DISPATCHED")],
    *[("operator", point, parked) for point in ("before redrive", "after redrive", "before put_state DISPATCHED")],
    # A retry that ends before its dispatch.
    *[("celery", point, revoked_retry) for point in ("before retry_ended", "after retry_ended")],
    # S4 status.
    *[("bridge", point, linked_chain_in_a_chord) for point in ("before put_state STARTED", "after put_state STARTED")],
]


@pytest.mark.parametrize(("process", "point", "story"), POINTS, ids=[f"{name} {point}, {story.__name__}" for name, point, story in POINTS])
def test_a_process_that_dies_there_leaves_no_trace(stack: Stack, stop_files: dict[str, Path], process: str, point: str, story: Story) -> None:
    for each in stack.processes.values():
        if not each.running:
            stack.start(each)
    dying, stop_file = stack.processes.get(process), stop_files[process]
    stop_file.write_text(point)

    def start_again() -> bool:
        if dying is None:  # an operator types it again
            return True
        if not dying.running:
            dying.start()
            return True
        return False

    with stack.meanwhile(lambda: wait_until(start_again, 60)):
        story(stack, 2 if process == "worker" else 1)  # a worker dies over its runs, and they have to be run again; nothing else may
    assert list(stop_file.parent.glob(f"{stop_file.name} of *")) != [], "it never came to that point"
    for mark in stop_file.parent.glob(f"{stop_file.name} of *"):
        mark.unlink()
    assert stack.superseded() == []
