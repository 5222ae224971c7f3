"""A configuration under which jobs would be lost: the bridge doesn't start, a Celery worker says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.configuration.checks import EX_CONFIG
from streams.embedded import EmbeddedServer
from tests import servers
from tests.acceptance.stack import Process, Stack
from tests.waiting import wait_until

REFUSED = "configuration: maxmemory-policy of the streams' server is allkeys-lru"


class Forgetful(EmbeddedServer):
    def _command(self) -> list[str]:
        return [*super()._command(), "--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"]


@pytest.fixture
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    binary = servers.find(request.config.getoption("--server"))
    with Forgetful(tmp_path_factory.mktemp("redis"), binary=binary) as server, Stack(tmp_path_factory.mktemp("stack"), server) as stack:
        yield stack


def refuses(bridge: Process) -> None:
    wait_until(lambda: bridge.returncode is not None, message=bridge.log)
    assert (bridge.returncode, REFUSED in bridge.log, "Set maxmemory-policy noeviction" in bridge.log) == (EX_CONFIG, True, True)


def test_a_bridge_ends_and_says_what_to_set_and_a_celery_worker_goes_on(stack: Stack) -> None:
    bridge, celery = stack.bridge(), stack.celery()
    bridge.start()
    stack.start(celery)
    assert REFUSED in celery.log
    refuses(bridge)


def test_a_bridge_that_could_not_ask_its_server_does_so_when_it_is_there(stack: Stack) -> None:
    broker = EmbeddedServer(binary=stack.server.binary)
    with broker:
        stack.server.stop()
        bridge = stack.bridge(CELERY_BROKER_URL=broker.celery_url())
        bridge.start()
        bridge.wait_for("bridge: Redis at")
        assert bridge.running
        stack.server.start()
        refuses(bridge)
