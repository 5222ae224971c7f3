"""Handlers: every other scenario compares them too; here are those that misbehave, and what they see of their task."""

from __future__ import annotations

from typing import Any

from celery import chain, chord

from tests.fidelity.kit import Kit, scenario


@scenario
def handlers_see_their_request(kit: Kit) -> Any:
    """Who it is, its retries, parent, root, headers and delivery."""
    last = chain(kit.curious.s(1), kit.curious.s()).apply_async(headers={"tenant": "t6"}, priority=3)
    return kit.seen(last)


@scenario
def handlers_see_their_request_after_a_failure(kit: Kit) -> Any:
    return kit.seen(kit.curious_fail.apply_async(("ValueError", "curious"), headers={"tenant": "t7"}))


@scenario
def handlers_see_their_request_in_each_attempt(kit: Kit) -> Any:
    return kit.seen(kit.curious_retried.delay(kit.key(), 1))


@scenario
def a_handler_that_raises_after_a_success(kit: Kit) -> Any:
    return kit.seen(kit.clumsy.delay("succeeded all the same"))


@scenario
def a_handler_that_raises_after_a_failure(kit: Kit) -> Any:
    return kit.seen(kit.clumsy_fail.delay())


@scenario
def a_handler_that_raises_in_a_chain(kit: Kit) -> Any:
    return kit.seen(chain(kit.clumsy.s(1), kit.add.s(1)).apply_async())


@scenario
def a_handler_that_raises_in_a_chord(kit: Kit) -> Any:
    return kit.ended(chord([kit.clumsy.s(1), kit.echo.s(2)], kit.total.s()).apply_async())


@scenario(differences=("late start",))
def before_start_that_raises(kit: Kit) -> Any:
    return kit.seen(kit.stumbling.delay("never"))


@scenario
def a_handler_that_sends_a_task(kit: Kit) -> Any:
    result = kit.sending.delay("sent by a handler")
    return [kit.seen(result), [child.get(timeout=60) for child in kit.fresh(result).children or []]]


@scenario
def a_task_with_its_own_call(kit: Kit) -> Any:
    """`__call__` of the base class surrounds the body."""
    return kit.seen(kit.called.delay("called"))


@scenario
def a_task_of_a_class(kit: Kit) -> Any:
    return kit.seen(kit.classy.delay(2, 3))
