"""Each finding of `check_configuration`, on apps that are just so, and on servers that are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis

import celeryconfig
from bridge import Finding, Severity, StreamTask, check_configuration, connect
from bridge.connection import Connection
from bridge.settings import BridgeSettings
from streams.embedded import EmbeddedServer, Server
from tests import servers
from tests.waiting import wait_until

DAY = 86_400
GOOD = {"result_expires": 30 * DAY, "worker_send_task_events": True}
MakeApp = Callable[..., Celery]


@pytest.fixture
def make_app(server: Server, prefix: str) -> Iterator[MakeApp]:
    apps: list[Celery] = []

    def make(settings: dict[str, Any] | None = None, *, url: str = server.url, backend: str = server.celery_url(), **conf: Any) -> Celery:
        app = Celery("unit", broker=server.celery_url(), backend=backend, set_as_current=False)
        app.conf.update(GOOD | conf)
        apps.append(connect(app, BridgeSettings.model_validate({"redis_url": url, "streams_prefix": prefix, **(settings or {})})))

        @app.task(base=StreamTask, name="lab.echo", service="lab", command="test.echo", shared=False)
        def echo() -> None: ...

        return app

    yield make
    for app in apps:
        Connection.of(app).client.close()
        app.close()


@pytest.fixture(scope="module")
def own_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("redis"), binary=servers.find(request.config.getoption("--server"))) as server:
        yield server


def found(app: Celery) -> list[tuple[str, str]]:
    return [(finding.severity.value, finding.setting) for finding in check_configuration(app)]


def only(app: Celery) -> Finding:
    [finding] = check_configuration(app)
    return finding


def test_good_settings_give_no_finding(make_app: MakeApp) -> None:
    assert check_configuration(make_app()) == []


def test_neither_do_this_repositorys_own(make_app: MakeApp) -> None:
    own = {name: value for name, value in vars(celeryconfig).items() if not name.startswith("_")}
    for elsewhere in ("os", "annotations", "broker_url", "result_backend", "imports"):
        own.pop(elsewhere)
    assert check_configuration(make_app(**own)) == []


@pytest.mark.parametrize("option", ["acks_late", "reject_on_worker_lost"])
def test_early_acknowledgement_by_annotations_is_refused(make_app: MakeApp, option: str) -> None:
    finding = only(make_app(task_annotations={"lab.echo": {option: False}}))
    assert (finding.severity, finding.setting) == (Severity.REFUSE, f"{option} of lab.echo")
    assert "task_annotations" in finding.to_set


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("result_serializer", "pickle"),
        ("task_serializer", "pickle"),
        ("accept_content", ["json", "pickle"]),
        ("result_accept_content", ["application/x-python-serialize"]),
    ],
)
def test_pickle_is_refused(make_app: MakeApp, setting: str, value: Any) -> None:
    finding = only(make_app(**{setting: value}))
    assert (finding.severity, finding.setting) == (Severity.REFUSE, setting)
    assert "json" in finding.to_set


@pytest.mark.parametrize(
    ("url", "why"), [("rpc://", "can't be read again"), ("cache+memory://", "counts the parts"), ("disabled://", "need a result backend")]
)
def test_a_result_backend_that_can_not_hold_states_is_refused(make_app: MakeApp, url: str, why: str) -> None:
    finding = only(make_app(backend=url))
    assert (finding.severity, finding.setting) == (Severity.REFUSE, "result_backend")
    assert why in finding.why


def test_a_database_is_fine_and_what_is_not_tested_is_told(make_app: MakeApp, tmp_path: Path) -> None:
    late = {"celery.chord_unlock": {"acks_late": True, "reject_on_worker_lost": True}}
    assert check_configuration(make_app(backend=f"db+sqlite:///{tmp_path}/results.db", task_annotations=late)) == []
    assert found(make_app(backend=f"file://{tmp_path}", task_annotations=late)) == [("warn", "result_backend")]


def test_a_database_needs_chords_that_survive_a_killed_worker(make_app: MakeApp, tmp_path: Path) -> None:
    finding = only(make_app(backend=f"db+sqlite:///{tmp_path}/results.db"))
    assert (finding.severity, finding.setting) == (Severity.WARN, "acks_late of celery.chord_unlock")
    assert "task_annotations" in finding.to_set


def test_celerys_default_of_a_day_is_too_short_for_a_job_of_unknown_length(make_app: MakeApp) -> None:
    finding = only(make_app(result_expires=DAY))
    assert (finding.severity, finding.setting, finding.found) == (Severity.WARN, "result_expires", "1 day, 0:00:00")
    assert str(7 * DAY) in finding.to_set
    assert "BRIDGE_LONGEST_JOB_HOURS" in finding.to_set


def test_known_lengths_are_what_lifetimes_are_compared_with(make_app: MakeApp) -> None:
    assert found(make_app({"longest_job_hours": 2}, result_expires=DAY)) == []
    assert found(make_app(result_expires=DAY, task_time_limit=3600)) == []
    assert found(make_app(task_time_limit=40 * DAY)) == [("warn", "result_expires"), ("warn", "BRIDGE_MARK_DAYS")]
    assert found(make_app(result_expires=None, result_chord_expires=DAY)) == [("warn", "result_chord_expires")]


def test_what_waits_for_a_parked_task_is_kept_as_long_as_its_dead_letter(make_app: MakeApp) -> None:
    app = make_app({"longest_job_hours": 2}, result_expires=30 * DAY, result_chord_expires=DAY)

    @app.task(base=StreamTask, name="lab.parked", service="lab", command="test.echo", on_dead_letter="park", shared=False)
    def parked() -> None: ...

    finding = only(app)
    assert (finding.setting, finding.found) == ("result_chord_expires", "1 day, 0:00:00")
    assert "lab.parked" in finding.why
    app.conf.result_chord_expires = 30 * DAY
    assert found(app) == []


def test_a_message_may_not_come_back_after_its_job_is_forgotten(make_app: MakeApp) -> None:
    app = make_app(broker_transport_options={"visibility_timeout": 10 * DAY})
    assert found(app) == [("warn", "broker_transport_options visibility_timeout")] * 2
    assert "BRIDGE_TOMBSTONE_DAYS=11" in check_configuration(app)[0].to_set
    assert found(make_app({"tombstone_days": 20}, broker_transport_options={"visibility_timeout": DAY})) == []


def test_an_ordinary_task_whose_retry_outlasts_the_visibility_timeout_is_named(make_app: MakeApp) -> None:
    app = make_app(broker_transport_options={"visibility_timeout": 300})

    @app.task(name="lab.slow", shared=False, autoretry_for=(OSError,), default_retry_delay=3600)
    def slow() -> None: ...

    assert "lab.slow" in only(app).why
    assert "3600" in only(app).to_set


def test_a_countdown_of_beats_that_outlasts_the_visibility_timeout_is_told_but_not_of_a_bridged_task(make_app: MakeApp) -> None:
    beat = {name: {"task": name, "schedule": 60, "options": {"countdown": 7200}} for name in ("lab.echo", "lab.ordinary")}
    finding = only(make_app(beat_schedule=beat))  # kombu's default is an hour
    assert "lab.ordinary" in finding.why
    assert "lab.echo" not in finding.why


def test_without_remote_control_no_revoke_reaches_a_job(make_app: MakeApp) -> None:
    assert found(make_app(worker_enable_remote_control=False)) == [("warn", "worker_enable_remote_control")]


def test_events_that_are_off_are_told_when_somebody_watches(make_app: MakeApp) -> None:
    app = make_app(worker_send_task_events=False)
    assert check_configuration(app) == []
    stop = threading.Event()

    def watch() -> None:
        with app.connection_for_read() as connection:
            for _ in app.events.Receiver(connection, handlers={}).itercapture(limit=None, timeout=0.2, wakeup=False):
                if stop.is_set():
                    return

    def watch_until_stopped() -> None:
        while not stop.is_set():
            try:
                watch()
            except TimeoutError:
                continue

    watching = threading.Thread(target=watch_until_stopped)
    watching.start()
    try:
        wait_until(lambda: found(app) == [("warn", "worker_send_task_events")])
        assert check_configuration(app, sends_events=True) == []
    finally:
        stop.set()
        watching.join()


@pytest.fixture
def config(own_server: EmbeddedServer) -> Iterator[Callable[..., None]]:
    """CONFIG SET on a server of our own, undone afterwards."""
    with Redis.from_url(own_server.url) as client:
        before: list[tuple[str, Any]] = []

        def change(**settings: str) -> None:
            for option, value in settings.items():
                name = option.replace("_", "-")
                before.append((name, client.config_get(name)[name]))
                client.config_set(name, value)

        yield change
        for name, value in reversed(before):
            client.config_set(name, value)


@pytest.mark.parametrize(("policy", "severity"), [("allkeys-lru", "refuse"), ("volatile-ttl", "warn")])
def test_a_streams_server_that_drops_keys(
    make_app: MakeApp, own_server: EmbeddedServer, config: Callable[..., None], policy: str, severity: str
) -> None:
    config(maxmemory_policy=policy)
    assert check_configuration(make_app(url=own_server.url)) == []  # without a limit it never does
    config(maxmemory="100mb")
    assert found(make_app(url=own_server.url)) == [(severity, "maxmemory-policy of the streams' server")]


def test_a_result_server_that_drops_keys(make_app: MakeApp, own_server: EmbeddedServer, config: Callable[..., None]) -> None:
    config(maxmemory_policy="allkeys-lru", maxmemory="100mb")
    assert found(make_app(backend=own_server.celery_url())) == [("warn", "maxmemory-policy of the result backend's server")]


def test_a_streams_server_that_forgets(make_app: MakeApp, own_server: EmbeddedServer, config: Callable[..., None]) -> None:
    config(appendonly="no")
    assert found(make_app(url=own_server.url)) == [("warn", "appendonly of the streams' server")]


class OldServer(EmbeddedServer):
    """As before Redis 7.0."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--rename-command", "FCALL", ""]


def test_a_server_without_functions_is_refused_with_the_version_that_is_needed(make_app: MakeApp, own_server: EmbeddedServer) -> None:
    with OldServer(binary=own_server.binary) as old:
        finding = only(make_app(url=old.url))
    assert (finding.severity, finding.setting) == (Severity.REFUSE, "the streams' server")
    assert "Redis 7.0" in finding.to_set


def test_a_server_that_is_away_is_not_asked(make_app: MakeApp) -> None:
    app = make_app(url="redis://127.0.0.1:1/0")
    assert check_configuration(app) == []
    assert not Connection.of(app).servers_checked


def test_a_limit_of_a_stream_that_there_is_not(make_app: MakeApp) -> None:
    limits = {"backtesting": {"max_backlog": 5}, "mgmt:freqai:commands": {"max_backlog": 5}, "*": {"cap": 500}}
    assert [] == found(make_app({"stream_limits": limits}))
    finding = only(make_app({"stream_limits": limits | {"backtestin": {"max_backlog": 5}}}))
    assert ("warn", "STREAMS_LIMITS", "backtestin") == (finding.severity.value, finding.setting, finding.found)


def test_a_task_is_put_off_for_longer_than_its_message_is_waited_for(make_app: MakeApp) -> None:
    timeout = {"broker_transport_options": {"visibility_timeout": 50}}
    assert ("warn", "BRIDGE_BACKLOG_RETRY_MAX_SECONDS") in found(make_app(**timeout))
    assert [] == found(make_app({"backlog_retry_max_seconds": 40.0}, **timeout))
