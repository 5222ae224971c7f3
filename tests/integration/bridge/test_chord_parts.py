"""A chord's last part, counted while its server goes away in the middle: the chord is completed when the part is counted again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, signature
from celery.app.task import Context

from bridge import connect, identity
from bridge.celery_internals.servers import Interrupted
from bridge.settings import BridgeSettings
from streams.embedded import EmbeddedServer
from tests import servers


@pytest.fixture
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "redis", binary=servers.find(request.config.getoption("--server"))) as server:
        yield server


@pytest.fixture
def app(own_server: EmbeddedServer) -> Iterator[Celery]:
    app = connect(
        Celery("unit", broker=own_server.celery_url(1), backend=own_server.celery_url(), set_as_current=False),
        BridgeSettings(redis_url=own_server.url),
    )
    yield app
    app.close()


def count_part(app: Celery, *, replay: bool) -> None:
    run = identity.CurrentRun("p1", "p1", 1, "t1", replay=replay)
    body = signature("lab.body", app=app, options={"task_id": "body"})
    with identity.running(run):
        app.backend.on_chord_part_return(Context(id="t1", group="g1", group_index=0, chord=body), "SUCCESS", 5)


def messages(app: Celery) -> int:
    with app.connection_for_read() as connection:
        return int(connection.default_channel.client.llen("celery"))


def test_its_body_is_sent_when_the_part_is_counted_again(app: Celery) -> None:
    """Out of memory after the part was counted: Celery's next command is refused, and it would forget the size of the chord."""
    backend = app.backend
    backend.set_chord_size("g1", 1)
    count, admin = backend._chord_part_return_script, backend.client

    def counted_just_before(**call: Any) -> Any:
        counted = count(**call)
        admin.config_set("maxmemory", 1)
        return counted

    backend.__dict__["_chord_part_return_script"] = counted_just_before
    with pytest.raises(Interrupted, match="maxmemory"):
        count_part(app, replay=False)
    admin.config_set("maxmemory", 0)
    backend.__dict__["_chord_part_return_script"] = count
    assert admin.exists(backend.get_key_for_group("g1", ".s"))
    assert messages(app) == 0
    count_part(app, replay=True)
    assert messages(app) == 1
    assert not admin.exists(backend.get_key_for_group("g1", ".s"))
