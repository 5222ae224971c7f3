"""A deployment of one service on the session's server."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streams.bus.functions import load_library
from streams.bus.topology import Keys, Service
from streams.health import Deployment, Snapshot, Thresholds, collect_stream_metrics
from streams.health.snapshot import Group, ServiceHealth

LAB = Service.named("lab")


class Lab:
    """The streams of the service `lab`, and looks at them."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client, self.keys, self.service = client, Keys(prefix), LAB
        self.commands, self.results = self.keys.stream(LAB.commands), self.keys.stream(LAB.results)
        self.dead = self.keys.stream(LAB.dead_letters)
        self.deployment = Deployment(client, self.keys, (LAB,), lease_seconds=2.0)

    def add(self, count: int, stream: str = "", **fields: str) -> list[str]:
        with self.client.pipeline(transaction=False) as pipe:
            for number in range(count):
                entry: Any = {"n": str(number), **fields}
                pipe.xadd(stream or self.commands, entry)
            return [str(entry) for entry in pipe.execute()]

    def join(self, at: str = "0", stream: str = "", group: str = LAB.group) -> None:
        self.client.xgroup_create(stream or self.commands, group, id=at, mkstream=True)

    def read(self, count: int, consumer: str = "w1") -> None:
        self.client.xreadgroup(LAB.group, consumer, {self.commands: ">"}, count=count)

    def look(self, **thresholds: float) -> Snapshot:
        return collect_stream_metrics(self.deployment, Thresholds.load(**thresholds))

    def group(self, **thresholds: float) -> Group:
        stream = self.look(**thresholds).stream(LAB.commands)
        assert stream is not None
        group = stream.group(LAB.group)
        assert group is not None
        return group

    def seen(self, **thresholds: float) -> ServiceHealth:
        service = self.look(**thresholds).service(LAB.name)
        assert service is not None
        return service


@pytest.fixture
def lab(redis_client: redis.Redis, prefix: str) -> Lab:
    load_library(redis_client)
    return Lab(redis_client, prefix)
