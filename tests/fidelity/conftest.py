"""Runs all chosen scenarios at once, ordinary and bridged, before the first test looks at one. One module has them all, so that the processes end with it."""

from __future__ import annotations

import importlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from streams.bus.topology import SERVICES
from streams.embedded import EmbeddedServer
from tests import servers
from tests.fidelity import kit as kits
from tests.fidelity import recording
from tests.fidelity.kit import SCENARIOS, SIDES, Kit, Scenario, Side
from tests.fidelity.nodes import Nodes
from tests.fidelity.observing import META, Observer, Record
from tests.fidelity.trace import Leftovers, trace
from tests.waiting import wait_until


class Stage(Enum):
    """Scenarios that run side by side."""

    TIMED = "timed"
    """They are about moments, and few: with nothing else on the machine, so that a second is long enough."""
    KILLING = "killing"
    """Celery's worker loses pool processes, and each time does nothing else for a second."""
    PLAIN = "plain"
    EAGER = "eager"
    """Not beside others: Celery's guard against `get()` within a task is one for the whole process."""


STAGES = {Stage.TIMED: 128, Stage.KILLING: 64, Stage.PLAIN: 48, Stage.EAGER: 1}
"""How many run at once."""
SUBJECTS = {"revoking": Stage.TIMED, "expiry_and_limits": Stage.TIMED, "eager": Stage.EAGER}
QUIET_SECONDS = 20.0
HANDLERS = '{"fidelity": {"handlers": ["tests.fidelity.handlers"]}}'

for module in sorted((Path(__file__).parent / "scenarios").glob("*.py")):
    importlib.import_module(f"tests.fidelity.scenarios.{module.stem}")

Traces = dict[tuple[str, Side], Record]


@pytest.fixture(scope="module")
def fidelity_nodes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    binary = servers.find(request.config.getoption("--server"))
    with (
        EmbeddedServer(tmp_path_factory.mktemp("redis"), binary=binary) as server,
        Nodes(tmp_path_factory.mktemp("fidelity"), server) as nodes,
    ):
        yield nodes


@pytest.fixture(scope="module")
def caller(fidelity_nodes: Nodes) -> Iterator[Celery]:
    """The app of the processes, in the test's own."""
    # What runs eagerly runs in a child of this process, which finds the handlers by configuration.
    os.environ |= {"TEST_FIDELITY_DIRECTORY": str(fidelity_nodes.work_directory), "STREAMS_SERVICES": HANDLERS}
    recording.url = fidelity_nodes.server.url
    module = importlib.import_module("tests.fidelity.app")
    app = module.app
    app.eager = module.make_app("eager", task_always_eager=True)
    for each in (app, app.eager):
        each.conf.update(broker_url=fidelity_nodes.server.celery_url(), result_backend=fidelity_nodes.server.celery_url())
        each.streams_connection._settings = fidelity_nodes.settings
        each.finalize()
    kits.note_what_is_sent()
    yield app
    app.close()
    app.eager.close()
    for name in ("TEST_FIDELITY_DIRECTORY", "STREAMS_SERVICES"):
        del os.environ[name]
    SERVICES.pop(module.SERVICE.name)


@pytest.fixture(scope="module")
def traces(request: pytest.FixtureRequest, caller: Celery, fidelity_nodes: Nodes) -> Traces:
    names = dict.fromkeys(_scenario_of(item) for item in request.session.items)
    chosen = [SCENARIOS[name] for name in names if name]
    began = time.monotonic()
    with Observer(caller, fidelity_nodes.redis) as observer:
        kits_of = {(each.name, side): Kit(side, caller, caller.eager, fidelity_nodes, observer) for each in chosen for side in SIDES}
        observed: dict[tuple[str, Side], Any] = {}
        for stage, at_once in STAGES.items():
            with ThreadPoolExecutor(at_once) as threads:
                mine = {key: kit for key, kit in kits_of.items() if _stage(SCENARIOS[key[0]]) is stage}
                futures = {key: threads.submit(_observe, kit, SCENARIOS[key[0]].function) for key, kit in mine.items()}
                observed |= {key: future.result() for key, future in futures.items()}
            print(f"{stage.value}: {len(mine) // 2} scenarios, {time.monotonic() - began:.0f} s so far")
        _wait_for_quiet(list(kits_of.values()), fidelity_nodes)
        leftovers = _leftovers(fidelity_nodes)
        metas = _metas(fidelity_nodes)
        runs = Counter((task_id, function) for task_id, function in fidelity_nodes.runs())
        made = {key: trace(kit, observed[key], leftovers, metas, runs) for key, kit in kits_of.items()}
        _close_backend(caller)
    print(f"{len(chosen)} scenarios, ordinary and bridged, in {time.monotonic() - began:.1f} s")
    if path := os.environ.get("FIDELITY_TRACES"):
        Path(path).write_text(json.dumps({f"{name} {side}": value for (name, side), value in made.items()}, indent=1))
    return made


def _stage(scenario: Scenario) -> Stage:
    if scenario.kills:
        return Stage.KILLING
    return SUBJECTS.get(scenario.subject, Stage.PLAIN)


def _scenario_of(item: pytest.Item) -> str:
    """Its name, if it is one: what `-k` left out isn't run."""
    return str(item.callspec.params["name"]) if "traces" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec") else ""


def _observe(kit: Kit, function: kits.ScenarioFunction) -> Any:
    try:
        return kits.run(kit, function)
    except BaseException as exc:  # noqa: BLE001 - shown by the scenario's own test
        return {"scenario failed": f"{type(exc).__name__}: {exc}"}
    finally:
        _close_backend(kit.app)


def _close_backend(app: Celery) -> None:
    """Celery's backend is one a thread, and is opened again when it is used again."""
    backend = app.backend
    backend.result_consumer.stop()
    backend.result_consumer._pubsub = None
    backend.client.connection_pool.disconnect()


def _wait_for_quiet(all_kits: list[Kit], nodes: Nodes) -> None:
    """Until all that was sent has ended; what hasn't by then is told by its scenario's test."""
    deadline = time.monotonic() + QUIET_SECONDS

    def quiet() -> bool:
        at_rest = nodes.redis.zcard(nodes.settings.keys.open_jobs) == 0 and not any(
            kit.observer.unfinished(kit.roots, kit.silent) for kit in all_kits
        )
        return at_rest or time.monotonic() > deadline

    wait_until(quiet, QUIET_SECONDS + 10)


def _leftovers(nodes: Nodes) -> Leftovers:
    keys = [str(key) for key in nodes.redis.scan_iter(count=1000)]
    with nodes.redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.ttl(key)
        return Leftovers(dict(zip(keys, pipe.execute(), strict=True)))


def _metas(nodes: Nodes) -> dict[str, Record]:
    keys = [str(key) for key in nodes.redis.scan_iter(match=f"{META}*", count=1000)]
    values: Any = nodes.redis.mget(keys) if keys else []
    return {key.removeprefix(META): json.loads(value) for key, value in zip(keys, values, strict=True) if value}
