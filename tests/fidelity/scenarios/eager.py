"""Without a worker: `apply()`, a direct call, `task_always_eager`. The bridged task's job runs in a child of this process."""

from __future__ import annotations

from typing import Any

from celery import chain, group

from tests.fidelity.kit import Kit, scenario
from tests.fidelity.recording import plain


@scenario
def a_direct_call(kit: Kit) -> Any:
    return kit.attempt(lambda: kit.plain_echo("called directly"))


@scenario
def a_direct_call_that_fails(kit: Kit) -> Any:
    return kit.attempt(lambda: kit.plain_fail("ValueError", "called directly"))


@scenario
def applied_here(kit: Kit) -> Any:
    result = kit.echo.apply(("applied",))
    return [result.get(), result.state, result.ready(), result.successful()]


@scenario
def applied_here_and_fails(kit: Kit) -> Any:
    result = kit.fail.apply(("ValueError", "applied"))
    return [kit.outcome(result), result.state, plain(result.result), bool(result.traceback)]


@scenario
def applied_here_and_throws(kit: Kit) -> Any:
    return kit.attempt(lambda: kit.fail.apply(("Broken", "applied"), throw=True))


@scenario
def applied_here_with_retries(kit: Kit) -> Any:
    result = kit.retried.apply((kit.key(), 1))
    return [kit.outcome(result), result.state]


@scenario
def a_chain_applied_here(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1), kit.add.s(2)).apply())


@scenario
def a_group_applied_here(kit: Kit) -> Any:
    return kit.outcome(group(kit.echo.s(1), kit.echo.s(2)).apply())


@scenario
def applied_here_with_a_link(kit: Kit) -> Any:
    return kit.outcome(kit.echo.apply((1,), link=kit.add.s(2)))


@scenario
def always_eager(kit: Kit) -> Any:
    result = kit.eagerly("echo").delay("eager")
    return [result.get(), result.state, type(result).__name__]


@scenario
def always_eager_and_fails(kit: Kit) -> Any:
    result = kit.eagerly("fail").delay("ValueError", "eager")
    return [kit.outcome(result), result.state]
