"""A service is added, or told more of, by configuration only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from bridge import connect
from bridge.connection import Connection
from bridge.settings import BridgeSettings
from streams.bus.services import ServicesSettings, declare
from streams.bus.topology import SERVICES, Service
from streams.errors import SettingsError, UnknownService

RENDER = {"render": {"handlers": ["render_worker"], "lanes": ["urgent", "normal"]}}
TOML = '[render]\nhandlers = ["render_worker"]\nlanes = ["urgent", "normal"]\n'


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    before = dict(SERVICES)
    yield
    SERVICES.clear()
    SERVICES.update(before)


@pytest.mark.parametrize("form", ["json", "@services.json", "@services.toml"])
def test_it_is_json_or_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "services.json").write_text(json.dumps(RENDER))
    (tmp_path / "services.toml").write_text(TOML)
    monkeypatch.setenv("STREAMS_SERVICES", json.dumps(RENDER) if form == "json" else form)
    declare(ServicesSettings.load().services)
    assert SERVICES["render"] == Service.named("render", lanes=("urgent", "normal"), handlers=("render_worker",))


def test_what_the_code_says_stays_where_the_configuration_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_SERVICES", '{"trading": {"lanes": ["urgent", "normal"]}}')
    declare(ServicesSettings.load().services)
    assert (SERVICES["trading"].status, SERVICES["trading"].group) == ("trading:mgmt:status", "trading_instances")
    assert SERVICES["trading"].lanes == ("urgent", "normal")


def test_the_celery_side_knows_it_once_its_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_SERVICES", json.dumps(RENDER))
    for settings in (None, BridgeSettings(redis_url="redis://h/0")):
        SERVICES.pop("render", None)
        app = connect(Celery("unit", set_as_current=False), settings)
        assert "render" in [service.name for service in Connection.of(app).services]
        assert Connection.of(app).service("render").lanes == ("urgent", "normal")


def test_an_unknown_service_says_how_to_add_it() -> None:
    with pytest.raises(UnknownService, match="STREAMS_SERVICES adds others"):
        Connection.of(connect(Celery("unit", set_as_current=False))).service("render")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{", "is no JSON object"),
        ("[]", "STREAMS_SERVICES: Input should be a valid dict"),
        ("@nowhere.toml", "nowhere.toml can't be read: No such file"),
        ("@services.yaml", "services.yaml is neither a .toml nor a .json file"),
        ("@bad.toml", "bad.toml is no valid TOML"),
        ('{"render": {"lane": ["urgent"]}}', r"STREAMS_SERVICES: render\.lane: Extra inputs"),
        ('{"render": {"lanes": ["a", "a"]}}', r"STREAMS_SERVICES: render\.lanes: .*two lanes have the same name"),
        ('{"render": {"lanes": ["a:b"]}}', r"STREAMS_SERVICES: render\.lanes\.0: "),
        ('{"render": {"handlers": ["render.py:x"]}}', r"STREAMS_SERVICES: render\.handlers\.0: "),
        ('{"a b": {}}', r"STREAMS_SERVICES: a b"),
    ],
)
def test_a_mistake_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("x = [")
    monkeypatch.setenv("STREAMS_SERVICES", value)
    with pytest.raises(SettingsError, match=says):
        ServicesSettings.load()
