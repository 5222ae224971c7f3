"""A job that kills its workers is poison; those beside it are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge import PoisonCommand
from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

CONCURRENCY = 3


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), own_server, None, STREAMS_LEASE_SECONDS="1", WORKER_RETRY_BASE_SECONDS="0.05") as stack:
        stack.celery("celery", "-P", "solo")
        stack.bridge()
        stack.worker("worker", CONCURRENCY)
        stack.start(stack.processes["celery"], stack.processes["bridge"])
        yield stack


def test_a_suspect_runs_alone_and_its_neighbours_survive(stack: Stack) -> None:
    """Two poisonous jobs among six that sleep, three at a time; the worker is started again whenever it dies, as a supervisor does."""
    worker = stack.processes["worker"]
    poison = [stack.send("poison") for _ in range(2)]
    innocent = [stack.send("sleep", seconds=0.5) for _ in range(6)]
    wait_until(lambda: all(stack.redis.exists(stack.keys.task(result.id)) for result in [*poison, *innocent]))

    def over() -> bool:
        worker.start()
        return set(stack.states(innocent + poison)) <= {"SUCCESS", "FAILURE"}

    wait_until(over, 90, lambda: f"{stack.states(innocent)}, {stack.states(poison)}")
    assert stack.states(innocent) == {"SUCCESS": 6}
    for result in poison:
        with pytest.raises(PoisonCommand, match="poison after 3 deliveries"):
            stack.get(result)
    stack.wait_for_rest()
    assert {letter["task_id"] for letter in stack.dead_letters()} == {result.id for result in poison}
    for result in poison:
        assert stack.runs(result)[-1].delivery == 3
    assert max(run.delivery for run in stack.runs(*innocent)) <= 3
    assert "so it runs alone" in worker.log_file.read_text()


def test_two_suspects_dont_use_each_other_up(stack: Stack) -> None:
    """An innocent one whose worker has died twice waits for nobody's death: it is handed back before the other suspect begins."""
    worker = stack.processes["worker"]
    worker.start()
    worker.wait_ready()
    innocent = [stack.send("sleep", seconds=3) for _ in range(2)]
    for result in innocent:
        stack.wait_for_run(result)
    poison = stack.send("poison")

    def over() -> bool:
        worker.start()
        return set(stack.states([*innocent, poison])) <= {"SUCCESS", "FAILURE"}

    wait_until(over, 90, lambda: f"{stack.states(innocent)}, {stack.state(poison)}")
    assert stack.states(innocent) == {"SUCCESS": 2}
    assert stack.state(poison) == "FAILURE"
    assert [run.delivery for run in stack.runs(poison)] == [1, 2, 3]
    stack.wait_for_rest()
