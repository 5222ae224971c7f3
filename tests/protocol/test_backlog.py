"""R3 with a limit: a full command stream takes no more, and what it refuses leaves nothing behind."""

from __future__ import annotations

from tests.protocol.scene import LONG, Scene


def fill(scene: Scene, count: int) -> None:
    for number in range(count):
        assert "sent" == scene.dispatch(f"f{number}", task=f"tf{number}").verdict


def verdict(scene: Scene, publish: str = "p1", limit: int = 3) -> str:
    return scene.dispatch(publish, task=f"t-{publish}", max_backlog=limit).verdict


def test_below_the_limit_it_is_sent(scene: Scene) -> None:
    fill(scene, 2)
    assert "sent" == verdict(scene)


def test_at_the_limit_it_is_refused_and_nothing_is_left_of_it(scene: Scene) -> None:
    fill(scene, 3)
    before = sorted(scene.client.scan_iter(f"{scene.keys.prefix}*"))
    refused = scene.dispatch("p1", task="t1", max_backlog=3)
    assert ("full", 0, "", "3") == (refused.verdict, refused.seq, refused.entry, refused.why_not)
    assert before == sorted(scene.client.scan_iter(f"{scene.keys.prefix}*"))
    assert 3 == scene.client.xlen(scene.commands)


def test_without_a_group_every_entry_counts(scene: Scene) -> None:
    scene.client.xgroup_destroy(scene.commands, scene.service.group)
    fill(scene, 3)
    assert "full" == verdict(scene)


def test_what_a_worker_has_taken_up_does_not_count(scene: Scene) -> None:
    fill(scene, 3)
    scene.read()
    assert "sent" == verdict(scene)
    assert "full" == verdict(scene, "p2")


def test_what_was_handed_back_counts(scene: Scene) -> None:
    delivery, token = scene.started("p0", task="t0")
    fill(scene, 2)
    assert "sent" == scene.dispatch("p1", task="t-p1", max_backlog=3).verdict
    assert "handed_back" == scene.hand_back(delivery, token)
    assert "full" == verdict(scene, "p2", limit=4)


def test_what_is_delayed_counts(scene: Scene) -> None:
    delivery, token = scene.started("p0", task="t0")
    scene.retry_later(delivery, token, delay=LONG)
    fill(scene, 2)
    assert "full" == verdict(scene)


def test_it_is_counted_when_the_server_does_not_know_the_lag(scene: Scene) -> None:
    fill(scene, 5)
    scene.read()
    scene.client.xdel(scene.commands, scene.job("f3")["entry"])
    assert scene.client.xinfo_groups(scene.commands)[0]["lag"] is None
    assert "full" == verdict(scene, limit=3)
    assert "sent" == verdict(scene, limit=4)


def test_a_long_stream_whose_lag_is_not_known_is_estimated(scene: Scene) -> None:
    """Counting it would hold up the server at each dispatch."""
    entries = []
    for _ in range(6):
        pipe = scene.client.pipeline(transaction=False)
        for _ in range(1_000):
            pipe.xadd(scene.commands, {"n": "1"})
        entries += pipe.execute()
    scene.client.xreadgroup(scene.service.group, "W1", {scene.commands: ">"}, count=100)
    scene.client.xdel(scene.commands, entries[-2])
    assert "full" == verdict(scene, limit=5_899)
    assert "sent" == verdict(scene, limit=5_900)


def test_a_known_publish_is_a_duplicate_also_when_it_is_full(scene: Scene) -> None:
    fill(scene, 3)
    assert "duplicate" == scene.dispatch("f0", task="tf0", max_backlog=3).verdict


def test_a_cancelled_one_is_answered_also_when_it_is_full(scene: Scene) -> None:
    fill(scene, 3)
    scene.set_flag("t1")
    assert "cancelled" == scene.dispatch("p1", max_backlog=3).verdict


def test_over_the_memory_budget_nothing_is_sent(scene: Scene) -> None:
    scene.client.set(scene.keys.over_memory, "700 MiB of 512 MiB", px=LONG)
    refused = scene.dispatch()
    assert ("over_memory", "700 MiB of 512 MiB") == (refused.verdict, refused.why_not)
    scene.client.delete(scene.keys.over_memory)
    assert "sent" == scene.dispatch().verdict
