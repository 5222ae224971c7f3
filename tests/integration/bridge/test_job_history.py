"""`celery jobs history` in one process, on a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from click.testing import CliRunner, Result
from kombu.utils.json import dumps

from bridge import RemoteError, StreamTask, connect
from bridge.cli.jobs import jobs
from bridge.connection import Connection
from bridge.settings import BridgeSettings
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import load_library
from streams.bus.topology import SERVICES, add_service
from streams.embedded import Server
from tests.protocol.scene import SERVICE, Scene

TASK = "unit.research"


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[Scene]:
    add_service(SERVICE)
    with connect_redis(redis_url) as client:
        load_library(client)
        yield Scene(client, prefix)
    SERVICES[SERVICE.name] = SERVICE


@pytest.fixture
def app(server: Server, prefix: str) -> Iterator[Celery]:
    app = connect(
        Celery("unit", broker="memory://", backend=server.celery_url(), set_as_current=False),
        BridgeSettings(redis_url=server.url, streams_prefix=prefix),
    )
    app.conf.update(result_extended=True, result_expires=60, result_backend_transport_options={"global_keyprefix": prefix})

    @app.task(base=StreamTask, name=TASK, service=SERVICE.name, command="lab.run", history=COLUMNS, lazy=False, shared=False)
    def research(strategy: str, pair: str = "BTC/USDT") -> None: ...

    yield app
    Connection.of(app).client.close()
    app.close()


COLUMNS = {"strategy": "args.strategy", "pair": "args.pair", "profit": "profit_total", "best": "pairs.0.pair", "report": "report"}


def ended(
    app: Celery,
    scene: Scene,
    task_id: str,
    outcome: str = "SUCCESS",
    result: Any = None,
    *,
    strategy: str = "Ema",
    stored: bool = True,
    **kwargs: Any,
) -> None:
    """A job that went its whole way, and what Celery kept of it."""
    delivery, token = scene.started(task_id, task=task_id)
    scene.client.hset(scene.keys.job(task_id), "ctx", dumps({"task": TASK, "args": [strategy], "kwargs": kwargs}))
    scene.finish(delivery, token)
    scene.close(task_id, task=task_id, outcome=outcome)
    if stored:
        request = Context(task=TASK, args=[strategy], kwargs=kwargs, retries=0)
        app.backend.store_result(task_id, result, outcome, request=request)


@pytest.fixture
def some(app: Celery, scene: Scene) -> None:
    ended(app, scene, "t1", result={"profit_total": 0.02, "pairs": [{"pair": "ETH/USDT"}], "report": "file:///artifacts/t1/report.html"})
    ended(app, scene, "t2", result={"profit_total": -0.123456}, strategy="Rsi", pair="SOL/USDT")
    ended(app, scene, "t3", "FAILURE", RemoteError("StrategyError", "no such\ncolumn"))
    ended(app, scene, "t4", result={"profit_total": 0.5}, strategy="Rsi")
    ended(app, scene, "t5", strategy="Rsi", stored=False)
    scene.dispatch("t6", task="t6")


def history(app: Celery, *arguments: str) -> Result:
    return CliRunner().invoke(jobs, ["history", *arguments], obj=SimpleNamespace(app=app))


def found(app: Celery, *arguments: str) -> list[str]:
    done = history(app, "--json", *arguments)
    assert done.exit_code == 0, done.output
    return [json.loads(line)["task_id"] for line in done.output.splitlines()]


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ((), "t5 t4 t3 t2 t1"),
        (("--limit", "2"), "t5 t4"),
        (("--reverse",), "t1 t2 t3 t4 t5"),
        (("--sort", "profit"), "t4 t1 t2 t5 t3"),
        (("--sort", "profit", "--reverse"), "t2 t1 t4 t5 t3"),
        (("--sort", "strategy", "--limit", "2"), "t5 t4"),
        (("--strategy", "Rsi"), "t5 t4 t2"),
        (("--strategy", "Rsi", "--pair", "SOL/USDT"), "t2"),
        (("--where", "best=ETH/USDT"), "t1"),
        (("--state", "failure"), "t3"),
        (("--task", "research"), "t5 t4 t3 t2 t1"),
        (("--task", TASK, "--since", "1h"), "t5 t4 t3 t2 t1"),
        (("--task", "other"), ""),
        (("--since", "0s"), ""),
    ],
)
def test_jobs_that_ended_are_filtered_and_sorted(app: Celery, arguments: tuple[str, ...], ids: str) -> None:
    assert found(app, *arguments) == ids.split()


@pytest.mark.usefixtures("some")
def test_a_line_of_json_tells_all_that_is_known(app: Celery) -> None:
    lines = {line["task_id"]: line for line in map(json.loads, history(app, "--json").output.splitlines())}
    assert lines["t1"]["values"] == {
        "strategy": "Ema",
        "pair": None,
        "profit": 0.02,
        "best": "ETH/USDT",
        "report": "file:///artifacts/t1/report.html",
    }
    assert (lines["t1"]["task"], lines["t1"]["service"], lines["t1"]["worker"]) == (TASK, "lab", "lab@W1")
    assert 0 <= lines["t1"]["ran_seconds"] < 60
    assert lines["t3"]["error"] == "StrategyError: no such\ncolumn"
    assert (lines["t5"]["state"], lines["t5"]["values"]["strategy"], lines["t5"]["values"]["profit"]) == ("SUCCESS", "Rsi", None)


@pytest.mark.usefixtures("some")
def test_the_table_fits_a_narrow_terminal_and_cuts_no_id(app: Celery) -> None:
    done = history(app)
    header, *lines = done.output.splitlines()
    assert header.split() == ["finished", "state", "ran", "strategy", "pair", "profit", "best"]
    assert all(len(line) <= 80 for line in (header, *lines))
    assert re.search(r"^\d\d-\d\d \d\d:\d\d[+-]\d{4} +SUCCESS +0s +Rsi +SOL/USDT +-0.1235$", done.output, re.MULTILINE)
    assert "    t1  research\n    report file:///artifacts/t1/report.html\n" in done.output
    assert "    StrategyError: no such\n" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--sort", "luck"), "no column 'luck'; there are finished, waited, ran, strategy, pair, profit, best, report"),
        (("--where", "profit"), "COLUMN=VALUE, with one of the columns strategy"),
        (("--where", "luck=1"), "COLUMN=VALUE, with one of the columns strategy"),
        (("--since", "yesterday"), "is no duration"),
        (("--limit", "0"), "--limit"),
        (("--profit", "1"), "--profit"),
    ],
)
def test_a_mistake_is_told(app: Celery, arguments: tuple[str, ...], says: str) -> None:
    done = history(app, *arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_nothing_that_ended_is_no_mistake(app: Celery) -> None:
    done = history(app, "--strategy", "Ema")
    assert (done.exit_code, done.output) == (0, "no job that ended is known that is like that\n")


def test_what_is_retried_or_sent_twice_is_told_by_the_run_that_it_is(app: Celery, scene: Scene) -> None:
    ended(app, scene, "t1", "RETRY", stored=False)
    delivery, token = scene.started("p2", task="twice")
    scene.finish(delivery, token)
    scene.close("p2", task="twice")
    delivery, token = scene.started("p3", task="twice")
    scene.finish(delivery, token)
    scene.close("p3", task="twice")
    app.backend.store_result("twice", {"profit_total": 1.0}, "SUCCESS", request=Context(task=TASK, args=["Ema"], kwargs={}))
    lines = [json.loads(line) for line in history(app, "--json").output.splitlines()]
    assert [(line["task_id"], line["values"].get("profit")) for line in lines] == [("twice", 1.0), ("twice", None)]


def test_the_help_names_the_columns_of_the_tasks(app: Celery) -> None:
    done = history(app, "--help")
    assert "--strategy VALUE" in done.output
    assert "--profit" not in done.output


def test_a_server_that_is_away_is_told() -> None:
    app = connect(
        Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False), BridgeSettings(redis_url="redis://127.0.0.1:1/0")
    )
    done = history(app)
    assert done.exit_code == 1
    assert "is it running, and is REDIS_URL the one that the bridge uses?" in done.output
