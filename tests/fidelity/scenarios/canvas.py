"""Chains and groups, nested either way. Ordinary tasks (`common.`) stand among those of the kit, as they do in real workflows."""

from __future__ import annotations

from typing import Any

from celery import chain, group

from tests.fidelity.kit import Kit, scenario


@scenario
def a_chain_passes_results_on(kit: Kit) -> Any:
    return kit.seen(chain(kit.echo.s(1), kit.add.s(2), kit.add.s(3)).apply_async())


@scenario
def a_chain_by_the_pipe(kit: Kit) -> Any:
    return kit.outcome((kit.echo.s(1) | kit.add.s(2) | kit.add.s(3)).delay())


@scenario
def a_chain_of_one(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1)).apply_async())


@scenario
def a_chain_of_chains(kit: Kit) -> Any:
    return kit.outcome(chain(chain(kit.echo.s(1), kit.add.s(2)), chain(kit.add.s(3), kit.add.s(4))).apply_async())


@scenario
def a_chain_with_ordinary_tasks_between(kit: Kit) -> Any:
    echo = kit.common("echo")
    return kit.outcome(chain(echo.s(1), kit.add.s(2), echo.s(), kit.add.s(3), echo.s()).apply_async())


@scenario
def a_chain_with_immutable_parts(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1), kit.add.si(10, 20), kit.add.s(3)).apply_async())


@scenario
def a_chain_given_arguments(kit: Kit) -> Any:
    return kit.outcome(chain(kit.add.s(1), kit.add.s(2)).apply_async((10,)))


@scenario
def a_chain_with_options(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1), kit.add.s(2)).apply_async(priority=4, headers={"tenant": "t2"}))


@scenario
def a_chain_with_options_of_its_parts(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1).set(priority=1), kit.add.s(2).set(countdown=0.1), kit.add.s(3).set(shadow="third")).apply_async())


@scenario
def a_chain_of_ten(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(0), *(kit.add.s(n) for n in range(1, 10))).apply_async())


@scenario
def an_error_in_a_chains_head(kit: Kit) -> Any:
    last = chain(kit.fail.s(), kit.echo.s(), kit.echo.s()).apply_async()
    return [kit.ended(last), last.state, last.parent.state, last.parent.parent.state]


@scenario
def an_error_in_a_chains_middle(kit: Kit) -> Any:
    last = chain(kit.echo.s(1), kit.fail_after.s(), kit.echo.s(), kit.echo.s()).apply_async()
    return [kit.ended(last), [each.state for each in (last, last.parent, last.parent.parent, last.parent.parent.parent)]]


@scenario
def an_error_in_a_chains_tail(kit: Kit) -> Any:
    last = chain(kit.echo.s(1), kit.echo.s(), kit.fail_after.s()).apply_async()
    return [kit.ended(last), last.parent.state]


@scenario
def an_error_in_the_middle_of_a_mixed_chain(kit: Kit) -> Any:
    echo = kit.common("echo")
    last = chain(echo.s(1), kit.fail_after.s(), echo.s(), kit.echo.s()).apply_async()
    return [kit.ended(last), last.parent.state, last.parent.parent.state]


@scenario
def a_chain_with_an_ignored_result(kit: Kit) -> Any:
    return kit.outcome(chain(kit.quiet.s(1), kit.add.s(2)).apply_async())


@scenario
def a_group(kit: Kit) -> Any:
    return kit.outcome(group(kit.echo.s(n) for n in range(5)).apply_async())


@scenario
def a_group_of_one(kit: Kit) -> Any:
    return kit.outcome(group(kit.echo.s(1)).apply_async())


@scenario
def an_empty_group(kit: Kit) -> Any:
    result = group().apply_async()
    return [kit.outcome(result), result.ready(), result.successful()]


@scenario
def a_group_given_arguments(kit: Kit) -> Any:
    return kit.outcome(group(kit.add.s(1), kit.add.s(2)).apply_async((10,)))


@scenario
def a_group_with_a_countdown(kit: Kit) -> Any:
    return kit.outcome(group(kit.echo.s(n) for n in range(3)).apply_async(countdown=0.2))


@scenario
def a_group_with_skew(kit: Kit) -> Any:
    return kit.outcome(group(kit.echo.s(n) for n in range(3)).skew(start=0.1, stop=0.3, step=0.1).apply_async())


@scenario
def a_group_with_an_error(kit: Kit) -> Any:
    result = group(kit.echo.s(1), kit.fail.s("KeyError", "second"), kit.echo.s(3)).apply_async()
    got = kit.ended(result)
    return [got, [each.state for each in result]]


@scenario
def a_group_in_a_group(kit: Kit) -> Any:
    return kit.outcome(group(kit.echo.s(1), group(kit.echo.s(2), kit.echo.s(3))).apply_async())


@scenario
def a_group_of_chains(kit: Kit) -> Any:
    return kit.outcome(group(chain(kit.echo.s(n), kit.add.s(10), kit.add.s(100)) for n in range(3)).apply_async())


@scenario
def a_group_of_chains_with_an_error(kit: Kit) -> Any:
    result = group(chain(kit.echo.s(1), kit.fail_after.s(), kit.echo.s()), chain(kit.echo.s(2), kit.add.s(2))).apply_async()
    got = kit.ended(result)
    return [got, [each.state for each in result]]


@scenario
def a_group_of_mixed_tasks(kit: Kit) -> Any:
    return kit.outcome(group(kit.echo.s(1), kit.common("echo").s(2), kit.add.s(1, 2)).apply_async())


@scenario
def a_group_at_a_chains_end(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1), group(kit.add.s(1), kit.add.s(2))).apply_async())


@scenario
def a_group_at_a_chains_head(kit: Kit) -> Any:
    return kit.outcome(chain(group(kit.echo.s(1), kit.echo.s(2)), kit.total.s()).apply_async())


@scenario
def a_group_in_a_chain(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1), group(kit.add.s(1), kit.add.s(2)), kit.total.s(), kit.add.s(100)).apply_async())


@scenario
def two_groups_in_a_chain(kit: Kit) -> Any:
    return kit.outcome(chain(group(kit.echo.s(1), kit.echo.s(2)), group(kit.echo.s(), kit.total.s())).apply_async())


@scenario
def a_group_of_one_in_a_chain(kit: Kit) -> Any:
    return kit.outcome(chain(kit.echo.s(1), group(kit.add.s(1)), kit.total.s()).apply_async())


@scenario
def the_tail_of_an_error_in_a_chained_group(kit: Kit) -> Any:
    last = chain(kit.echo.s(1), group(kit.echo.s(), kit.fail_after.s()), kit.total.s(), kit.echo.s()).apply_async()
    got = kit.ended(last)
    return [got, last.parent.state]


@scenario
def one_signature_many_times(kit: Kit) -> Any:
    signature = kit.add.s(1)
    return kit.outcome(group(signature.clone((n,)) for n in range(3)).apply_async())


@scenario
def a_workflow_through_json(kit: Kit) -> Any:
    import json

    workflow = chain(kit.echo.s(1), group(kit.add.s(1), kit.add.s(2)), kit.total.s())
    return kit.outcome(kit.app.signature(json.loads(json.dumps(workflow))).apply_async())


@scenario
def a_workflow_sent_twice(kit: Kit) -> Any:
    workflow = chain(kit.echo.s(1), kit.add.s(2))
    return [kit.outcome(workflow.apply_async()), kit.outcome(workflow.apply_async())]
