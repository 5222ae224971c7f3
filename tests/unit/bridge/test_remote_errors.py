"""A remote job's error becomes an exception here."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType

import billiard.exceptions
import celery.exceptions
import pytest
import redis

from bridge import RemoteError
from bridge.remote_errors import MAX_MESSAGE_CHARS, classes_named_by, from_remote, remote_traceback
from streams.jobs.messages import JobErrorInfo, Result, ResultStatus


class BadPair(Exception):
    def __init__(self, pair: str, code: int) -> None:
        super().__init__(pair, code)
        self.pair, self.code = pair, code


class Aborted(BaseException):
    """Nothing that a job may raise here."""


def error(kind: type | str, message: str = "", **more: object) -> JobErrorInfo:
    name, module = (kind, "elsewhere") if isinstance(kind, str) else (kind.__qualname__, kind.__module__)
    return JobErrorInfo.model_validate({"type": name, "module": module, "message": message, **more})


def test_a_class_that_is_loaded_here_comes_as_itself_with_its_arguments() -> None:
    came = from_remote(error(BadPair, "('X/Y', 3)", args=["X/Y", 3]))
    assert isinstance(came, BadPair)
    assert ("X/Y", 3) == (came.pair, came.code)


def test_without_arguments_the_message_is_the_only_one() -> None:
    came = from_remote(error(ValueError, "bad pair"))
    assert (ValueError, ("bad pair",)) == (type(came), came.args)


def test_a_class_that_takes_other_arguments_stays_a_remote_error() -> None:
    came = from_remote(error(BadPair, "bad pair"))
    assert (RemoteError, "BadPair") == (type(came), str(came).split(":")[0].rsplit(".", 1)[-1])


def test_a_class_that_isnt_loaded_here_is_a_remote_error_and_nothing_is_imported() -> None:
    came = from_remote(error("Boom", "bang"))
    assert isinstance(came, RemoteError)
    assert "Boom: bang" == str(came)


class Unwanted(celery.exceptions.Ignore):
    """Celery would leave its task without an outcome."""


@dataclass(frozen=True)
class Frozen(Exception):
    """Nothing can be assigned to it."""

    code: int


def test_an_exception_that_takes_no_cause_is_a_remote_error() -> None:
    came = from_remote(error(Frozen, "7", args=[7], traceback="there"))
    assert (RemoteError, "there") == (type(came), remote_traceback(came))


def test_a_module_that_fails_over_a_name_has_no_such_class(monkeypatch: pytest.MonkeyPatch) -> None:
    def lazily(name: str) -> None:
        raise ImportError(name)

    module = ModuleType("lazy")
    module.__getattr__ = lazily  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy", module)
    assert type(from_remote(JobErrorInfo(type="Boom", module="lazy"))) is RemoteError


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, Aborted, redis.ConnectionError, RemoteError, Unwanted])
def test_what_means_something_to_celery_or_the_bridge_cant_be_raised_by_a_worker(kind: type) -> None:
    assert type(from_remote(error(kind, "boo"))) is RemoteError


def test_a_class_that_the_task_names_is_allowed_whatever_its_module() -> None:
    class Task:
        throws = (redis.ConnectionError,)
        autoretry_for = redis.TimeoutError

    also = classes_named_by(Task)
    assert (redis.ConnectionError, redis.TimeoutError) == also
    assert type(from_remote(error(redis.ConnectionError, "gone"), also)) is redis.ConnectionError


@pytest.mark.parametrize("kind", [billiard.exceptions.SoftTimeLimitExceeded, billiard.exceptions.TimeLimitExceeded])
def test_time_limits_come_as_celerys_own(kind: type) -> None:
    came = from_remote(error(kind, args=[3.0]))
    assert (kind, (3.0,)) == (type(came), came.args)


def test_the_remote_traceback_is_the_cause() -> None:
    assert "there" == remote_traceback(from_remote(error(ValueError, "x", traceback="there\n")))
    assert "" == remote_traceback(from_remote(error(ConnectionError, "x")))
    assert remote_traceback(ConnectionError("x")) is None


def test_a_huge_message_is_cut_with_a_notice() -> None:
    came = from_remote(error(ValueError, "x" * 1_000_000, args=["x" * 1_000_000]))
    assert len(str(came)) < MAX_MESSAGE_CHARS + 100
    assert "1000000 characters in all" in str(came)


def test_huge_arguments_and_a_huge_name_are_cut_too() -> None:
    came = from_remote(JobErrorInfo(type="ValueError", message="short", args=[["x" * 100_000]]))
    assert (ValueError, ("short",)) == (type(came), came.args)
    came = from_remote(JobErrorInfo(type="X" * 100_000))
    assert isinstance(came, RemoteError)
    assert len(str(came)) < 2_000


@pytest.mark.parametrize("sent", [{"type": "ValueError", "message": 5}, {"type": ["x"]}, {"type": "ValueError", "args": "no list"}])
def test_an_error_that_is_none_is_told_as_text(sent: dict[str, object]) -> None:
    failure = Result(task_id="t", attempt=1, status=ResultStatus.FAILED, error=sent).failure()
    assert ("JobError", str(sent)) == (failure.type, failure.message)
