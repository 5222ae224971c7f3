"""Consumers, ghosts, dead letters and tombstones: what nobody needs goes, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bridge.connection import Connection
from bridge.maintenance.consumers import delete_idle_consumers
from bridge.maintenance.dead_letters import purge_old_dead_letters
from bridge.maintenance.ghosts import sweep_all_ghosts
from bridge.maintenance.tombstones import purge_tombstones
from streams.bus import clock
from streams.bus.sweeping import delete_consumers
from streams.jobs.running import HANDED_BACK
from tests.protocol.scene import Scene
from tests.waiting import wait_until

DAY_MS = 86_400_000
NOW = timedelta(0)
Connected = Callable[..., Connection]


def consumers(scene: Scene) -> set[str]:
    return {str(row["name"]) for row in scene.client.xinfo_consumers(scene.commands, scene.service.group)}


def delete(scene: Scene, idle: timedelta = NOW) -> tuple[str, ...]:
    return scene.do(delete_consumers(scene.commands, group=scene.service.group, idle=idle, kept=HANDED_BACK))


def test_a_consumer_that_owns_nothing_is_deleted_and_one_that_owns_something_never(scene: Scene) -> None:
    delivery, token = scene.started("p1", consumer="done")
    scene.finish(delivery, token)
    holding, _ = scene.started("p2", consumer="holds", task="t2")
    assert ("done",) == delete(scene)
    assert {"holds"} == consumers(scene)
    assert [holding.entry] == [row["message_id"] for row in scene.pending()]


def test_what_was_handed_back_is_kept_and_so_is_its_holder(scene: Scene) -> None:
    delivery, token = scene.started("p1")
    scene.hand_back(delivery, token)
    assert ("W1",) == delete(scene)
    claimed = scene.claim("W2")
    assert claimed is not None
    delete(scene)
    assert {HANDED_BACK, "W2"} == consumers(scene)


def test_a_consumer_that_was_there_a_moment_ago_is_kept(connected: Connected, scene: Scene) -> None:
    delivery, token = scene.started("p1")
    scene.finish(delivery, token)
    assert {} == delete_idle_consumers(connected())
    assert {"W1"} == consumers(scene)


def test_every_group_of_every_stream_is_looked_at(connected: Connected, scene: Scene) -> None:
    delivery, token = scene.started("p1")
    scene.finish(delivery, token)
    scene.close("p1")
    scene.client.xgroup_createconsumer(scene.status, "watchers", "w") if scene.client.xgroup_create(
        scene.status, "watchers", "0", mkstream=True
    ) else None
    connection = connected().settings.model_copy(update={"consumer_idle_seconds": 0.0})
    bridge = connected()
    bridge.__dict__["settings"] = connection
    assert {scene.service.commands: 1, scene.service.results: 1, scene.service.status: 1} == delete_idle_consumers(bridge)


def test_ghosts_are_acknowledged_and_their_jobs_are_repaired(connected: Connected, scene: Scene) -> None:
    delivery, _ = scene.started("p1")
    alive, _ = scene.started("p2", task="t2")
    scene.client.xdel(scene.commands, delivery.entry)
    bridge = connected(lease_seconds=1.0)
    assert "fine:pending" == scene.repair("p1")
    # Not while somebody may have it in hand: only what is older than a lease.
    wait_until(lambda: sweep_all_ghosts(bridge) == {scene.service.commands: 1})
    assert [alive.entry] == [row["message_id"] for row in scene.pending()]
    assert "repaired" == scene.repair("p1")


def test_a_long_pending_list_is_swept_in_parts(connected: Connected, scene: Scene) -> None:
    entries = [str(scene.client.xadd(scene.results, {"n": str(number)})) for number in range(1_203)]
    scene.client.xreadgroup("management_consumers", "B1", {scene.results: ">"}, count=2_000)
    for number, entry in enumerate(entries):
        if number % 3:
            scene.client.xdel(scene.results, entry)
    bridge = connected(lease_seconds=1.0)
    swept = 0

    def all_swept() -> bool:
        nonlocal swept
        swept += sweep_all_ghosts(bridge).get(scene.service.results, 0)
        return swept == 802

    wait_until(all_swept)
    assert 401 == len(scene.pending(scene.results, "management_consumers"))


def letter(scene: Scene, publish: str, age_days: float) -> str:
    entry = f"{clock.now_ms() - int(age_days * DAY_MS)}-{len(scene.entries(scene.dead))}"
    return str(scene.client.xadd(scene.dead, {"publish_id": publish, "reason": "poison"}, id=entry))


def test_what_became_of_a_dead_letter_is_forgotten_with_it(connected: Connected, scene: Scene) -> None:
    fates = scene.keys.fates(scene.service.name)
    scene.client.hset(fates, mapping={letter(scene, "gone", 31): "redriven p2 then", (young := letter(scene, "closed", 1)): "discarded"})
    purge_old_dead_letters(connected())
    assert scene.client.hkeys(fates) == [young]


def test_old_dead_letters_go_but_those_of_open_and_parked_jobs(connected: Connected, scene: Scene) -> None:
    scene.dispatch("open")
    for publish, phase in (("parked", "parked"), ("closed", "closed")):
        scene.client.hset(scene.keys.job(publish), "phase", phase)
    kept = {letter(scene, publish, 50) for publish in ("open", "parked")}
    gone = [letter(scene, publish, 40) for publish in ("closed", "forgotten", "")]
    kept.add(letter(scene, "closed", 1))
    assert {scene.service.dead_letters: len(gone)} == purge_old_dead_letters(connected())
    assert scene.client.hgetall(scene.keys.fates(scene.service.name)) == {}
    assert kept == {entry for entry, _ in scene.entries(scene.dead)}


def test_tombstones_without_a_ttl_get_one(connected: Connected, scene: Scene) -> None:
    delivery, token = scene.started("p1")
    scene.finish(delivery, token)
    scene.close("p1")
    run = scene.keys.run(scene.service.name, "p1")
    scene.client.persist(scene.keys.job("p1"))
    scene.client.persist(run)
    scene.started("p2", task="t2")
    scene.client.hset(scene.keys.job("p3"), mapping={"phase": "closed", "outcome": "RETRY"})
    assert {"jobs": 1, "runs": 1} == purge_tombstones(connected())
    assert all(int(str(scene.client.ttl(key))) > 6 * 86_400 for key in (scene.keys.job("p1"), run))
    lasting = (scene.keys.job("p2"), scene.keys.run(scene.service.name, "p2"), scene.keys.job("p3"))
    assert [-1, -1, -1] == [scene.client.ttl(key) for key in lasting]
