"""Limits: what is said of a stream counts before its service's, that before `*`; the environment before the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.bus import limits
from streams.bus.limits import DEFAULTS, StreamLimits, configure_stream_limits
from streams.bus.settings import StreamsSettings
from streams.bus.topology import Service
from streams.errors import SettingsError

LAB = Service.named("lab", lanes=("urgent", "normal"))
URGENT = "mgmt:lab:commands:urgent"


@pytest.fixture(autouse=True)
def nothing_in_code() -> Iterator[None]:
    yield
    limits._in_code.clear()


def settings(monkeypatch: pytest.MonkeyPatch, given: object) -> StreamsSettings:
    monkeypatch.setenv("STREAMS_LIMITS", given if isinstance(given, str) else json.dumps(given))
    return StreamsSettings.load()


def test_a_streams_own_count_before_its_services_and_those_before_everythings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(
        monkeypatch, {"*": {"max_backlog": 3, "keep_hours": 5, "cap": 500}, "lab": {"max_backlog": 2, "keep_hours": 4}, URGENT: {"max_backlog": 1}}
    )
    assert StreamLimits(max_backlog=1, keep_hours=4, cap=500) == found.limits_of(URGENT, LAB)
    assert StreamLimits(max_backlog=2, keep_hours=4, cap=500) == found.limits_of(LAB.results, LAB)
    assert StreamLimits(max_backlog=3, keep_hours=5, cap=500) == found.limits_of("system:events")


def test_the_environment_counts_before_the_code_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    configure_stream_limits({"lab": StreamLimits(max_backlog=7, keep_entries=9), URGENT: {"max_backlog": 5}})
    found = settings(monkeypatch, {"lab": {"max_backlog": 8}})
    assert StreamLimits(max_backlog=8, keep_entries=9, cap=DEFAULTS.cap) == found.limits_of(LAB.results, LAB)
    assert 5 == found.limits_of(URGENT, LAB).max_backlog


def test_without_any_the_defaults_count() -> None:
    assert DEFAULTS == StreamsSettings.load().limits_of(URGENT, LAB)
    assert (100_000, 10_000) == (DEFAULTS.max_backlog, DEFAULTS.cap)


def test_they_can_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text('[lab]\nmax_backlog = 12\n["system:events"]\ncap = 300\n')
    found = settings(monkeypatch, f"@{tmp_path / 'limits.toml'}")
    assert (12, 300) == (found.limits_of(LAB.commands, LAB).max_backlog, found.limits_of("system:events").cap)


@pytest.mark.parametrize(
    "bad", ["{", '{"lab": {"max_backlog": 0}}', '{"lab": {"maxlen": 5}}', '{"lab": {"keep_entries": 10001}}', '{"lab": {"cap": 10}}', "@nowhere.toml"]
)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    with pytest.raises(SettingsError, match="STREAMS_LIMITS"):
        settings(monkeypatch, bad)


def test_a_bad_limit_in_code_is_refused() -> None:
    with pytest.raises(ValidationError):
        configure_stream_limits({"lab": {"maxlen": 5}})
