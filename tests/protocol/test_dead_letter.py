"""R6 dead_letter: an entry that can't be taken up at all is kept with its own bytes."""

from __future__ import annotations

from typing import Any

from streams.jobs.messages import DeadReason
from tests.protocol.scene import Row, Scene, rows


def read(scene: Scene, fields: dict[Any, Any]) -> Row:
    scene.client.xadd(scene.commands, fields)
    (row,) = rows(scene.client.xreadgroup(scene.service.group, "W1", {scene.commands: ">"}), scene.commands)
    return row


def test_an_undecodable_entry_is_parked_and_no_result_is_sent(scene: Scene) -> None:
    row = read(scene, {"type": "lab.run", "nonsense": "1", b"raw": b"\xff\x00"})
    assert "dead_lettered" == scene.dead_letter(row)
    ((_, dead),) = scene.entries(scene.dead)
    assert {"reason": "undecodable", "nonsense": "1", "source_id": row[0], "source_stream": scene.commands}.items() <= dead.items()
    assert b"\xff\x00" == dead["raw"].encode(errors="surrogateescape")
    assert [] == scene.sent_results()
    assert [] == scene.pending()


def test_when_it_says_to_whom_a_result_goes_out(scene: Scene) -> None:
    row = read(scene, {"task_id": "t9", "attempt": "4", "callback_stream": scene.results})
    scene.dead_letter(row)
    (result,) = scene.sent_results()
    assert ("dead_lettered", "undecodable", "t9", "4") == (result["status"], result["reason"], result["task_id"], result["attempt"])


def test_only_who_holds_it_parks_it_and_once(scene: Scene) -> None:
    row = read(scene, {"nonsense": "1"})
    assert "lost" == scene.dead_letter(row, consumer="W2")
    assert ["dead_lettered", "lost"] == [scene.dead_letter(row), scene.dead_letter(row)]
    assert 1 == len(scene.entries(scene.dead))


def test_its_half_of_a_ledger_goes_by_itself(scene: Scene) -> None:
    row = read(scene, {"task_id": "t9", "attempt": "4", "callback_stream": scene.results})
    scene.dead_letter(row)
    assert scene.client.ttl(scene.keys.run("lab", f"entry:{row[0]}")) > 0


def test_an_unknown_type_of_a_dispatched_publish_resolves_it(scene: Scene) -> None:
    scene.dispatch()
    delivery = scene.read()
    scene.dead_letter((delivery.entry, delivery.command.to_redis_dict()), reason=DeadReason.UNKNOWN_TYPE)
    assert scene.client.ttl(scene.keys.run("lab", "p1")) == -1
    assert "fine:finished" == scene.repair()
    scene.close("p1")


def test_of_a_resolved_publish_nothing_is_parked(scene: Scene) -> None:
    scene.dispatch()
    delivery = scene.read()
    scene.client.xadd(scene.results, {"task_id": "t1", "attempt": "1", "status": "succeeded"})
    scene.close("p1")
    assert "resolved" == scene.dead_letter((delivery.entry, delivery.command.to_redis_dict()))
    assert [] == scene.pending()
    assert [] == scene.entries(scene.dead)
    assert 0 == scene.client.exists(scene.keys.run("lab", "p1"))


def test_a_callback_that_is_no_stream_parks_it_all_the_same(scene: Scene) -> None:
    row = read(scene, {"task_id": "t9", "attempt": "4", "callback_stream": scene.delayed})
    scene.client.zadd(scene.delayed, {"p": 1})
    assert "dead_lettered" == scene.dead_letter(row)
    assert 1 == len(scene.entries(scene.dead))
    assert [] == scene.pending()


def test_an_entry_with_thousands_of_fields_is_parked_too(scene: Scene) -> None:
    row = read(scene, {f"f{number}": "x" for number in range(9_000)})
    assert "dead_lettered" == scene.dead_letter(row)
    assert [] == scene.pending()
    assert 1 == len(scene.entries(scene.dead))
