"""A bad setting is told by the name of its variable; secrets don't get into logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.settings import BridgeSettings
from streams.errors import SettingsError
from streams.redact import without_password
from workers.freqtrade.settings import FreqtradeSettings
from workers.settings import WorkerSettings


@pytest.mark.parametrize(
    ("variable", "value"),
    [("STREAMS_LEASE_SECONDS", "soon"), ("STREAMS_MAX_DELIVERIES", "0"), ("STREAMS_PREFIX", "a b"), ("WORKER_MAX_RSS_MIB", "-1")],
)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"{variable}: "):
        WorkerSettings.load()


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_LEASE_SECONDS", "")
    assert WorkerSettings.load().lease.total_seconds() == 15


def test_a_worker_cant_name_what_belongs_to_others() -> None:
    theirs = {WorkerSettings.variable(name) for name in WorkerSettings.model_fields}
    assert not {name for name in theirs if name.startswith(("CELERY", "BRIDGE", "FREQTRADE"))}


def test_the_bridge_outlasts_celerys_claim_of_a_chord() -> None:
    claim_seconds = 6  # twice celery's result_chord_join_timeout
    assert BridgeSettings().result_lease_seconds > claim_seconds


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:6379/0", "redis://***@host:6379/0"),
        ("redis://host/0", "redis://host/0"),
        ("unix://:pw@/tmp/s.sock", "unix://***@/tmp/s.sock"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("url", ["http://host", "localhost:6379", "redis:/host", "redis://h:notaport/0"])
def test_a_url_of_another_kind_is_told(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError, match="REDIS_URL: "):
        WorkerSettings.load()


@pytest.mark.parametrize(("field", "value"), [("jobs_dir", "/proc/nope"), ("artifacts_url", "foo://bar")])
def test_a_place_that_cant_be_used_is_told_at_start(tmp_path: Path, field: str, value: str) -> None:
    settings = WorkerSettings.load(**({"jobs_dir": tmp_path} | {field: value}))
    with pytest.raises(SettingsError, match=WorkerSettings.variable(field)):
        settings.make_places()


def test_folders_that_arent_there_are_told_at_start(tmp_path: Path) -> None:
    missing = tmp_path / "nope"
    settings = FreqtradeSettings.load(user_data=missing, datadir=missing, config=missing, markets=missing)
    told = "\n".join(settings.problems())
    for variable in ("FREQTRADE_STRATEGIES", "FREQTRADE_DATADIR", "FREQTRADE_CONFIG", "FREQTRADE_MARKETS"):
        assert variable in told
