"""Chords: header and body of either kind, nested, with errors at each position; and that nothing of them is left in Redis."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group

from tests.fidelity.kit import Kit, scenario

MANY = 500


@scenario
def a_chord(kit: Kit) -> Any:
    return kit.seen(chord([kit.echo.s(n) for n in range(4)], kit.total.s()).apply_async())


@scenario
def a_chord_called_with_its_body(kit: Kit) -> Any:
    return kit.outcome(chord(kit.echo.s(n) for n in range(3))(kit.total.s()))


@scenario
def a_chord_of_one(kit: Kit) -> Any:
    return kit.outcome(chord([kit.echo.s(5)], kit.total.s()).apply_async())


@scenario
def a_chord_of_none(kit: Kit) -> Any:
    return kit.outcome(chord([], kit.echo.s()).apply_async())


@scenario
def a_chord_of_many(kit: Kit) -> Any:
    return kit.outcome(chord([kit.plain_echo.s(n) for n in range(MANY)], kit.total.s()).apply_async())


@scenario
def a_chord_with_an_ordinary_body(kit: Kit) -> Any:
    return kit.outcome(chord([kit.echo.s(n) for n in range(3)], kit.common("total").s()).apply_async())


@scenario
def a_chord_with_an_ordinary_header(kit: Kit) -> Any:
    return kit.outcome(chord([kit.common("echo").s(n) for n in range(3)], kit.total.s()).apply_async())


@scenario
def a_chord_with_a_mixed_header(kit: Kit) -> Any:
    return kit.outcome(chord([kit.common("echo").s(1), kit.echo.s(2), kit.common("echo").s(3), kit.add.s(2, 2)], kit.total.s()).apply_async())


@scenario
def a_chord_keeps_the_order_of_its_parts(kit: Kit) -> Any:
    parts = [kit.sleep.s(0.3, "first"), kit.echo.s("second"), kit.sleep.s(0.1, "third")]
    return kit.outcome(chord(parts, kit.echo.s()).apply_async())


@scenario
def a_chord_with_an_immutable_body(kit: Kit) -> Any:
    return kit.outcome(chord([kit.echo.s(1), kit.echo.s(2)], kit.echo.si("alone")).apply_async())


@scenario
def a_chord_whose_body_is_a_chain(kit: Kit) -> Any:
    return kit.outcome(chord([kit.echo.s(n) for n in range(3)], chain(kit.total.s(), kit.add.s(10), kit.add.s(100))).apply_async())


@scenario
def a_chord_whose_body_is_a_group(kit: Kit) -> Any:
    return kit.outcome(chord([kit.echo.s(1), kit.echo.s(2)], group(kit.echo.s(), kit.total.s())).apply_async())


@scenario
def a_chord_whose_body_is_a_chord(kit: Kit) -> Any:
    return kit.outcome(chord([kit.echo.s(1), kit.echo.s(2)], chord([kit.total.s(), kit.total.s()], kit.total.s())).apply_async())


@scenario
def a_chord_of_chains(kit: Kit) -> Any:
    return kit.outcome(chord([chain(kit.echo.s(n), kit.add.s(10)) for n in range(3)], kit.total.s()).apply_async())


@scenario
def a_chord_of_chords(kit: Kit) -> Any:
    inner = [chord([kit.echo.s(n), kit.echo.s(n + 1)], kit.total.s()) for n in (1, 10)]
    return kit.outcome(chord(inner, kit.total.s()).apply_async())


@scenario
def a_chord_of_groups(kit: Kit) -> Any:
    return kit.outcome(chord([group(kit.echo.s(1), kit.echo.s(2)), kit.echo.s(3)], kit.echo.s()).apply_async())


@scenario
def a_chord_at_a_chains_end(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1), chord([kit.add.s(1), kit.add.s(2)], kit.total.s())).apply_async())


@scenario
def a_chord_in_a_chain(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1), chord([kit.add.s(1), kit.add.s(2)], kit.total.s()), kit.add.s(100)).apply_async())


@scenario
def a_group_of_chords(kit: Kit) -> Any:
    return kit.outcome(group(chord([kit.echo.s(n), kit.echo.s(n)], kit.total.s()) for n in (1, 2)).apply_async())


@scenario
def an_error_in_a_chords_header(kit: Kit) -> Any:
    result = chord([kit.echo.s(1), kit.fail.s("ValueError", "part"), kit.echo.s(3)], kit.total.s()).apply_async()
    got = kit.ended(result)
    return [got, result.state]


@scenario
def an_error_in_a_chord_of_one(kit: Kit) -> Any:
    return kit.seen(chord([kit.fail.s("KeyError", "only")], kit.total.s()).apply_async())


@scenario
def an_error_of_an_ordinary_part(kit: Kit) -> Any:
    result = chord([kit.echo.s(1), kit.app.tasks["native.fail"].s("ValueError", "ordinary")], kit.total.s()).apply_async()
    return kit.ended(result)


@scenario
def an_error_in_a_chords_body(kit: Kit) -> Any:
    result = chord([kit.echo.s(1), kit.echo.s(2)], kit.fail_after.s()).apply_async()
    return kit.seen(result)


@scenario
def an_error_at_the_head_of_a_chain_in_a_chord(kit: Kit) -> Any:
    parts = [chain(kit.fail.s("ValueError", "head"), kit.echo.s(), kit.echo.s()), kit.echo.s(2)]
    result = chord(parts, kit.total.s()).apply_async()
    return kit.ended(result)


@scenario
def an_error_at_the_end_of_a_chain_in_a_chord(kit: Kit) -> Any:
    parts = [chain(kit.echo.s(1), kit.fail_after.s()), kit.echo.s(2)]
    result = chord(parts, kit.total.s()).apply_async()
    return kit.ended(result)


@scenario
def an_error_in_an_inner_chord(kit: Kit) -> Any:
    inner = chord([kit.echo.s(1), kit.fail.s("ValueError", "inner")], kit.total.s())
    result = chord([inner, kit.echo.s(2)], kit.total.s()).apply_async()
    got = kit.ended(result)
    return got["error"]


@scenario
def a_chain_after_a_failed_chord(kit: Kit) -> Any:
    last = chain(chord([kit.echo.s(1), kit.fail.s()], kit.total.s()), kit.add.s(1), kit.echo.s()).apply_async()
    return kit.ended(last)


@scenario
def a_chords_errback(kit: Kit) -> Any:
    body = kit.total.s().on_error(kit.common("note").s())
    result = chord([kit.echo.s(1), kit.fail.s("ValueError", "part")], body).apply_async()
    return kit.ended(result)


@scenario
def a_chord_whose_part_is_retried(kit: Kit) -> Any:
    parts = [kit.echo.s(1), kit.retried.s(kit.key(), failures=1, value=2), kit.echo.s(3)]
    return kit.outcome(chord(parts, kit.total.s()).apply_async())


@scenario
def a_chord_whose_part_is_retried_in_vain(kit: Kit) -> Any:
    result = chord([kit.echo.s(1), kit.retried.s(kit.key(), failures=9)], kit.total.s()).apply_async()
    return kit.ended(result)


@scenario
def a_chord_whose_body_is_retried(kit: Kit) -> Any:
    return kit.outcome(chord([kit.echo.s(1), kit.echo.s(2)], kit.retried_after.s(kit.key())).apply_async())


@scenario
def a_chord_with_options(kit: Kit) -> Any:
    return kit.outcome(chord([kit.echo.s(1), kit.echo.s(2)], kit.total.s()).apply_async(priority=3, headers={"tenant": "t3"}, countdown=0.1))


@scenario
def a_chord_with_a_body_link(kit: Kit) -> Any:
    body = kit.total.s()
    body.link(kit.add.s(100))
    result = chord([kit.echo.s(1), kit.echo.s(2)], body).apply_async()
    return kit.ended(result)


@scenario
def parts_that_are_sent_later(kit: Kit) -> Any:
    parts = [kit.echo.s(1).set(countdown=0.3), kit.echo.s(2)]
    return kit.outcome(chord(parts, kit.total.s()).apply_async())
