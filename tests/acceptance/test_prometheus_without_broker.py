"""While Celery's broker is away a bridge can still be scraped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Stack
from tests.scraping import Target
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
def stack(own_server: EmbeddedServer, broker: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), own_server, broker) as stack:
        yield stack


def test_a_bridge_without_its_broker_is_scraped_and_goes_on_when_it_is_back(stack: Stack, broker: EmbeddedServer) -> None:
    bridge = stack.bridge(BRIDGE_METRICS_PORT="0", BRIDGE_METRICS_CACHE_SECONDS="0")
    stack.start(bridge)
    target = Target(bridge)
    broker.stop()
    bridge.wait_for("Trying again in")
    assert target.value("up") == 1
    broker.start()
    wait_until(lambda: bridge.log.count("bridge: reading results") == 2)
    assert target.value("up") == 1
    assert bridge.log.count("metrics: http://") == 1
    bridge.terminate()
    assert bridge.wait(30)
    assert "Traceback" not in bridge.log.rpartition("bridge: reading results")[2]
