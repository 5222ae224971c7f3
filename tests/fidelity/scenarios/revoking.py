"""Revoking: before the dispatch, while the work runs, with and without terminate, by list, by stamps, in chains, groups and chords."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group

from tests.fidelity.kit import Kit, scenario

LATER = 4
"""Seconds: long enough to revoke before the task is due."""


@scenario
def revoked_before_it_is_due(kit: Kit) -> Any:
    result = kit.echo.apply_async(("never",), countdown=LATER)
    kit.wait_until_received(result)
    kit.revoke(result)
    return kit.seen(result)


@scenario
def revoked_before_it_is_due_with_terminate(kit: Kit) -> Any:
    result = kit.echo.apply_async(("never",), countdown=LATER)
    kit.wait_until_received(result)
    kit.revoke(result, terminate=True)
    return kit.seen(result)


@scenario
def revoked_by_the_result(kit: Kit) -> Any:
    result = kit.echo.apply_async(("never",), countdown=LATER)
    kit.wait_until_received(result)
    result.revoke()
    kit.wait_until_told()
    return kit.seen(result)


@scenario
def a_list_is_revoked(kit: Kit) -> Any:
    results = [kit.echo.apply_async((n,), countdown=LATER) for n in range(3)]
    kit.wait_until_received(*results)
    kit.revoke(*results)
    return [kit.seen(result) for result in results]


@scenario
def revoked_before_it_is_sent(kit: Kit) -> Any:
    """By an id that no node has heard of."""
    signature = kit.echo.s("never")
    kit.revoke(signature.freeze())
    return kit.seen(signature.apply_async())


@scenario
def revoked_while_it_runs(kit: Kit) -> Any:
    """Without terminate that changes nothing."""
    key = kit.key()
    result = kit.gate.delay(key)
    kit.wait_until_running(result)
    kit.revoke(result)
    kit.open(key)
    return kit.seen(result)


@scenario
def revoked_after_it_has_ended(kit: Kit) -> Any:
    result = kit.echo.delay("done")
    kit.ended(result)
    kit.revoke(result, terminate=True)
    return kit.seen(result)


@scenario
def revoked_after_it_has_failed(kit: Kit) -> Any:
    result = kit.fail.delay()
    kit.ended(result)
    kit.revoke(result, terminate=True)
    return kit.seen(result)


@scenario(differences=("terminated",))
def terminated_while_it_runs(kit: Kit) -> Any:
    result = kit.gate.delay(kit.key())
    kit.wait_until_running(result)
    kit.revoke(result, terminate=True)
    return kit.seen(result)


@scenario(differences=("terminated",))
def terminated_by_sigkill(kit: Kit) -> Any:
    result = kit.gate.delay(kit.key())
    kit.wait_until_running(result)
    kit.revoke(result, terminate=True, signal="SIGKILL")
    return kit.seen(result)


@scenario(differences=("terminated",))
def terminated_twice(kit: Kit) -> Any:
    result = kit.gate.delay(kit.key())
    kit.wait_until_running(result)
    kit.revoke(result, terminate=True)
    kit.revoke(result, terminate=True)
    return kit.seen(result)


@scenario(differences=("terminated",))
def a_list_is_terminated(kit: Kit) -> Any:
    results = [kit.gate.delay(kit.key(str(n))) for n in range(2)]
    kit.wait_until_running(*results)
    kit.revoke(*results, terminate=True)
    return [kit.seen(result) for result in results]


@scenario(differences=("terminated",))
def a_terminated_tasks_links_are_not_called(kit: Kit) -> Any:
    result = kit.gate.apply_async((kit.key(),), link=kit.echo.s(), link_error=kit.common("note").s())
    kit.wait_until_running(result)
    kit.revoke(result, terminate=True)
    return kit.seen(result)


@scenario(differences=("terminated",))
def an_ignored_result_is_terminated(kit: Kit) -> Any:
    result = kit.gate.apply_async((kit.key(),), ignore_result=True)
    kit.wait_until_running(result)
    kit.revoke(result, terminate=True)
    kit.wait_until_done(result)
    return kit.fresh(result).state


@scenario(differences=("terminated",))
def a_chains_head_is_terminated(kit: Kit) -> Any:
    last = chain(kit.gate.s(kit.key()), kit.echo.s(), kit.echo.s()).apply_async()
    head = last.parent.parent
    kit.wait_until_running(head)
    kit.revoke(head, terminate=True)
    got = kit.ended(head)
    return [got, kit.fresh(head).state]


@scenario
def a_chains_tail_is_revoked(kit: Kit) -> Any:
    key = kit.key()
    last = chain(kit.gate.s(key), kit.echo.s(), kit.echo.s()).apply_async()
    kit.wait_until_running(last.parent.parent)
    kit.revoke(last)
    kit.open(key)
    return [kit.seen(last), last.parent.state]


@scenario(differences=("terminated",))
def a_part_of_a_chord_is_terminated(kit: Kit) -> Any:
    result = chord([kit.gate.s(kit.key()), kit.echo.s(2)], kit.echo.s()).apply_async()
    part = result.parent.results[0]
    kit.wait_until_running(part)
    kit.revoke(part, terminate=True)
    return [kit.ended(result), kit.fresh(part).state, kit.fresh(result).state]


@scenario
def a_part_of_a_chord_is_revoked_before_it_is_due(kit: Kit) -> Any:
    result = chord([kit.echo.s(1).set(countdown=LATER), kit.echo.s(2)], kit.echo.s()).apply_async()
    part = result.parent.results[0]
    kit.wait_until_received(part)
    kit.revoke(part)
    return [kit.ended(result), kit.fresh(part).state, kit.fresh(result).state]


@scenario
def a_chords_body_is_revoked(kit: Kit) -> Any:
    key = kit.key()
    result = chord([kit.gate.s(key), kit.echo.s(2)], kit.echo.s()).apply_async()
    kit.wait_until_running(result.parent.results[0])
    kit.revoke(result)
    kit.open(key)
    return kit.seen(result)


@scenario
def a_group_is_revoked(kit: Kit) -> Any:
    result = group(kit.echo.s(n) for n in range(3)).apply_async(countdown=LATER)
    kit.wait_until_received(*result.results)
    kit.revoke(*result.results)
    return [kit.seen(each) for each in result.results]


@scenario
def a_group_result_revokes_its_members(kit: Kit) -> Any:
    result = group(kit.echo.s(n) for n in range(3)).apply_async(countdown=LATER)
    kit.wait_until_received(*result.results)
    result.revoke()
    kit.wait_until_told()
    return [kit.seen(each) for each in result.results]


@scenario
def revoked_by_a_stamp_before_it_is_due(kit: Kit) -> Any:
    signature = kit.echo.s("never")
    signature.stamp(customer=kit.key())
    result = signature.apply_async(countdown=LATER)
    kit.wait_until_received(result)
    kit.revoke_by_stamp({"customer": [kit.key()]})
    return kit.seen(result)


@scenario(differences=("terminated",))
def terminated_by_a_stamp(kit: Kit) -> Any:
    signature = kit.gate.s(kit.key())
    signature.stamp(customer=kit.key())
    result = signature.apply_async()
    kit.wait_until_running(result)
    kit.revoke_by_stamp({"customer": [kit.key()]}, terminate=True)
    return kit.seen(result)


@scenario
def another_stamp_is_not_revoked(kit: Kit) -> Any:
    signature = kit.echo.s("stamped otherwise")
    signature.stamp(customer=kit.key("one"))
    kit.revoke_by_stamp({"customer": [kit.key("another")]})
    return kit.seen(signature.apply_async())


@scenario
def revoked_between_two_attempts(kit: Kit) -> Any:
    result = kit.retried_slowly.delay(kit.key(), 9)
    kit.wait_until_received(result, times=2)
    kit.revoke(result)
    return kit.seen(result)


@scenario(differences=("terminated",))
def terminated_in_its_second_attempt(kit: Kit) -> Any:
    key = kit.key()
    result = kit.retried_then_waits.delay(key)
    kit.wait_until_running(result, times=2)
    kit.revoke(result, terminate=True)
    return kit.seen(result)
