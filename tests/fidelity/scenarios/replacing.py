"""`self.replace` and `add_to_chord` in the body."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group

from tests.fidelity.kit import Kit, scenario


@scenario
def replaced_by_a_task(kit: Kit) -> Any:
    return kit.seen(kit.replaced.delay(kit.echo.s("instead")))


@scenario
def replaced_by_an_ordinary_task(kit: Kit) -> Any:
    return kit.seen(kit.replaced.delay(kit.common("echo").s("instead")))


@scenario
def replaced_by_a_failing_task(kit: Kit) -> Any:
    return kit.seen(kit.replaced.delay(kit.fail.s()))


@scenario
def replaced_by_a_chain(kit: Kit) -> Any:
    return kit.seen(kit.replaced.delay(chain(kit.echo.s(1), kit.add.s(2))))


@scenario
def replaced_by_a_group(kit: Kit) -> Any:
    return kit.seen(kit.replaced.delay(group(kit.echo.s(1), kit.echo.s(2))))


@scenario
def replaced_by_a_chord(kit: Kit) -> Any:
    return kit.seen(kit.replaced.delay(chord([kit.echo.s(1), kit.echo.s(2)], kit.total.s())))


@scenario
def replaced_by_one_that_is_replaced(kit: Kit) -> Any:
    return kit.seen(kit.replaced.delay(kit.replaced.s(kit.echo.s("in the end"))))


@scenario
def replaced_in_a_chain(kit: Kit) -> Any:
    return kit.seen(chain(kit.replaced.s(kit.echo.s(1)), kit.add.s(2)).apply_async())


@scenario
def replaced_by_a_chain_in_a_chain(kit: Kit) -> Any:
    return kit.seen(chain(kit.replaced.s(chain(kit.echo.s(1), kit.add.s(2))), kit.add.s(3)).apply_async())


@scenario
def replaced_in_a_chord(kit: Kit) -> Any:
    return kit.ended(chord([kit.replaced.s(kit.echo.s(1)), kit.echo.s(2)], kit.total.s()).apply_async())


@scenario
def replaced_with_a_link(kit: Kit) -> Any:
    return kit.ended(kit.replaced.apply_async((kit.echo.s(1),), link=kit.add.s(10), link_error=kit.common("note").s()))


@scenario
def replaced_by_one_that_is_retried(kit: Kit) -> Any:
    return kit.seen(kit.replaced.delay(kit.retried.s(kit.key(), 1)))


@scenario
def one_more_part_of_a_chord(kit: Kit) -> Any:
    return kit.ended(chord([kit.one_more.s(kit.echo.s("more"), "one"), kit.echo.s("two")], kit.anything.s()).apply_async())
