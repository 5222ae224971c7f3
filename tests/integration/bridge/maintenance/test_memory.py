"""The memory budget: sampled now and then, and while the streams are over it nothing is dispatched."""

from __future__ import annotations

from collections.abc import Callable

from bridge.connection import Connection
from bridge.maintenance.memory import watch_memory
from streams.bus.limits import configure_stream_limits
from tests.protocol.scene import Scene

Connected = Callable[..., Connection]


def fill(scene: Scene) -> None:
    for _ in range(40):
        scene.client.xadd(scene.results, {"data": "x" * 50_000})


def test_over_the_budget_dispatching_stops_and_below_it_goes_on(connected: Connected, scene: Scene) -> None:
    bridge = connected(memory_mib=1.0)
    fill(scene)
    assert watch_memory(bridge)[scene.service.results] > 2**20
    refused = scene.dispatch()
    assert "over_memory" == refused.verdict
    assert f"of 1.0 MiB (STREAMS_MEMORY_MIB), most of it in {scene.service.results}" in refused.why_not
    assert int(str(scene.client.pttl(scene.keys.over_memory))) > 0
    scene.client.xtrim(scene.results, maxlen=0, approximate=False)
    watch_memory(bridge)
    assert "sent" == scene.dispatch().verdict


def test_without_a_budget_nothing_is_refused(connected: Connected, scene: Scene) -> None:
    fill(scene)
    watch_memory(connected())
    assert "sent" == scene.dispatch().verdict


def test_the_budget_can_be_set_in_code_and_the_environment_counts_before_it(connected: Connected, scene: Scene) -> None:
    from streams.bus import limits

    fill(scene)
    configure_stream_limits({}, memory_mib=1.0)
    try:
        assert 2**20 == connected().settings.memory_budget_bytes
        assert 5 * 2**20 == connected(memory_mib=5.0).settings.memory_budget_bytes
    finally:
        limits._memory_in_code.clear()
