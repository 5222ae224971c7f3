"""Fixtures for every test: a real server for the session, a key prefix of its own for each test, and nothing left behind."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streams.embedded import EmbeddedServer, Server, open_server
from tests import servers, skips


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", choices=servers.CHOICES, default="default", help="which server the tests run on; 'all' runs them on each")


def pytest_configure(config: pytest.Config) -> None:
    skips.register(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        names = servers.chosen(metafunc.config.getoption("--server"))
        metafunc.parametrize("server", names, indirect=True, scope="session", ids=servers.label)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for the whole session: tests tell their keys apart by `prefix`, and must not stop it (start an EmbeddedServer for that)."""
    if request.param == "default":
        with open_server() as default:
            yield default
    else:
        with EmbeddedServer(binary=servers.find(request.param)) as embedded:
            yield embedded


@pytest.fixture
def redis_url(server: Server) -> str:
    """For redis-py; `server.celery_url(db)` is Celery's spelling of it."""
    return server.url


@pytest.fixture
def prefix(server: Server) -> Iterator[str]:
    """A STREAMS_PREFIX of this test alone; its keys are removed afterwards."""
    mine = f"t{secrets.token_hex(4)}:"
    yield mine
    with redis.Redis.from_url(server.url) as client:
        for key in client.scan_iter(match=f"*{mine}*", count=1000):
            client.unlink(key)


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """As the system's own clients: nothing is retried behind our back, RESP3-shaped answers on every server."""
    with redis.Redis.from_url(redis_url, decode_responses=True, legacy_responses=False, retry=Retry(NoBackoff(), 0)) as client:
        yield client
