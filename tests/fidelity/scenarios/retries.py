"""Retries: by the task's options because of what the work raised, and by the body itself."""

from __future__ import annotations

from typing import Any

from celery import chain, group

from tests.fidelity.kit import Kit, scenario


@scenario
def retried_until_it_works(kit: Kit) -> Any:
    return kit.seen(kit.retried.delay(kit.key(), 2))


@scenario
def retried_without_handlers(kit: Kit) -> Any:
    return kit.seen(kit.retried_plain.delay(kit.key(), 1))


@scenario
def retried_in_vain(kit: Kit) -> Any:
    return kit.seen(kit.retried.delay(kit.key(), 9))


@scenario
def retried_by_an_option(kit: Kit) -> Any:
    return [kit.seen(kit.retried_option.delay(kit.key("a"), 1)), kit.seen(kit.retried_option.delay(kit.key("b"), 2))]


@scenario
def retried_three_times_by_default(kit: Kit) -> Any:
    return kit.seen(kit.retried_default.delay(kit.key(), 9))


@scenario
def retried_with_backoff(kit: Kit) -> Any:
    return kit.seen(kit.retried_backoff.delay(kit.key(), 2))


@scenario(differences=("chance",))
def retried_with_jitter(kit: Kit) -> Any:
    return kit.seen(kit.retried_jitter.delay(kit.key(), 2))


@scenario
def retried_without_a_limit(kit: Kit) -> Any:
    return kit.seen(kit.retried_for_ever.delay(kit.key(), 5))


@scenario
def not_retried_for_another_error(kit: Kit) -> Any:
    return kit.seen(kit.retried.delay(kit.key(), 1, "RuntimeError"))


@scenario
def dont_autoretry_for(kit: Kit) -> Any:
    return [kit.seen(kit.retried_not_for.delay(kit.key("a"), 1, "Broken")), kit.seen(kit.retried_not_for.delay(kit.key("b"), 1, "ValueError"))]


@scenario
def retried_for_an_error_of_the_users_own(kit: Kit) -> Any:
    return kit.seen(kit.retried_for_own.delay(kit.key(), 1, "Broken"))


@scenario
def retried_for_a_subclass(kit: Kit) -> Any:
    return kit.seen(kit.retried_for_own.delay(kit.key(), 1, "VeryBroken"))


@scenario
def retried_and_expected(kit: Kit) -> Any:
    return kit.seen(kit.retried_throws.delay(kit.key(), 9))


@scenario
def retried_with_an_ignored_result(kit: Kit) -> Any:
    result = kit.retried_quiet.delay(kit.key(), 1)
    kit.wait_until_done(result, times=2)
    return kit.fresh(result).state


@scenario
def a_retried_tasks_state_meanwhile(kit: Kit) -> Any:
    """RETRY, with the error, until the next attempt."""
    result = kit.retried.apply_async((kit.key(), 1))
    return kit.seen(result)


@scenario
def a_retried_task_keeps_its_options(kit: Kit) -> Any:
    options = {"headers": {"tenant": "t4"}, "priority": 4, "shadow": "other", "time_limit": 30, "soft_time_limit": 20}
    return kit.seen(kit.retried.apply_async((kit.key(), 1), **options))


@scenario
def a_retried_task_keeps_its_links(kit: Kit) -> Any:
    return kit.ended(kit.retried.apply_async((kit.key(), 1), link=kit.echo.s(), link_error=kit.common("note").s()))


@scenario
def a_retried_head_of_a_chain(kit: Kit) -> Any:
    return kit.seen(chain(kit.retried.s(kit.key(), 1, value=1), kit.add.s(10), kit.add.s(100)).apply_async())


@scenario
def a_retried_middle_of_a_chain(kit: Kit) -> Any:
    return kit.seen(chain(kit.echo.s(1), kit.retried_after.s(kit.key()), kit.add.s(100)).apply_async())


@scenario
def a_middle_of_a_chain_retried_in_vain(kit: Kit) -> Any:
    return kit.seen(chain(kit.echo.s(1), kit.retried_after.s(kit.key(), 9), kit.add.s(100)).apply_async())


@scenario
def retried_members_of_a_group(kit: Kit) -> Any:
    return kit.ended(group(kit.retried.s(kit.key(str(n)), n, value=n) for n in range(3)).apply_async())


@scenario
def the_body_retries(kit: Kit) -> Any:
    return kit.seen(kit.again.delay(kit.key()))


@scenario
def the_body_retries_with_other_arguments(kit: Kit) -> Any:
    return kit.seen(kit.again_with.delay("first"))


@scenario
def the_body_retries_in_vain(kit: Kit) -> Any:
    return kit.seen(kit.again_at_most.delay(1))


@scenario
def the_body_retries_in_vain_without_an_exception(kit: Kit) -> Any:
    return kit.seen(kit.again_without_exception.delay(1))


@scenario
def the_body_retries_without_raising(kit: Kit) -> Any:
    return kit.seen(kit.again_unraised.delay("second time"))


@scenario
def the_body_retries_in_a_chain(kit: Kit) -> Any:
    return kit.seen(chain(kit.echo.s(kit.key()), kit.again.s(), kit.echo.s()).apply_async())


@scenario
def the_body_retries_in_a_chord(kit: Kit) -> Any:
    return kit.ended((group(kit.again.s(kit.key()), kit.echo.s(2)) | kit.echo.s()).apply_async())


@scenario
def the_body_ignores(kit: Kit) -> Any:
    result = kit.ignored.delay(1)
    kit.wait_until_done(result)
    return kit.fresh(result).state


@scenario
def the_body_rejects(kit: Kit) -> Any:
    result = kit.rejected.delay(1)
    kit.wait_until_done(result)
    return kit.fresh(result).state


@scenario
def the_body_puts_the_message_back(kit: Kit) -> Any:
    return kit.seen(kit.requeued.delay(kit.key()))
