"""A bridged task looks like an ordinary one: each scenario ran once with either, and what anybody could see of the two is the same."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from celery import Celery

from bridge import BadPayload, NotMappable
from streams.errors import EncodeError
from tests.fidelity.conftest import Traces
from tests.fidelity.differences import different_lines, forgiven
from tests.fidelity.kit import SCENARIOS, SIDES
from tests.fidelity.nodes import Nodes
from tests.fidelity.observing import Observer, Record
from tests.waiting import wait_until

PATIENCE_SECONDS = 60


@pytest.mark.parametrize("name", list(SCENARIOS))
@pytest.mark.timeout(180)  # the first one runs them all
def test_bridged_looks_like_native(name: str, traces: Traces) -> None:
    native, bridged = (copy.deepcopy(traces[name, side]) for side in SIDES)
    if "scenario failed" in str(native["observed"]) or native["unfinished"]:
        pytest.fail(f"the scenario itself is wrong: {native['observed']}, unfinished: {native['unfinished']}", pytrace=False)
    differences = SCENARIOS[name].differences
    lines = different_lines(forgiven(native, differences), forgiven(bridged, differences))
    if lines:
        pytest.fail("a bridged task differs:\n" + "\n".join(lines), pytrace=False)


# ------------------------------------------------------------------------------------- what it does otherwise, on purpose, is said clearly


def test_its_states_tell_where_the_job_is(caller: Celery, fidelity_nodes: Nodes) -> None:
    with Observer(caller, fidelity_nodes.redis) as observer:
        result = caller.tasks["bridged.sleep"].delay(0.5)
        result.get(timeout=PATIENCE_SECONDS)
        wait_until(lambda: observer.states[result.id][-1]["status"] == "SUCCESS", PATIENCE_SECONDS, "the observer sees it, too")
        states = [state["status"] for state in observer.states[result.id]]
        started = next(state["result"] for state in observer.states[result.id] if state["status"] == "STARTED")
    assert states in (["DISPATCHED", "STARTED", "SUCCESS"], ["STARTED", "SUCCESS"])  # a free worker may be quicker than the Celery worker
    assert started["hostname"].startswith("fidelity@")


def test_its_events_name_the_stream_worker(caller: Celery, fidelity_nodes: Nodes) -> None:
    with Observer(caller, fidelity_nodes.redis) as observer:
        result = caller.tasks["bridged.sleep"].delay(0.1)

        def told() -> list[Record]:
            return [event for event in list(observer.events[result.id]) if event["type"] == "task-succeeded"]

        ended = wait_until(told, PATIENCE_SECONDS)
    hosts = {event["type"]: event["hostname"].partition("@")[0] for event in observer.events[result.id]}
    assert (hosts["task-received"], hosts["task-started"], hosts["task-succeeded"]) == ("celery", "fidelity", "fidelity")
    assert ended[0]["runtime"] >= 0.1


@pytest.mark.parametrize("how", ["map", "starmap", "chunks"])
def test_what_would_run_jobs_one_by_one_is_refused_and_a_group_is_shown(caller: Celery, how: str) -> None:
    task = caller.tasks["bridged.add"]
    arguments: Any = ([(1, 2), (3, 4)],) if how != "chunks" else ([(1, 2), (3, 4)], 1)
    with pytest.raises(NotMappable, match=r"group\(add\.s\("):
        getattr(task, how)(*arguments)


def test_bytes_can_not_go_to_a_worker(caller: Celery) -> None:
    with pytest.raises(EncodeError, match=r"args\[0\].*bytes"):
        caller.tasks["bridged.echo"].delay(b"raw").get(timeout=PATIENCE_SECONDS)


def test_a_refused_payload_names_the_key_and_not_the_value(caller: Celery) -> None:
    with pytest.raises(BadPayload, match="amount: ") as caught:
        caller.tasks["bridged.order"].delay({"item": "bolt", "amount": "a secret"}).get(timeout=PATIENCE_SECONDS)
    assert "secret" not in str(caught.value)
