"""Errors of the work: what class they are, what is told of them, and what huge or odd ones become."""

from __future__ import annotations

from typing import Any

from celery import group
from celery.result import allow_join_result

from tests.fidelity.kit import Kit, scenario
from tests.fidelity.recording import plain
from tests.fidelity.work import Broken


@scenario
def an_error_of_pythons_own(kit: Kit) -> Any:
    return [kit.seen(kit.fail.delay(name, "said")) for name in ("ValueError", "RuntimeError", "ZeroDivisionError")]


@scenario
def a_key_error_names_its_key_once(kit: Kit) -> Any:
    return kit.seen(kit.fail.delay("KeyError", "lost"))


@scenario
def an_error_with_a_number(kit: Kit) -> Any:
    return kit.seen(kit.fail.delay("KeyError", 7))


@scenario
def an_error_without_a_message(kit: Kit) -> Any:
    return kit.seen(kit.fail.delay("ValueError", ""))


@scenario
def an_os_error(kit: Kit) -> Any:
    return kit.seen(kit.fail.delay("OSError", "no such disk"))


@scenario
def a_timeout_error_of_the_works_own(kit: Kit) -> Any:
    return kit.seen(kit.fail.delay("TimeoutError", "too slow"))


@scenario
def an_error_of_the_users_own_with_arguments(kit: Kit) -> Any:
    result = kit.fail.delay("Broken", "wheel")
    try:
        result.get(timeout=60)
    except Broken as exc:
        return [exc.part, exc.code, kit.seen(result)]


@scenario
def a_subclass_of_the_users_own(kit: Kit) -> Any:
    try:
        kit.fail.delay("VeryBroken", "axle").get(timeout=60)
    except Broken as exc:
        return [type(exc).__name__, exc.args]


@scenario
def except_by_base_class(kit: Kit) -> Any:
    try:
        kit.fail.delay("ZeroDivisionError", "by nothing").get(timeout=60)
    except ArithmeticError as exc:
        return plain(exc)


@scenario
def an_error_with_a_cause(kit: Kit) -> Any:
    result = kit.fail_because.delay("RuntimeError")
    seen = kit.seen(result)
    traceback = kit.fresh(result).traceback
    return [seen, "KeyError" in traceback, "RuntimeError: because of something else" in traceback, "direct cause" in traceback]


@scenario
def the_traceback_names_the_line_of_the_work(kit: Kit) -> Any:
    result = kit.fail.delay("ValueError", "here")
    kit.ended(result)
    traceback = kit.fresh(result).traceback
    return [
        "raise ERRORS[error](message)" in traceback,
        traceback.rstrip().endswith("ValueError: here"),
        traceback.startswith("Traceback (most recent call last):"),
    ]


@scenario
def a_long_message(kit: Kit) -> Any:
    return len(kit.seen(kit.big_error.delay(10_000))["got"]["says"])


@scenario
def an_error_of_the_body(kit: Kit) -> Any:
    """In the Celery worker, before anything was sent."""
    return kit.seen(kit.broken_body.delay(1))


@scenario
def an_expected_error(kit: Kit) -> Any:
    """`throws` only changes how it is logged."""
    return [kit.seen(kit.expected.delay("KeyError", "expected")), kit.seen(kit.expected.delay("ValueError", "unexpected"))]


@scenario
def an_unknown_task_by_name(kit: Kit) -> Any:
    from celery.exceptions import NotRegistered

    return kit.attempt(lambda: kit.app.tasks[f"{kit.side}.unheard_of"])["error"] == NotRegistered.__name__


@scenario
def many_errors_at_once(kit: Kit) -> Any:
    result = group(kit.fail.s("ValueError", f"number {n}") for n in range(6)).apply_async()
    kit.ended(result)
    return [plain(each.result) for each in result]


@scenario
def get_on_a_child_with_an_error(kit: Kit) -> Any:
    result = (kit.echo.s("fine") | kit.fail_after.s("RuntimeError")).apply_async()
    kit.ended(result)
    parent = kit.fresh(result.parent)
    with allow_join_result():
        return [parent.get(timeout=60), plain(parent.children[0].get(timeout=60, propagate=False))]
