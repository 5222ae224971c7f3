"""Without a worker: `apply()`, a direct call and `task_always_eager` run the job in a child of this process, through `python -m workers run`; no server is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord
from celery.canvas import chunks, xmap, xstarmap
from pydantic import BaseModel

from bridge import BadPayload, EagerUnavailable, NotMappable, PoisonCommand, StreamTask, connect, eager
from bridge.errors import RemoteTraceback
from streams.bus.topology import SERVICES, Service, add_service
from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Stack
from tests.handlers import HandlerError


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """Neither its broker nor the streams' server is there: whoever asks one of them fails."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("JOBS_DIR", str(tmp_path / "jobs"))
    monkeypatch.setenv("ARTIFACTS_URL", str(tmp_path / "artifacts"))
    monkeypatch.setenv("TEST_RUN_LOG", str(tmp_path / "runs"))
    app = connect(Celery("eager", broker="redis://127.0.0.1:1/0", backend="cache+memory://", set_as_current=False))
    app.conf.broker_connection_timeout = 1
    add_service(Service.named("here", handlers=("tests.handlers",)))
    add_service(Service.named("nowhere"))
    yield app
    for name in ("here", "nowhere"):
        SERVICES.pop(name)
    app.close()


def bridged(app: Celery, command: str, **options: Any) -> Any:
    """A task of a command of `tests.handlers`, which sends its keyword arguments."""

    def build(*results: Any, **data: Any) -> dict[str, Any]:
        return data | ({"before": results[0]} if results else {})

    options = {"service": "here", "name": command} | options
    return app.task(base=StreamTask, command=command, lazy=False, shared=False, **options)(build)


def runs(tmp_path: Path) -> list[list[str]]:
    """Each run of a job: task id, attempt, delivery, pid, time."""
    log = tmp_path / "runs"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def call(task: Any, how: str, **data: Any) -> Any:
    """Run it here, in one of the ways there are."""
    if how == "direct call":
        return task(**data)
    if how == "apply":
        return task.apply(kwargs=data).get()
    task.app.conf.task_always_eager = True
    return task.delay(**data).get()


EACH_WAY = pytest.mark.parametrize("how", ["direct call", "apply", "always eager"])


@EACH_WAY
def test_the_job_runs_in_a_child_process_that_knows_no_secrets(app: Celery, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "secret")
    seen = call(bridged(app, "test.environ"), how)
    assert os.getpid() not in {seen["pid"], seen["parent"]}
    assert not {"REDIS_URL", "BROKER_PASSWORD"} & seen["environ"].keys()
    assert not {"redis", "celery"} & set(seen["modules"])


@EACH_WAY
def test_its_result_is_the_jobs(app: Celery, how: str, tmp_path: Path) -> None:
    assert call(bridged(app, "test.echo"), how, value=1, nested={"list": [None, 2.5]}) == {"value": 1, "nested": {"list": [None, 2.5]}}
    assert len(runs(tmp_path)) == 1


@EACH_WAY
def test_its_error_is_the_one_that_get_raises(app: Celery, how: str) -> None:
    with pytest.raises(HandlerError, match=r"^no luck$") as caught:
        call(bridged(app, "test.fail"), how, message="no luck")
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "ValueError: the cause" in caught.value.__cause__.text


@EACH_WAY
def test_a_job_that_takes_its_process_down_is_poison(app: Celery, how: str) -> None:
    with pytest.raises(PoisonCommand, match="last words"):
        call(bridged(app, "test.crash"), how, exit=3, message="last words")


def test_a_failure_is_a_state_of_the_result(app: Celery) -> None:
    result = bridged(app, "test.fail").apply(kwargs={"message": "no luck"})
    assert (result.state, str(result.result)) == ("FAILURE", "no luck")
    assert "HandlerError: no luck" in result.traceback


def test_params_are_checked_where_the_job_runs(app: Celery) -> None:
    with pytest.raises(Exception, match=r"typo: Extra inputs are not permitted"):
        bridged(app, "test.sleep")(typo=1)


def test_a_payload_that_is_not_valid_starts_nothing(app: Celery, tmp_path: Path) -> None:
    class Params(BaseModel):
        seconds: float

    @app.task(base=StreamTask, service="here", command="test.sleep", lazy=False, shared=False)
    def sleep(seconds: Any) -> Params:
        return Params(seconds=seconds)

    with pytest.raises(BadPayload, match="seconds: "):
        sleep("soon")
    assert sleep(0) == {"slept": 0}
    assert len(runs(tmp_path)) == 1


def test_an_artifact_is_kept_where_a_worker_keeps_it(app: Celery, tmp_path: Path) -> None:
    task = bridged(app, "test.artifact")
    claim = task.apply(kwargs={"text": "made here"}, task_id="a-task").get()
    assert claim["size"] == len("made here")
    stored = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert [path.read_text() for path in stored] == ["made here"]
    assert (tmp_path / "jobs/a-task/hello.txt").exists()


def test_it_is_retried_for_the_jobs_error(app: Celery, tmp_path: Path) -> None:
    task = bridged(app, "test.flaky", autoretry_for=(HandlerError,), retry_kwargs={"max_retries": 2, "countdown": 0})
    assert task.apply(kwargs={"failures": 2, "how": "fail"}, task_id="tried").get() == {"runs": 3}
    assert [task_id for task_id, *_ in runs(tmp_path)] == ["tried"] * 3


def test_retries_end_with_the_jobs_error(app: Celery, tmp_path: Path) -> None:
    task = bridged(app, "test.flaky", autoretry_for=(HandlerError,), retry_kwargs={"max_retries": 1, "countdown": 0})
    with pytest.raises(HandlerError, match="run 2 of 9"):
        task.apply(kwargs={"failures": 9, "how": "fail"}, throw=False).get()
    assert len(runs(tmp_path)) == 2


def test_a_chain_and_a_chord_pass_results_on(app: Celery, tmp_path: Path) -> None:
    app.conf.task_always_eager = True
    echo = bridged(app, "test.echo")
    assert chain(echo.s(value=1), echo.s(value=2)).delay().get() == {"value": 2, "before": {"value": 1}}
    assert chord([echo.s(value=1), echo.s(value=2)])(echo.s(value=3)).get() == {"value": 3, "before": [{"value": 1}, {"value": 2}]}
    assert len(runs(tmp_path)) == 5


def test_an_error_ends_a_chain(app: Celery, tmp_path: Path) -> None:
    app.conf.task_always_eager = True
    with pytest.raises(HandlerError, match="first"):  # already as it is called: an eager chain hands on what get() returns
        chain(bridged(app, "test.fail").s(message="first"), bridged(app, "test.echo").s()).delay()
    assert len(runs(tmp_path)) == 1


# ------------------------------------------------------------------------------------------------------------------------ where it can't be


@EACH_WAY
def test_a_package_that_is_missing_is_named_with_the_extra_that_has_it(
    app: Celery, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(eager, "NEEDED", (*eager.NEEDED, "no_such_package"))
    with pytest.raises(EagerUnavailable, match=r"no_such_package is missing: pip install 'celery-streams-bridge\[workers\]'"):
        call(bridged(app, "test.echo"), how)
    assert runs(tmp_path) == []


@pytest.mark.parametrize(("service", "command"), [("nowhere", "test.echo"), ("here", "test.nobody_handles_this")])
def test_without_a_handler_it_says_how_to_name_one(app: Celery, service: str, command: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EagerUnavailable, match=rf"Service\.named\('{service}', handlers=\('module',\)\), or STREAMS_SERVICES"):
        bridged(app, command, service=service)()
    assert f"no handler for '{command}'" in capfd.readouterr().err


# ------------------------------------------------------------------------------------------ what would run jobs one by one in a Celery worker


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with EmbeddedServer(tmp_path_factory.mktemp("redis")) as own, Stack(tmp_path_factory.mktemp("stack"), own) as stack:
        stack.celery("celery", "-P", "solo")
        stack.start()
        yield stack


@pytest.mark.parametrize("how", [xmap, xstarmap, chunks])
def test_a_map_that_was_built_without_the_task_fails_in_the_worker(stack: Stack, how: Any) -> None:
    task = stack.caller.signature("lab.echo")
    made = how(task, [(1,), (2,)], 1, app=stack.caller) if how is chunks else how(task, [(1,), (2,)], app=stack.caller)
    with pytest.raises(NotMappable, match=r"Send a group, .*: group\(\w+\.s\(\*?item\) for item in items\)"):
        stack.get(made.apply_async())
    assert stack.runs() == []


@pytest.mark.parametrize(("payload", "arrives"), [(None, {"value": None}), ([1, 2], {"value": [1, 2]}), ("text", {"value": "text"}), ({}, {})])
def test_a_payload_that_is_no_object(payload: Any, arrives: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JOBS_DIR", str(tmp_path / "jobs"))
    monkeypatch.setenv("ARTIFACTS_URL", str(tmp_path / "artifacts"))
    monkeypatch.setitem(SERVICES, "eager_payload", Service.named("eager_payload", handlers=("tests.handlers",)))
    app = connect(Celery("unit", broker="memory://", set_as_current=False))

    @app.task(base=StreamTask, service="eager_payload", command="test.echo", lazy=False, shared=False)
    def echo() -> Any:
        return payload

    assert echo() == arrives
