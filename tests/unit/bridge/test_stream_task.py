"""Bridged tasks as they are declared, called directly, and resolved."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.backends.base import Backend
from celery.exceptions import ImproperlyConfigured
from kombu.utils.imports import symbol_by_name
from pydantic import BaseModel

from bridge import BadPayload, DeadLettered, JobError, NotMappable, PoisonCommand, RemoteError, StreamTask, connect
from bridge.celery_internals.dispatching import DISPATCH_SECONDS
from bridge.connection import Connection
from bridge.outcome import of_result, yielding
from streams.errors import UnknownLane
from streams.jobs.messages import JobErrorInfo, Result, ResultStatus


@pytest.fixture
def app() -> Celery:
    return connect(Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False))


def test_a_task_without_service_or_command_is_refused_when_it_is_declared(app: Celery) -> None:
    with pytest.raises(TypeError, match="needs command="):

        @app.task(base=StreamTask, service="backtesting", lazy=False, shared=False)
        def incomplete() -> None: ...


def test_a_class_and_its_subclass_are_bridged_too(app: Celery) -> None:
    class Render(StreamTask):
        name = "render"
        service = "backtesting"
        command = "x.run"

        def run(self, scene: str) -> dict[str, object]:
            return {"scene": scene, "task": self.name}

    class Draft(Render):
        name = "draft"
        autoretry_for = (ValueError,)

    draft = app.register_task(Draft())
    assert draft.payload("intro") == {"scene": "intro", "task": "draft"}
    with yielding(of_result(result(ResultStatus.SUCCEEDED, data=7)), "draft"):
        assert draft.run("intro") == 7


def test_a_subclass_calls_the_run_of_its_base_for_its_payload(app: Celery) -> None:
    class Render(StreamTask):
        name = "render"
        service = "backtesting"
        command = "x.run"

        def run(self, scene: str) -> dict[str, object]:
            return {"scene": scene}

    class Draft(Render):
        name = "draft"
        autoretry_for = (ValueError,)

        def run(self, scene: str) -> dict[str, object]:
            return {**super().run(scene), "draft": self.name}

    draft = app.register_task(Draft())
    assert draft.payload("intro") == {"scene": "intro", "draft": "draft"}
    with yielding(of_result(result(ResultStatus.SUCCEEDED, data=7)), "draft"):
        assert draft.run("intro") == 7


@pytest.mark.parametrize("how", ["map", "starmap", "chunks"])
def test_what_would_run_jobs_in_a_celery_worker_is_refused_and_shows_the_group(app: Celery, how: str) -> None:
    @app.task(base=StreamTask, service="backtesting", command="x.run", lazy=False, shared=False)
    def render(scene: str) -> dict[str, str]:
        return {"scene": scene}

    with pytest.raises(NotMappable, match=r"group\(render\.s\(\*?item\) for item in items\)"):
        getattr(render, how)(*(([("a",)], 2) if how == "chunks" else (["a"],)))


def test_a_lost_pool_process_is_never_a_retry_as_the_job_may_be_on_its_stream(app: Celery) -> None:
    app.conf.task_retry_on_worker_lost = True

    @app.task(base=StreamTask, service="backtesting", command="x.run", lazy=False, shared=False)
    def render() -> None: ...

    assert (render.reject_on_worker_lost, render.retry_on_worker_lost) == (True, False)


def test_apply_async_takes_what_celerys_takes(app: Celery) -> None:
    @app.task(base=StreamTask, service="backtesting", command="x.run", lazy=False, shared=False)
    def render(scene: str) -> dict[str, str]:
        return {"scene": scene}

    assert render.apply_async(("a",), {}, "my-id").id == "my-id"


def test_wrong_arguments_are_refused_before_anything_is_sent(app: Celery) -> None:
    @app.task(base=StreamTask, service="backtesting", command="x.run", lazy=False, shared=False)
    def render(scene: str) -> dict[str, str]:
        return {"scene": scene}

    with pytest.raises(TypeError, match="scene"):
        render.delay()


@pytest.mark.parametrize("options", [{"lane": "slow"}, {"headers": {"lane": "slow"}}])
def test_a_lane_that_the_service_doesnt_have_is_refused_before_anything_is_sent(app: Celery, options: dict[str, object]) -> None:
    @app.task(base=StreamTask, service="backtesting", command="x.run", lazy=False, shared=False)
    def render() -> None: ...

    for send in (render.apply_async, render.s().set(**options).apply_async):
        with pytest.raises(UnknownLane, match="the service backtesting has no lane 'slow'; its lanes: urgent, bulk"):
            send(**options)


def test_its_message_is_acknowledged_after_the_dispatch(app: Celery) -> None:
    @app.task(base=StreamTask, service="backtesting", command="x.run", lazy=False, shared=False)
    def render() -> None: ...

    assert render.acks_late
    assert render.reject_on_worker_lost


def test_an_app_that_is_not_connected_says_how() -> None:
    with pytest.raises(LookupError, match=r"bridge\.connect"):
        Connection.of(Celery("lonely", set_as_current=False))


def test_another_backend_than_redis_is_refused(app: Celery) -> None:
    from bridge.celery_internals.servers import redis_of_backend

    assert isinstance(app.backend, Backend)
    with pytest.raises(ImproperlyConfigured, match="Redis result backend"):
        redis_of_backend(app.backend)


def result(status: ResultStatus, **fields: object) -> Result:
    return Result.model_validate({"task_id": "t", "attempt": 1, "status": status, **fields})


def test_a_failure_keeps_the_remote_type_message_and_traceback() -> None:
    error = JobErrorInfo(type="BadPair", module="not.loaded.here", message="bad pair", traceback="Traceback: there")
    with pytest.raises(RemoteError, match="BadPair: bad pair") as caught:
        of_result(result(ResultStatus.FAILED, error=error.model_dump()))()
    assert "Traceback: there" in str(caught.value.__cause__)


@pytest.mark.parametrize(("reason", "kind"), [("exhausted", DeadLettered), ("poison", PoisonCommand), ("undecodable", PoisonCommand)])
def test_only_an_exhausted_dead_letter_is_fit_for_a_retry(reason: str, kind: type[JobError]) -> None:
    with pytest.raises(kind, match=reason):
        of_result(result(ResultStatus.DEAD_LETTERED, reason=reason, error={"type": "E", "message": "m"}, deliveries=3))()
    assert not issubclass(PoisonCommand, DeadLettered)


@pytest.mark.parametrize("error", [RemoteError("E", "m"), DeadLettered("exhausted", "m", 3, "1-0"), PoisonCommand("poison", "m", 3, "1-0")])
def test_errors_survive_celerys_json(app: Celery, error: JobError) -> None:
    stored = json.loads(json.dumps(app.backend.prepare_exception(error, "json")))
    rebuilt = app.backend.exception_to_python(stored)
    assert type(rebuilt) is type(error)
    assert str(rebuilt) == str(error)


def test_a_payload_that_isnt_valid_is_told_by_key_and_survives_celerys_json(app: Celery) -> None:
    class Params(BaseModel):
        frames: int

    @app.task(base=StreamTask, service="backtesting", command="x.run", lazy=False, shared=False)
    def render(frames: object) -> Params:
        return Params.model_validate({"frames": frames})

    with pytest.raises(BadPayload, match=r"unit\.|frames: ") as caught:
        render("SECRET")
    assert "SECRET" not in str(caught.value)
    rebuilt = app.backend.exception_to_python(json.loads(json.dumps(app.backend.prepare_exception(caught.value, "json"))))
    assert str(rebuilt) == str(caught.value)


def test_the_jobs_time_limit_doesnt_kill_its_dispatch(app: Celery) -> None:
    @app.task(base=StreamTask, service="backtesting", command="x.run", lazy=False, shared=False, time_limit=1)
    def render() -> None: ...

    request_class = symbol_by_name(render.Request)
    request = request_class(
        SimpleNamespace(headers={}, payload=((), {}, {}), body=((), {}, {}), properties={}, delivery_info={}),
        app=app,
        task=render,
        headers={"id": "t", "task": render.name, "timelimit": [2, 1]},
        decoded=True,
    )
    assert request.time_limits == (DISPATCH_SECONDS, DISPATCH_SECONDS)
    assert request.request_dict["timelimit"] == [2, 1]


@pytest.mark.parametrize("option", ["acks_late", "reject_on_worker_lost"])
def test_options_that_lose_jobs_are_refused_at_dispatch(app: Celery, option: str) -> None:
    @app.task(base=StreamTask, service="backtesting", command="x.run", lazy=False, shared=False, **{option: False})
    def render() -> dict[str, int]:
        return {}

    with pytest.raises(ImproperlyConfigured, match=option):
        render.dispatch()
