"""The verdict is noted where anybody can read it, and the log tells when it changes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from bridge.connection import Connection
from bridge.maintenance.measuring import WORK
from bridge.maintenance.registry import work
from bridge.maintenance.turns import do_in_turn
from tests.protocol.scene import SERVICE, Scene


def test_a_verdict_is_noted_and_its_change_is_told_once(
    scene: Scene, connected: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HEALTH_WAITING", "2")
    connection, measure = connected(), work(WORK)

    def noted() -> dict[str, object]:
        connection.client.delete(connection.keys.upkeep_turn(WORK))
        assert do_in_turn(connection, measure, by="test").done
        outcome: dict[str, object] = json.loads(str(connection.client.hget(connection.keys.upkeep, WORK)))["outcome"]
        return outcome

    for number in range(3):
        scene.dispatch(f"p{number}", task=f"t{number}")
    with caplog.at_level(logging.WARNING, "bridge.maintenance.measuring"):
        first = noted()
        second = noted()
    assert first == second
    assert "waiting" in first["reasons"]  # type: ignore[operator]
    assert first["services"][SERVICE.name] == {"waiting": 3, "running": 0, "delayed": 0}  # type: ignore[index]
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"streams: {first['verdict']}, was unknown: " in line
