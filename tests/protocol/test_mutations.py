"""The random scenarios find each check that is taken out of the library: a driver that finds nothing proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
import redis

from streams.bus.clients import connect
from streams.embedded import EmbeddedServer
from tests.protocol.mutations import MUTATIONS, Mutation
from tests.protocol.search import explore
from tests.protocol.simulation import Scenario, Simulation
from tests.protocol.world import Violation

MOST_SECONDS = 30.0


@pytest.fixture(scope="module")
def broken_server() -> Iterator[redis.Redis]:
    """A server of its own: the library of the others stays whole."""
    with EmbeddedServer(append_only=False) as server, connect(server.url) as client:
        yield client


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_random_scenarios_find(broken_server: redis.Redis, mutation: Mutation) -> None:
    broken_server.function_load(mutation.source(), replace=True)
    _, finding = explore(broken_server, count(mutation.seed), seconds=MOST_SECONDS, shrinking_seconds=0)
    assert finding is not None


def test_a_finding_is_shrunk_and_its_seed_repeats_it(broken_server: redis.Redis) -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == "resolved closes nothing")
    broken_server.function_load(mutation.source(), replace=True)
    _, finding = explore(broken_server, count(1), seconds=MOST_SECONDS)
    assert finding is not None
    again = Simulation(broken_server, finding.scenario.rules)
    with pytest.raises(Violation, match=finding.violation.code):
        again.run_random(Scenario.of_seed(finding.scenario.seed))
    assert len(finding.steps) < len(again.steps)
