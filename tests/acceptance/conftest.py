"""One server and one stack per test module; a failed test shows the end of each process's log."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from streams.embedded import EmbeddedServer
from tests import servers
from tests.acceptance.stack import Stack

LOG_LINES = 40


@pytest.fixture(scope="module")
def own_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server that the tests of one module may stop and kill."""
    binary = servers.find(request.config.getoption("--server"))
    with EmbeddedServer(tmp_path_factory.mktemp("redis"), binary=binary) as server:
        yield server


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Another server, for Celery's messages only."""
    binary = servers.find(request.config.getoption("--server"))
    with EmbeddedServer(tmp_path_factory.mktemp("broker"), binary=binary) as server:
        yield server


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An empty stack: each module starts what it needs."""
    with Stack(tmp_path_factory.mktemp("stack"), own_server) as stack:
        yield stack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        report.sections += [(f"end of {process.log_file}", process.log_tail(LOG_LINES)) for process in stack.processes.values()]
    return report
