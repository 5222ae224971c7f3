"""Links and errbacks: one, several, of the old and the new style, on tasks, chains, groups and chords."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group

from tests.fidelity.kit import Kit, scenario


@scenario
def a_link(kit: Kit) -> Any:
    result = kit.echo.apply_async((1,), link=kit.add.s(10))
    got = kit.ended(result)
    return [got, [child.get(timeout=20) for child in kit.fresh(result).children]]


@scenario
def two_links(kit: Kit) -> Any:
    return kit.ended(kit.echo.apply_async((1,), link=[kit.add.s(10), kit.add.s(20)]))


@scenario
def an_immutable_link(kit: Kit) -> Any:
    return kit.ended(kit.echo.apply_async((1,), link=kit.echo.si("linked")))


@scenario
def a_link_to_an_ordinary_task(kit: Kit) -> Any:
    return kit.ended(kit.echo.apply_async((1,), link=kit.common("echo").s()))


@scenario
def a_link_from_an_ordinary_task(kit: Kit) -> Any:
    return kit.ended(kit.common("echo").apply_async((1,), link=kit.add.s(1)))


@scenario
def a_link_that_is_a_chain(kit: Kit) -> Any:
    return kit.ended(kit.echo.apply_async((1,), link=chain(kit.add.s(1), kit.add.s(2))))


@scenario
def a_link_that_is_a_group(kit: Kit) -> Any:
    return kit.ended(kit.echo.apply_async((1,), link=group(kit.add.s(1), kit.add.s(2))))


@scenario
def a_link_and_a_group_of_links(kit: Kit) -> Any:
    return kit.ended(kit.echo.apply_async((1,), link=[kit.add.s(5), group(kit.add.s(1), kit.add.s(2))]))


@scenario
def a_link_that_is_a_chord(kit: Kit) -> Any:
    return kit.ended(kit.echo.apply_async((1,), link=chord([kit.add.s(1), kit.add.s(2)], kit.total.s())))


@scenario
def links_of_links(kit: Kit) -> Any:
    inner = kit.add.s(1)
    inner.link(kit.add.s(2))
    return kit.ended(kit.echo.apply_async((1,), link=inner))


@scenario
def no_link_is_called_after_a_failure(kit: Kit) -> Any:
    return kit.ended(kit.fail.apply_async(link=kit.echo.s()))


@scenario
def a_link_of_an_ignored_result(kit: Kit) -> Any:
    result = kit.quiet.apply_async(("unseen",), link=kit.echo.s())
    kit.wait_until_quiet()
    return kit.fresh(result).state


@scenario
def an_errback_of_the_old_style(kit: Kit) -> Any:
    return kit.ended(kit.fail.apply_async(link_error=kit.common("note").s()))


@scenario
def an_errback_of_the_new_style(kit: Kit) -> Any:
    return kit.ended(kit.fail.apply_async(("Broken", "wheel"), link_error=kit.common("note_new").s()))


@scenario
def errbacks_of_both_styles(kit: Kit) -> Any:
    return kit.ended(kit.fail.apply_async(link_error=[kit.common("note_new").s(), kit.common("note").s()]))


@scenario
def an_errback_of_the_same_kind(kit: Kit) -> Any:
    """It gets the failed task's id."""
    return kit.ended(kit.fail.apply_async(link_error=kit.echo.s()))


@scenario
def an_immutable_errback(kit: Kit) -> Any:
    return kit.ended(kit.fail.apply_async(link_error=kit.echo.si("something failed")))


@scenario
def an_errback_that_is_a_chain(kit: Kit) -> Any:
    return kit.ended(kit.fail.apply_async(link_error=chain(kit.echo.si(1), kit.add.s(2))))


@scenario
def an_errback_that_is_a_group(kit: Kit) -> Any:
    return kit.ended(kit.fail.apply_async(link_error=group(kit.echo.si(1), kit.echo.si(2))))


@scenario
def no_errback_is_called_after_a_success(kit: Kit) -> Any:
    return kit.ended(kit.echo.apply_async(("fine",), link_error=kit.common("note").s()))


@scenario
def an_errback_of_an_ignored_result(kit: Kit) -> Any:
    result = kit.quiet_fail.apply_async(link_error=kit.common("note").s())
    kit.wait_until_quiet()
    return kit.fresh(result).state


@scenario
def on_error_of_a_signature(kit: Kit) -> Any:
    return kit.ended(kit.fail.s().on_error(kit.common("note").s()).delay())


@scenario
def a_chains_link(kit: Kit) -> Any:
    return kit.ended(chain(kit.echo.s(1), kit.add.s(2)).apply_async(link=kit.add.s(100)))


@scenario
def a_chains_errback(kit: Kit) -> Any:
    """Every part of the chain has it."""
    return kit.ended(chain(kit.echo.s(1), kit.fail_after.s(), kit.echo.s()).apply_async(link_error=kit.common("note").s()))


@scenario
def a_chains_errback_by_on_error(kit: Kit) -> Any:
    return kit.ended(chain(kit.fail.s(), kit.echo.s()).on_error(kit.common("note_new").s()).apply_async())


@scenario
def an_errback_of_a_chains_part(kit: Kit) -> Any:
    return kit.ended(chain(kit.echo.s(1), kit.fail_after.s().on_error(kit.common("note").s()), kit.echo.s()).apply_async())


@scenario
def a_groups_link(kit: Kit) -> Any:
    workflow = group(kit.echo.s(1), kit.echo.s(2))
    return kit.attempt(lambda: kit.ended(workflow.apply_async(link=kit.echo.s())))


@scenario
def a_groups_members_link(kit: Kit) -> Any:
    return kit.ended(group(kit.echo.s(1).set(link=kit.add.s(1)), kit.echo.s(2)).apply_async())


@scenario
def a_groups_errback(kit: Kit) -> Any:
    workflow = group(kit.echo.s(1), kit.fail.s())
    workflow.link_error(kit.common("note").s())
    return kit.ended(workflow.apply_async())


@scenario
def a_chords_link(kit: Kit) -> Any:
    return kit.ended(chord([kit.echo.s(1), kit.echo.s(2)], kit.total.s()).apply_async(link=kit.add.s(100)))


@scenario
def a_chords_link_error(kit: Kit) -> Any:
    return kit.ended(chord([kit.echo.s(1), kit.fail.s()], kit.total.s()).apply_async(link_error=kit.common("note").s()))


@scenario
def a_chords_bodys_errback_of_the_new_style(kit: Kit) -> Any:
    body = kit.total.s().on_error(kit.common("note_new").s())
    return kit.ended(chord([kit.echo.s(1), kit.fail.s("ValueError", "part")], body).apply_async())


@scenario
def a_failing_bodys_errback(kit: Kit) -> Any:
    return kit.ended(chord([kit.echo.s(1)], kit.fail_after.s().on_error(kit.common("note").s())).apply_async())


@scenario
def an_errback_after_retries(kit: Kit) -> Any:
    """Once, when the last attempt has failed."""
    return kit.ended(kit.retried.apply_async((kit.key(), 9), link_error=kit.common("note").s()))


@scenario
def a_link_after_retries(kit: Kit) -> Any:
    return kit.ended(kit.retried.apply_async((kit.key(), 1), link=kit.echo.s()))
