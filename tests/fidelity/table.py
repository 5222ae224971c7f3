"""The tasks under test, one line each: what makes an ordinary task of it makes a bridged one too."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from celery import Task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

from tests.fidelity import work
from tests.fidelity.bases import Called, Clumsy, Curious, Plain, Sending, Stumbling
from tests.fidelity.recording import Recorded
from tests.fidelity.work import Broken, count


@dataclass(frozen=True)
class Pair:
    """An ordinary and a bridged task that do the same."""

    name: str
    work: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[..., None] | None = None
    """Called first in the body, in the Celery worker, with the bound task: retries, rejections and replacements by the body itself."""
    bind: bool = False
    base: type = Recorded
    """Put before Celery's base class, or the bridge's."""


def _again(task: Task, value: str, **_: Any) -> None:
    """An explicit retry by the body, the first time."""
    if count(f"{value}.body") == 1:
        raise task.retry(exc=Broken("body"), countdown=0.5)


def _again_with(task: Task, value: str, **_: Any) -> None:
    """An explicit retry with other arguments."""
    if value == "first":
        raise task.retry(args=("second",), kwargs={}, countdown=0.5)


def _again_at_most(task: Task, *args: Any, **kwargs: Any) -> None:
    raise task.retry(exc=Broken("body", 3), countdown=0.5, max_retries=1)


def _again_without_exception(task: Task, *args: Any, **kwargs: Any) -> None:
    raise task.retry(countdown=0.5, max_retries=1)


def _again_unraised(task: Task, *args: Any, **kwargs: Any) -> None:
    """The body goes on after `retry(throw=False)`."""
    if task.request.retries == 0:
        task.retry(countdown=0.5, throw=False)
        raise Ignore


def _ignored(task: Task, *args: Any, **kwargs: Any) -> None:
    raise Ignore("not today")


def _rejected(task: Task, *args: Any, **kwargs: Any) -> None:
    raise Reject("not mine", requeue=False)


def _requeued(task: Task, value: str, **_: Any) -> None:
    if count(f"{value}.body") == 1:
        raise Reject("not now", requeue=True)


def _broken_body(task: Task, *args: Any, **kwargs: Any) -> None:
    raise Broken("body")


def _replaced_by(task: Task, signature: Any, **_: Any) -> None:
    raise task.replace(task.app.signature(copy.deepcopy(signature)))  # replace() changes it, and handlers are told of the arguments


def _one_more(task: Task, signature: Any, **_: Any) -> None:
    task.add_to_chord(task.app.signature(copy.deepcopy(signature)))


def _sends(task: Task, value: Any, *_: Any) -> None:
    task.app.tasks["common.echo"].delay(f"sent with {value}")


def _own_state(task: Task, value: Any, **_: Any) -> None:
    task.update_state(state="PREPARING", meta={"value": value})


SOON: dict[str, Any] = {"default_retry_delay": 0.5}
"""Not at once: RETRY is stored after the next attempt was sent. Celery's could overwrite that one's end, and the bridge's would come too late."""
RETRIED: dict[str, Any] = {"autoretry_for": (ValueError,), "retry_kwargs": {"max_retries": 2, "countdown": 0.5}}

PAIRS = (
    Pair("echo", work.echo),
    Pair("nothing", work.nothing),
    Pair("add", work.add),
    Pair("total", work.total),
    Pair("keywords", work.keywords),
    Pair("anything", work.anything),
    Pair("fail", work.fail),
    Pair("fail_after", work.fail_after),
    Pair("fail_because", work.fail_because),
    Pair("flaky", work.flaky),
    Pair("sleep", work.sleep),
    Pair("gate", work.gate, {"track_started": True}),
    Pair("big", work.big),
    Pair("big_error", work.big_error),
    Pair("order", work.order, {"pydantic": True}),
    Pair("strict_order", work.order, {"pydantic": True, "pydantic_strict": True}),
    Pair("bound", work.add, bind=True),
    Pair("loose", work.add, {"typing": False}),
    Pair("plain_echo", work.echo, base=Plain),
    Pair("plain_fail", work.fail, base=Plain),
    Pair("quiet", work.echo, {"ignore_result": True}),
    Pair("quiet_fail", work.fail, {"ignore_result": True}),
    Pair("quiet_but_errors", work.fail, {"ignore_result": True, "store_errors_even_if_ignored": True}),
    Pair("tracked", work.echo, {"track_started": True}),
    Pair("unsent", work.echo, {"send_events": False}),
    Pair("limited_rate", work.echo, {"rate_limit": "50/s"}),
    Pair("expiring", work.echo, {"expires": 30}),
    Pair("retried_when_slow", work.slow_at_first, {"soft_time_limit": 1, "autoretry_for": (SoftTimeLimitExceeded,), "max_retries": 1, **SOON}),
    Pair("soft_limited", work.gate, {"soft_time_limit": 1}),
    Pair("hard_limited", work.gate, {"time_limit": 1}),
    Pair("expected", work.fail, {"throws": (KeyError,)}),
    # Retried because of what the work raises.
    Pair("retried", work.flaky, RETRIED),
    Pair("retried_after", work.flaky_after, RETRIED),
    Pair("retried_option", work.flaky, {"autoretry_for": (ValueError,), "max_retries": 1, "default_retry_delay": 0.1}),
    Pair("retried_plain", work.flaky, RETRIED, base=Plain),
    Pair("retried_quiet", work.flaky, RETRIED | {"ignore_result": True}),
    Pair("retried_default", work.flaky, {"autoretry_for": (ValueError,), **SOON}),
    Pair("retried_backoff", work.flaky, {"autoretry_for": (ValueError,), "retry_backoff": 0.1, "retry_backoff_max": 1, "retry_jitter": False}),
    Pair("retried_jitter", work.flaky, {"autoretry_for": (ValueError,), "retry_backoff": True, "retry_jitter": True, "retry_backoff_max": 1}),
    Pair("retried_for_ever", work.flaky, {"autoretry_for": (ValueError,), "retry_kwargs": {"max_retries": None, "countdown": 0.5}}),
    Pair("retried_not_for", work.flaky, {"autoretry_for": (Exception,), "dont_autoretry_for": (Broken,), **SOON}),
    Pair("retried_for_own", work.flaky, {"autoretry_for": (Broken,), **SOON}),
    Pair("retried_slowly", work.flaky, {"autoretry_for": (ValueError,), "retry_kwargs": {"max_retries": 2, "countdown": 5}}),
    Pair("retried_then_waits", work.flaky_gate, RETRIED | {"track_started": True}),
    Pair("retried_throws", work.flaky, {"autoretry_for": (ValueError,), "throws": (ValueError,), "max_retries": 1, **SOON}),
    # With a base class of the user's own.
    Pair("curious", work.echo, base=Curious),
    Pair("curious_fail", work.fail, base=Curious),
    Pair("curious_retried", work.flaky, RETRIED, base=Curious),
    Pair("clumsy", work.echo, base=Clumsy),
    Pair("clumsy_fail", work.fail, base=Clumsy),
    Pair("stumbling", work.echo, base=Stumbling),
    Pair("sending", work.echo, base=Sending),
    Pair("called", work.echo, base=Called),
    # Decided by the body, in the Celery worker.
    Pair("again", work.echo, SOON, _again, bind=True),
    Pair("again_with", work.echo, SOON, _again_with, bind=True),
    Pair("again_at_most", work.echo, SOON, _again_at_most, bind=True),
    Pair("again_without_exception", work.echo, SOON, _again_without_exception, bind=True),
    Pair("again_unraised", work.echo, SOON, _again_unraised, bind=True),
    Pair("ignored", work.echo, {}, _ignored, bind=True),
    Pair("rejected", work.echo, {"acks_late": True}, _rejected, bind=True),
    Pair("requeued", work.echo, {"acks_late": True}, _requeued, bind=True),
    Pair("broken_body", work.echo, {}, _broken_body, bind=True),
    Pair("parenting", work.echo, {}, _sends, bind=True),
    Pair("parenting_flaky", work.flaky, RETRIED, _sends, bind=True),
    Pair("own_state", work.echo, {}, _own_state, bind=True),
    Pair("replaced", work.replaced, {}, _replaced_by, bind=True),
    Pair("one_more", work.one_more, {}, _one_more, bind=True),
)
