"""A server without memory lets entries be read and claimed. So it lets them be taken up and held as well, or live workers lose their jobs to each other."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import redis

from streams.bus.clients import connect
from streams.bus.functions import load_library
from streams.embedded import EmbeddedServer
from tests import servers
from tests.protocol.scene import Scene


@pytest.fixture(scope="module")
def own_client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with EmbeddedServer(binary=servers.find(request.config.getoption("--server"))) as server, connect(server.url) as client:
        load_library(client)
        yield client


@pytest.fixture
def scene(own_client: redis.Redis) -> Iterator[Scene]:
    yield Scene(own_client, f"t{secrets.token_hex(4)}:")
    own_client.config_set("maxmemory", 0)


def test_a_running_job_keeps_its_lease(scene: Scene) -> None:
    delivery, token = scene.started()
    scene.client.config_set("maxmemory", 1)
    assert "held" == scene.heartbeat(delivery, token)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        scene.finish(delivery, token)


def test_what_was_read_is_taken_up_and_counts_once(scene: Scene) -> None:
    scene.dispatch()
    delivery = scene.read()
    scene.client.config_set("maxmemory", 1)
    taken = scene.take_up(delivery)
    assert ("run", 1) == (taken.verdict, taken.delivery)
