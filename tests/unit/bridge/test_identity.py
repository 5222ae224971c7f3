"""Publish ids: new for new work, the same for what is sent again."""

from __future__ import annotations

import json
from typing import Any

from celery import chain, chord, group, signature

from bridge import identity
from bridge.identity import LINEAGE, PUBLISH_ID, Chord, CurrentRun


def sent(**headers: Any) -> dict[str, Any]:
    message = {"id": "t", "task": "tasks.x", "retries": 0, **headers}
    identity.stamp(message)
    return message


def run() -> CurrentRun:
    return CurrentRun("parent", "line", 1, "t")


def test_one_task_id_sent_twice_is_two_publishes() -> None:
    assert sent()[PUBLISH_ID] != sent()[PUBLISH_ID]


def test_a_retry_sent_twice_is_one_publish_in_its_parents_lineage() -> None:
    first = sent()
    again = [sent(retries=1, **{PUBLISH_ID: first[PUBLISH_ID], LINEAGE: first[LINEAGE]}) for _ in range(2)]
    assert again[0][PUBLISH_ID] == again[1][PUBLISH_ID] != first[PUBLISH_ID]
    assert again[0][LINEAGE] == first[PUBLISH_ID]


def test_what_a_replay_sends_has_the_ids_of_the_first_time() -> None:
    replays = []
    for _ in range(2):
        with identity.running(run()):
            replays.append([sent()[PUBLISH_ID], sent()[PUBLISH_ID]])
    assert replays[0] == replays[1]
    assert len(set(replays[0])) == 2


def test_a_chords_body_has_one_id_whichever_part_sends_it() -> None:
    ids = set()
    for parent in ("p1", "p2"):
        with identity.running(CurrentRun(parent, parent, 1, "t")), identity.completing_chord("chord-1"):
            ids.add(sent()[PUBLISH_ID])
    assert len(ids) == 1


def test_a_callback_is_not_in_its_parents_lineage() -> None:
    with identity.running(run()):
        message = sent()
    assert message[LINEAGE] == message[PUBLISH_ID]


def test_a_message_of_an_unconnected_producer_is_known_by_task_id_and_retries() -> None:
    assert identity.of_message({"id": "t", "retries": 0}) == identity.of_message({"id": "t", "retries": 0})
    assert identity.of_message({"id": "t", "retries": 1})[0] != identity.of_message({"id": "t", "retries": 0})[0]
    assert identity.of_message({"id": "t", "retries": 1})[1] == identity.of_message({"id": "t", "retries": 0})[0]


def test_a_body_that_celerys_own_task_sends_has_the_same_id_as_one_that_a_part_sends() -> None:
    unlocked = Chord("chord-1")
    messages: list[dict[str, Any]] = [{"id": f"t{number}", "task": "tasks.x", "retries": 0} for number in range(3)]
    for message in messages[:2]:
        identity.stamp(message, unlocked)
    with identity.completing_chord("chord-1"):
        identity.stamp(messages[2])
    assert messages[0][PUBLISH_ID] == messages[2][PUBLISH_ID] != messages[1][PUBLISH_ID]


def test_links_without_ids_have_the_same_ones_in_each_replay() -> None:
    named = signature("t", options={"task_id": "of-its-own"})
    canvas = [
        signature("t"),
        named,
        group(signature("t"), signature("t")),
        chain(signature("t"), signature("t")),
        chord([signature("t")], signature("t")),
    ]
    links = json.loads(json.dumps(canvas))
    before = json.dumps(links)
    first, again = (identity.with_task_ids(links, "parent", "callbacks") for _ in range(2))
    assert first == again != identity.with_task_ids(links, "another parent", "callbacks")
    assert json.dumps(links) == before
    ids = task_ids(first)
    assert "of-its-own" in ids
    assert len(ids) == len(set(ids)) == 10  # a chain has the id of its last task


def task_ids(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for each in value for found in task_ids(each)]
    if not isinstance(value, dict):
        return []
    return [*([value["task_id"]] if "task_id" in value else []), *(found for each in value.values() for found in task_ids(each))]


def test_no_links_stay_no_links() -> None:
    assert identity.with_task_ids(None, "parent") is None


def test_what_takes_the_place_of_a_message_is_the_same_publish() -> None:
    for retries in (0, 1):
        first = sent(retries=retries, **({PUBLISH_ID: "parent", LINEAGE: "line"} if retries else {}))
        with identity.sending_again():
            again = sent(retries=retries, **{name: first[name] for name in (PUBLISH_ID, LINEAGE)})
        assert [first[name] for name in (PUBLISH_ID, LINEAGE)] == [again[name] for name in (PUBLISH_ID, LINEAGE)]
