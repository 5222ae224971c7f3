"""The public functions: for a connected app, or for a client with keys and services."""

from __future__ import annotations

from typing import Any

from celery import Celery

from bridge import connect
from bridge.connection import Connection
from bridge.instrumentation import CachedLook
from bridge.maintenance.registry import work
from bridge.maintenance.turns import do_in_turn
from bridge.settings import BridgeSettings
from streams.health import Level, Thresholds, check_consumer_lag, check_stream_health, collect_stream_metrics
from streams.health.prometheus import SnapshotCollector, text
from streams.health.tables import health_table, lag_table, metrics_table
from streams.jobs.messages import DeadReason


def shown(renderable: Any) -> str:
    from rich.console import Console

    console = Console(width=300)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_connected_app_is_enough(lab: Any, redis_url: str) -> None:
    lab.join()
    lab.add(3)
    app = connect(Celery("healthy", set_as_current=False), BridgeSettings(redis_url=redis_url, streams_prefix=lab.keys.prefix))
    assert check_stream_health(app).verdict.level is Level.DEGRADED
    assert collect_stream_metrics(app).prefix == lab.keys.prefix
    assert collect_stream_metrics(Connection.of(app)).lease_seconds == 15.0
    assert check_consumer_lag(lab.deployment)[0].lag.entries == 3


def test_every_renderer_shows_what_is_unknown_as_unknown(lab: Any) -> None:
    lab.join()
    entries = lab.add(30)
    lab.read(2)
    lab.client.xdel(lab.commands, entries[10])
    lab.add(2, lab.dead, reason=DeadReason.POISON)
    health = check_stream_health(lab.deployment, Thresholds(count_limit=10))
    for table in (health_table, lag_table, metrics_table):
        assert "unknown, at least 10" in shown(table(health))
    assert "there are too many to count (HEALTH_COUNT_LIMIT=10)" in shown(lag_table(health))
    exposed = text(health)
    sample = 'celery_streams_group_{}{{group="lab_workers",stream="mgmt:lab:commands"}} {}\n'
    assert sample.format("lag_unknown", "1.0") in exposed
    assert sample.format("lag_at_least", "10.0") in exposed
    assert "celery_streams_group_lag{" not in exposed
    assert 'celery_streams_dead_letters_present{reason="poison",service="lab"} 2.0\n' in exposed
    assert '"entries":null,"at_least":10' in health.model_dump_json()


def test_names_that_rich_would_read_as_markup_are_shown_as_they_are(lab: Any) -> None:
    lab.join()
    lab.add(1)
    lab.read(1, consumer="[red]w1[/red]")
    lab.client.xgroup_create(lab.commands, "[/]odd", id="0")
    table = shown(metrics_table(check_stream_health(lab.deployment)))
    assert "[red]w1[/red]" in table
    assert "[/]odd" in table


def test_a_scrape_while_the_server_is_away_says_so(lab: Any) -> None:
    app = connect(Celery("away", set_as_current=False), BridgeSettings(redis_url="redis://127.0.0.1:1/0"))
    look = CachedLook(Connection.of(app), Thresholds(), seconds=0)
    (up,) = SnapshotCollector(look).collect()
    assert (up.name, up.samples[0].value) == ("celery_streams_up", 0.0)


def test_scrapes_share_a_look_for_some_seconds(lab: Any, redis_url: str) -> None:
    app = connect(Celery("cached", set_as_current=False), BridgeSettings(redis_url=redis_url, streams_prefix=lab.keys.prefix))
    kept, fresh = (CachedLook(Connection.of(app), Thresholds(), seconds=seconds) for seconds in (3600, 0))
    assert kept() is kept()
    assert fresh() is not fresh()


def test_findings_of_the_reconciler_and_failed_upkeep_are_told(lab: Any) -> None:
    lab.client.hset(
        lab.keys.upkeep, "reconcile", '{"at": "2026-01-01T00:00:00+00:00", "seconds": 0.5, "outcome": {"no_worker": 2, "command_lost": 0}}'
    )
    lab.client.hset(lab.keys.upkeep, "trim", '{"at": "2026-01-01T00:00:00+00:00", "seconds": 0.1, "error": "ResponseError: no"}')
    lab.client.hset(lab.keys.upkeep, "ghosts", "not JSON")
    health = check_stream_health(lab.deployment, Thresholds(nobody_seconds=0))
    assert health.snapshot.findings == {"no_worker": 2}
    assert {(reason.kind, reason.where) for reason in health.verdict.reasons} == {("findings", "no_worker"), ("upkeep", "trim")}
    exposed = text(health)
    assert 'celery_streams_findings{kind="no_worker"} 2.0\n' in exposed
    assert 'celery_streams_upkeep_failed{work="trim"} 1.0\n' in exposed
    assert 'celery_streams_upkeep_failed{work="reconcile"} 0.0\n' in exposed
    assert "ResponseError: no" in shown(metrics_table(health))


def test_what_upkeep_notes_is_what_health_reads(lab: Any, redis_url: str) -> None:
    app = connect(Celery("kept", set_as_current=False), BridgeSettings(redis_url=redis_url, streams_prefix=lab.keys.prefix))
    do_in_turn(Connection.of(app), work("reconcile"), by="test")
    (noted,) = lab.look().upkeep
    assert (noted.name, noted.error) == ("reconcile", "")
    assert noted.age_seconds is not None
