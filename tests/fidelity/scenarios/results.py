"""Results: what AsyncResult and GroupResult say."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

from celery import chain, group
from celery.result import GroupResult, ResultSet

from tests.fidelity.kit import Kit, scenario
from tests.fidelity.recording import plain


@scenario
def get_returns_the_value(kit: Kit) -> Any:
    return kit.seen(kit.echo.delay("hello"))


@scenario
def get_returns_none(kit: Kit) -> Any:
    return kit.seen(kit.nothing.delay())


@scenario
def a_failure_is_raised_by_get(kit: Kit) -> Any:
    return kit.seen(kit.fail.delay("ValueError", "it failed"))


@scenario
def tasks_without_handlers_of_their_own(kit: Kit) -> Any:
    return [kit.seen(kit.plain_echo.delay(1)), kit.seen(kit.plain_fail.delay())]


@scenario
def json_values_come_back_as_they_are(kit: Kit) -> Any:
    value = {"list": [1, 2.5, None, True], "text": "grün ✓", "nested": {"a": {"b": []}}, "empty": "", "number": -1e-9}
    return kit.seen(kit.echo.delay(value))


@scenario
def large_numbers_and_odd_texts_come_back(kit: Kit) -> Any:
    return kit.seen(kit.echo.delay([2**53 + 1, -(2**63), 0.1 + 0.2, "\u0000\n\t\"'", "\U0001f600", {"": 1, "1": 2}]))


@scenario
def a_long_value_comes_back(kit: Kit) -> Any:
    return len(kit.outcome(kit.big.delay(200_000)))


@scenario
def a_pending_task_is_not_ready(kit: Kit) -> Any:
    key = kit.key()
    result = kit.gate.delay(key)
    kit.wait_until_running(result)
    before = [result.ready(), result.successful(), result.failed()]
    kit.open(key)
    return [before, kit.outcome(result), result.ready(), result.successful(), result.failed()]


@scenario
def get_times_out_while_the_task_runs(kit: Kit) -> Any:
    key = kit.key()
    result = kit.gate.delay(key)
    early = kit.outcome(result, timeout=0.1)
    kit.open(key)
    return [early["error"], kit.outcome(result)]


@scenario
def get_without_propagate_returns_the_exception(kit: Kit) -> Any:
    return plain(kit.fail.delay("KeyError", "lost").get(timeout=20, propagate=False))


@scenario
def maybe_throw_and_info(kit: Kit) -> Any:
    result = kit.fail.delay("ZeroDivisionError", "by nothing")
    kit.outcome(result)
    return [plain(result.info), plain(result.result), kit.attempt(result.maybe_throw), result.status]


@scenario
def extended_fields(kit: Kit) -> Any:
    result = kit.anything.apply_async((1, "two"), {"three": 3})
    kit.outcome(result)
    fresh = kit.fresh(result)
    return [fresh.name, fresh.args, fresh.kwargs, fresh.retries, fresh.queue, fresh.date_done is not None, fresh.children, bool(fresh.worker)]


@scenario
def parent_and_root_of_a_chain(kit: Kit) -> Any:
    last = chain(kit.echo.s(1), kit.add.s(2), kit.add.s(3))()
    kit.outcome(last)
    return [last, last.parent, last.parent.parent, last.parent.parent.parent, kit.fresh(last.parent.parent).children]


@scenario
def a_body_that_sends_a_task_is_its_parent(kit: Kit) -> Any:
    result = kit.parenting.delay("parent")
    return [kit.seen(result), [kit.outcome(child) for child in kit.fresh(result).children]]


@scenario
def a_body_that_sends_a_task_and_links(kit: Kit) -> Any:
    result = kit.parenting.apply_async(("parent",), link=kit.echo.s())
    return [kit.seen(result), kit.fresh(result).children]


@scenario
def a_body_that_sends_a_task_in_each_attempt(kit: Kit) -> Any:
    result = kit.parenting_flaky.delay(kit.key(), 1)
    return [kit.seen(result), kit.fresh(result).children]


@scenario
def collect_walks_the_children(kit: Kit) -> Any:
    last = chain(kit.echo.s(1), kit.add.s(2), group(kit.add.s(10), kit.add.s(20)))()
    kit.ended(last)
    head = kit.fresh(last.parent.parent)
    return [(result, value) for result, value in head.collect(intermediate=True)]


@scenario
def a_result_as_a_tuple_and_back(kit: Kit) -> Any:
    from celery.result import result_from_tuple

    last = chain(kit.echo.s(5), kit.add.s(5))()
    again = result_from_tuple(last.as_tuple(), app=kit.app)
    return [kit.outcome(again), again.parent, again == last]


@scenario
def a_forgotten_result_is_gone(kit: Kit) -> Any:
    result = kit.echo.delay("forget me")
    got = kit.ended(result)
    result.forget()
    return [got, kit.fresh(result).state]


@scenario
def an_ignoring_task_stores_nothing(kit: Kit) -> Any:
    result = kit.quiet.delay("unseen")
    kit.wait_until_done(result)
    return kit.fresh(result).state


@scenario
def a_call_may_ignore_its_result(kit: Kit) -> Any:
    result = kit.echo.apply_async(("unseen",), ignore_result=True)
    kit.wait_until_done(result)
    return [kit.fresh(result).state, result.get(timeout=5)]


@scenario
def a_call_may_want_the_result_of_an_ignoring_task(kit: Kit) -> Any:
    return kit.seen(kit.quiet.apply_async(("seen",), ignore_result=False))


@scenario
def an_ignoring_task_stores_no_failure(kit: Kit) -> Any:
    result = kit.quiet_fail.delay()
    kit.wait_until_done(result)
    return kit.fresh(result).state


@scenario
def errors_are_stored_even_if_ignored(kit: Kit) -> Any:
    result = kit.quiet_but_errors.delay("Broken", "wheel")
    kit.wait_until_done(result)
    fresh = kit.fresh(result)
    return [fresh.state, plain(fresh.result)]


@scenario
def a_group_result_is_saved_and_restored(kit: Kit) -> Any:
    result = group(kit.echo.s(n) for n in range(3)).apply_async()
    result.save()
    got = kit.outcome(result)
    again = GroupResult.restore(result.id, app=kit.app)
    seen = [got, again.get(timeout=20), again.results == result.results]
    again.delete()
    return [seen, GroupResult.restore(result.id, app=kit.app)]


@scenario
def a_group_result_counts(kit: Kit) -> Any:
    result = group(kit.echo.s(1), kit.fail.s(), kit.echo.s(3)).apply_async()
    got = kit.ended(result)
    return [
        got,
        result.completed_count(),
        result.ready(),
        result.successful(),
        result.failed(),
        result.waiting(),
        len(result),
        plain(result.join(propagate=False)),
    ]


@scenario
def iterating_a_group_native_join(kit: Kit) -> Any:
    result = group(kit.echo.s(n) for n in range(4)).apply_async()
    return [result.join_native(timeout=20), sorted(meta["result"] for _, meta in result.iter_native())]


@scenario
def a_result_set_of_single_calls(kit: Kit) -> Any:
    results = ResultSet([kit.echo.delay(n) for n in range(3)], app=kit.app)
    return [kit.outcome(results), results.successful()]


@scenario
def then_is_called_with_the_result(kit: Kit) -> Any:
    called: list[Any] = []
    result = kit.echo.delay("then")
    result.then(lambda ready: called.append(ready.result))
    return [kit.outcome(result), called]


@scenario
def a_task_with_track_started(kit: Kit) -> Any:
    return kit.seen(kit.tracked.delay("tracked"))


@scenario
def a_state_of_the_bodys_own(kit: Kit) -> Any:
    return kit.seen(kit.own_state.delay("prepared"))


@scenario(differences=("wire",))
def dates_uuids_and_decimals(kit: Kit) -> Any:
    values = [dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), dt.date(2026, 1, 2), decimal.Decimal("1.10"), uuid.UUID(int=7)]
    got = [kit.outcome(kit.echo.delay(value)) for value in values]
    return [value.isoformat() if isinstance(value, dt.date) else str(value) for value in got]


@scenario
def a_set_is_refused(kit: Kit) -> Any:
    return kit.attempt(lambda: kit.echo.delay({1}))
