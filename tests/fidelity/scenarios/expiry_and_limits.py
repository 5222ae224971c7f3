"""Expiry, before and while the work runs, and time limits that are reached."""

from __future__ import annotations

import datetime as dt
from typing import Any

from celery import chain, chord, group

from tests.fidelity.kit import Kit, scenario

EARLIER, LATER = 4, 6
"""Seconds: received and started before the first, due or ended at the second."""


@scenario
def expired_before_it_is_due(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("never",), countdown=LATER, expires=EARLIER))


@scenario
def expired_at_a_moment(kit: Kit) -> Any:
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=EARLIER)
    return kit.seen(kit.echo.apply_async(("never",), countdown=LATER, expires=expires))


@scenario
def expired_long_ago(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("never",), expires=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)))


@scenario
def expiry_by_the_tasks_option(kit: Kit) -> Any:
    return [kit.seen(kit.expiring.delay("in time")), kit.seen(kit.expiring.apply_async(("too late",), countdown=LATER, expires=EARLIER))]


@scenario
def not_expired_in_time(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("in time",), expires=300))


@scenario
def expiry_passes_while_it_runs(kit: Kit) -> Any:
    """It has started in time."""
    return kit.seen(kit.sleep.apply_async((LATER, "started in time"), expires=EARLIER))


@scenario
def an_expired_head_of_a_chain(kit: Kit) -> Any:
    last = chain(kit.echo.s(1).set(countdown=LATER, expires=EARLIER), kit.echo.s()).apply_async()
    return kit.seen(last.parent)


@scenario
def an_expired_part_of_a_chord(kit: Kit) -> Any:
    result = chord([kit.echo.s(1).set(countdown=LATER, expires=EARLIER), kit.echo.s(2)], kit.echo.s()).apply_async()
    return [kit.ended(result), kit.fresh(result).state]


@scenario
def an_expired_member_of_a_group(kit: Kit) -> Any:
    result = group(kit.echo.s(1).set(countdown=LATER, expires=EARLIER), kit.echo.s(2)).apply_async()
    return [kit.ended(result), [each.state for each in result]]


@scenario
def expired_with_links(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("never",), countdown=LATER, expires=EARLIER, link=kit.echo.s(), link_error=kit.common("note").s()))


@scenario
def expired_with_an_ignored_result(kit: Kit) -> Any:
    result = kit.quiet.apply_async(("never",), countdown=LATER, expires=EARLIER)
    kit.wait_until_done(result)
    return kit.fresh(result).state


@scenario
def a_retried_task_with_expiry(kit: Kit) -> Any:
    return kit.seen(kit.retried.apply_async((kit.key(), 1), expires=300))


@scenario
def a_soft_time_limit_of_the_task(kit: Kit) -> Any:
    return kit.seen(kit.soft_limited.delay(kit.key()))


@scenario
def a_soft_time_limit_of_the_call(kit: Kit) -> Any:
    return kit.seen(kit.gate.apply_async((kit.key(),), soft_time_limit=1))


@scenario(differences=("killed",), kills=True)
def a_hard_time_limit_of_the_task(kit: Kit) -> Any:
    return kit.ended(kit.hard_limited.delay(kit.key()))


@scenario(differences=("killed",), kills=True)
def a_hard_time_limit_of_the_call(kit: Kit) -> Any:
    return kit.ended(kit.gate.apply_async((kit.key(),), time_limit=1))


@scenario(differences=("killed",), kills=True)
def a_hard_time_limit_with_links(kit: Kit) -> Any:
    return kit.ended(kit.gate.apply_async((kit.key(),), time_limit=1, link=kit.echo.s(), link_error=kit.common("note_new").s()))


@scenario(differences=("killed",), kills=True)
def a_hard_time_limit_in_a_chord(kit: Kit) -> Any:
    result = chord([kit.gate.s(kit.key()).set(time_limit=1), kit.echo.s(2)], kit.echo.s()).apply_async()
    return [kit.ended(result), kit.fresh(result).state]


@scenario(differences=("killed",), kills=True)
def a_hard_time_limit_in_a_chain(kit: Kit) -> Any:
    last = chain(kit.gate.s(kit.key()).set(time_limit=1), kit.echo.s()).apply_async()
    return [kit.ended(last.parent), kit.fresh(last.parent).state]


@scenario
def a_soft_time_limit_is_retried(kit: Kit) -> Any:
    return kit.seen(kit.retried_when_slow.delay(kit.key()))
