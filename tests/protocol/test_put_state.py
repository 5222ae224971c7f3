"""R2: (run number, rank) only rises, SUCCESS is sticky while it is stored, an older run writes nothing final over a newer one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge.states import is_terminal, rank
from streams.jobs import resolving
from tests.protocol.scene import MARK_TTL_SECONDS, Scene

Put = Callable[..., bool]


@pytest.fixture
def meta(scene: Scene) -> str:
    return f"{scene.keys.prefix}meta:t1"


@pytest.fixture
def put(scene: Scene, meta: str) -> Put:
    """Stores a state of run `seq`, with its own name as the value; "" raises the mark to `to_rank`."""

    def put(state: str, seq: int = 1, *, lineage: str = "a", to_rank: int = 0, ttl_seconds: int = 3600) -> bool:
        change = resolving.StateChange(
            seq=seq,
            rank=to_rank or rank(state),
            lineage=lineage,
            state=state,
            terminal=is_terminal(state),
            mark_ttl_seconds=MARK_TTL_SECONDS,
        )
        step = resolving.put_state(meta, scene.keys.mark("t1"), change, ttl_seconds=ttl_seconds, value=state and f"{state} {seq}")
        return scene.do(step)

    return put


def mark(scene: Scene) -> list[Any]:
    return list(scene.client.hmget(scene.keys.mark("t1"), ["seq", "rank"]))


def test_states_rise_in_their_order(put: Put) -> None:
    assert [True] * 5 == [put(state) for state in ("DISPATCHED", "STARTED", "PROGRESS", "RETRY", "FAILURE")]


@pytest.mark.parametrize("late", ["DISPATCHED", "STARTED"])
def test_a_late_state_is_refused(scene: Scene, meta: str, put: Put, late: str) -> None:
    put("PROGRESS")
    assert not put(late)
    assert "PROGRESS 1" == scene.client.get(meta)


def test_progress_may_follow_progress_of_the_same_run_only(put: Put) -> None:
    assert [True, True] == [put("PROGRESS", 2), put("PROGRESS", 2)]
    assert not put("PROGRESS", 1)


def test_after_begin_nothing_of_the_run_is_shown_but_how_it_ends(scene: Scene, meta: str, put: Put) -> None:
    put("DISPATCHED")
    assert put("", to_rank=7)
    assert ["1", "7"] == mark(scene)
    assert "DISPATCHED 1" == scene.client.get(meta)
    assert [False, False] == [put("STARTED"), put("PROGRESS")]
    assert put("RETRY")


def test_raising_never_lowers_the_mark(scene: Scene, put: Put) -> None:
    put("STARTED", 2)
    put("", 1, to_rank=7)
    put("", 2, to_rank=1)
    assert ["2", "2"] == mark(scene)


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_nothing_that_is_not_final_comes_after_the_end(put: Put, state: str) -> None:
    put(state)
    assert [False] * 4 == [put(late) for late in ("DISPATCHED", "STARTED", "PROGRESS", "RETRY")]


def test_a_retry_is_shown_after_the_run_before_it(put: Put) -> None:
    assert [True, True] == [put("RETRY", 1), put("DISPATCHED", 2)]
    assert not put("RETRY", 1)


@pytest.mark.parametrize("late", ["FAILURE", "REVOKED", "STARTED"])
def test_success_is_sticky_for_every_lineage(scene: Scene, meta: str, put: Put, late: str) -> None:
    put("SUCCESS", 1)
    assert [False, False] == [put(late, 1), put(late, 2, lineage="b")]
    assert "SUCCESS 1" == scene.client.get(meta)


def test_success_is_sticky_only_while_it_is_stored(scene: Scene, meta: str, put: Put) -> None:
    put("SUCCESS", 1)
    scene.client.delete(meta)
    assert put("FAILURE", 2, lineage="b")


def test_an_older_run_writes_nothing_final_over_a_newer_one_of_its_lineage(put: Put) -> None:
    put("DISPATCHED", 2)
    assert [False, False, False] == [put(state, 1) for state in ("FAILURE", "REVOKED", "SUCCESS")]
    assert put("FAILURE", 2)


def test_a_raised_mark_is_a_newer_run_too(put: Put) -> None:
    put("", 2, to_rank=7)
    assert not put("FAILURE", 1)


def test_an_older_run_of_another_lineage_may_end_over_a_newer_one(scene: Scene, meta: str, put: Put) -> None:
    put("STARTED", 2, lineage="b")
    assert put("FAILURE", 1, lineage="a")
    assert "FAILURE 1" == scene.client.get(meta)
    assert ["2", "2"] == mark(scene)


def test_a_replay_may_write_its_end_again(put: Put) -> None:
    assert [True, True] == [put("FAILURE"), put("FAILURE")]


def test_result_and_mark_have_their_own_ttl(scene: Scene, meta: str, put: Put) -> None:
    put("STARTED", ttl_seconds=100)
    assert 0 < scene.client.ttl(meta) <= 100
    assert 100 < scene.client.ttl(scene.keys.mark("t1")) <= MARK_TTL_SECONDS
    put("PROGRESS", ttl_seconds=0)
    assert -1 == scene.client.ttl(meta)


def test_who_waits_for_the_result_is_told(scene: Scene, meta: str, put: Put) -> None:
    listener: Any = scene.client.pubsub()  # type: ignore[no-untyped-call]
    with listener:
        listener.subscribe(meta)
        assert "subscribe" == listener.get_message(timeout=5)["type"]
        put("SUCCESS")
        assert "SUCCESS 1" == listener.get_message(timeout=5)["data"]
