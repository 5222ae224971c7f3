"""What a scenario is written with: tasks of one side, ordinary or bridged, and ways to look at what became of them.

    @scenario
    def a_chain_passes_results_on(kit: Kit) -> Any:
        return kit.outcome(chain(kit.echo.s(1), kit.add.s(2)).apply_async())

It returns what a user would see; the rest (states, events, signals, handlers, what is left in Redis) is recorded by itself and compared as well.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from celery import Celery, Task
from celery.result import AsyncResult
from celery.signals import before_task_publish, task_prerun

from tests.fidelity.nodes import Nodes
from tests.fidelity.observing import Observer
from tests.fidelity.recording import plain
from tests.waiting import wait_until

Side = Literal["native", "bridged"]
SIDES: tuple[Side, Side] = ("native", "bridged")
PATIENCE_SECONDS = 60.0
"""All scenarios run at once, so a short one may wait for the others."""

ScenarioFunction = Callable[["Kit"], Any]


@dataclass(frozen=True)
class Scenario:
    """A function over a kit, and what must be known to compare its runs."""

    name: str
    subject: str
    function: ScenarioFunction
    differences: tuple[str, ...] = ()
    """Names of the intended differences (`differences.py`) that this scenario shows, beside those of every bridged task."""
    kills: bool = False
    """Whether Celery's worker loses a pool process."""


SCENARIOS: dict[str, Scenario] = {}


def scenario(function: ScenarioFunction | None = None, *, differences: tuple[str, ...] = (), kills: bool = False) -> Any:
    """Register a scenario."""

    def register(function: ScenarioFunction) -> ScenarioFunction:
        name = function.__name__
        assert name not in SCENARIOS, f"two scenarios are called {name}"
        SCENARIOS[name] = Scenario(name, function.__module__.rpartition(".")[2], function, differences, kills)
        return function

    return register if function is None else register(function)


@dataclass
class Kit:
    """The tasks of one side, for one run of one scenario: `kit.echo` is `native.echo` or `bridged.echo`."""

    side: Side
    app: Celery
    eager_app: Celery
    nodes: Nodes
    observer: Observer
    roots: set[str] = field(default_factory=set)
    """Ids of the tasks that the scenario itself sent or ran."""
    silent: set[str] = field(default_factory=set)
    """Ids of tasks that send no events."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __getattr__(self, name: str) -> Task:
        try:
            return self.app.tasks[f"{self.side}.{name}"]
        except KeyError:
            raise AttributeError(name) from None

    def eagerly(self, name: str) -> Task:
        """The task in an app with `task_always_eager`."""
        return self.eager_app.tasks[f"{self.side}.{name}"]

    def common(self, name: str) -> Task:
        """An ordinary task on both sides."""
        return self.app.tasks[f"common.{name}"]

    def key(self, name: str = "") -> str:
        """Of this run alone, for work that remembers something."""
        return f"key-{self.token}-{name}"

    # ----------------------------------------------------------------------------------------------------------------- what a user would see

    def outcome(self, result: Any, timeout: float = PATIENCE_SECONDS) -> Any:
        """What `get` returns, or the exception that it raises."""
        return self.attempt(lambda: result.get(timeout=timeout))

    def attempt(self, function: Callable[[], Any]) -> Any:
        """What it returns or raises."""
        try:
            return function()
        except Exception as exc:  # noqa: BLE001 - it is what is looked at
            return plain(exc)

    def fresh(self, result: Any) -> AsyncResult:
        """The same result, known by its id only."""
        return AsyncResult(getattr(result, "id", result), app=self.app)

    def ended(self, result: Any) -> Any:
        """What `get` returns or raises, when everything that came of the scenario has ended: before, it is chance which of several errors it meets."""
        self.wait_until_quiet()
        return self.outcome(result)

    def seen(self, result: Any) -> dict[str, Any]:
        """State and value as whoever knows only the id sees them, and what they were to `get`."""
        got = self.ended(result)
        fresh = self.fresh(result)
        return {"got": got, "state": fresh.state, "result": plain(fresh.result), "traceback": bool(fresh.traceback)}

    # -------------------------------------------------------------------------------------------------------------------------- steering

    def wait_for_state(self, result: Any, *states: str) -> str:
        """Until it is in one of these states."""
        return str(wait_until(lambda: (state := self.fresh(result).state) in states and state, PATIENCE_SECONDS, f"{result} in {states}"))

    def wait_until_running(self, *results: Any, times: int = 1) -> None:
        """Until the work of each has begun so often, and its worker knows: a pool process is quicker than its parent."""

        def running() -> bool:
            runs = [task_id for task_id, _ in self.nodes.runs()]
            started = {result.id: sum(event["type"] == "task-started" for event in list(self.observer.events[result.id])) for result in results}
            return all(min(runs.count(result.id), started[result.id]) >= times for result in results)

        wait_until(running, PATIENCE_SECONDS, f"{results} run")

    def wait_until_done(self, result: Any, times: int = 1) -> None:
        """Until the events say that it has ended so often: for tasks whose result is ignored."""

        def done() -> bool:
            self.observer.read_lines()
            return self.observer.ends(result.id) >= times

        wait_until(done, PATIENCE_SECONDS, f"{result} has ended {times} times")

    def wait_until_quiet(self) -> None:
        """Until everything that came of the scenario so far has ended."""
        wait_until(lambda: not self.observer.unfinished(self.roots, self.silent), PATIENCE_SECONDS, "all tasks of the scenario have ended")

    def open(self, key: str) -> None:
        """Let the gates of this key through."""
        (self.nodes.work_directory / f"{key}.open").touch()

    def revoke(self, *results: Any, **options: Any) -> None:
        """Revoke, and wait until Celery worker and bridge have answered."""
        ids = [getattr(result, "id", result) for result in results]
        self.app.control.revoke(ids[0] if len(ids) == 1 else ids, reply=True, limit=2, timeout=5, **options)

    def wait_until_received(self, *results: Any, times: int = 1) -> None:
        """Until the Celery worker has each, and waits for it to be due."""

        def received() -> bool:
            return all(sum(event["type"] == "task-received" for event in list(self.observer.events[result.id])) >= times for result in results)

        wait_until(received, PATIENCE_SECONDS, f"{results} are received")

    def wait_until_told(self) -> None:
        """Until Celery worker and bridge have read every command that was broadcast so far."""
        self.app.control.ping(timeout=5, limit=2)

    def revoke_by_stamp(self, stamps: dict[str, list[str]], **options: Any) -> None:
        self.app.control.revoke_by_stamped_headers(stamps, reply=True, limit=2, timeout=5, **options)


# ------------------------------------------------------------------------------------------------------- which scenario sent what

_current = threading.local()


def run(kit: Kit, function: ScenarioFunction) -> Any:
    """Run a scenario in this thread; what it sends is told to its kit."""
    _current.kit = kit
    try:
        return function(kit)
    finally:
        _current.kit = None


def _note(task_id: str | None = None, headers: dict[str, Any] | None = None, **_: Any) -> None:
    kit: Kit | None = getattr(_current, "kit", None)
    if kit is not None:
        kit.roots |= {headers["root_id"] or headers["id"], headers["id"]} if headers else {str(task_id)}


def note_what_is_sent() -> None:
    """Also what runs in the caller's own process, eagerly."""
    before_task_publish.connect(_note, dispatch_uid="fidelity.kit.sent", weak=False)
    task_prerun.connect(_note, dispatch_uid="fidelity.kit.eager", weak=False)
