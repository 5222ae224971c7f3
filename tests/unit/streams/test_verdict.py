"""What a snapshot means: each rule, at its threshold and below."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.health import Level, Reason, Snapshot, Thresholds
from streams.health.rules import LAG_KINDS, RULES
from streams.health.snapshot import (
    Consumer,
    DeadLetters,
    Deliveries,
    Group,
    HeardBy,
    Jobs,
    Lag,
    Server,
    ServiceHealth,
    Stream,
    StreamRole,
    Times,
    Upkeep,
)
from streams.health.verdict import judge

WELL = Server(
    version="7.0.15",
    role="master",
    uptime_seconds=100,
    used_bytes=10,
    max_bytes=0,
    policy="noeviction",
    evicted_keys=0,
    aof=True,
    aof_ok=True,
    rdb_ok=True,
)
BRIDGE = Consumer(name="bridge@host", pending=0, idle_seconds=0.1, alive=True, heard_by=HeardBy.IDLE)


def service(**fields: Any) -> ServiceHealth:
    known: dict[str, Any] = {"name": "lab", "group": "lab_workers", "workers": 1, "waiting": Lag.exactly(0), "oldest_waiting_seconds": None}
    known |= {"running": 0, "delayed": 0, "overdue": 0, "most_overdue_seconds": 0.0, "open": 0, "parked": 0}
    return ServiceHealth(**(known | {"times": Times(), "dead_letters": DeadLetters()} | fields))


def group(**fields: Any) -> Group:
    return Group(**({"name": MANAGEMENT_CONSUMERS, "lag": Lag.exactly(0), "consumers": (BRIDGE,)} | fields))


def results(**fields: Any) -> Stream:
    return Stream(
        **({"name": "lab:mgmt:results", "key": "lab:mgmt:results", "role": StreamRole.RESULTS, "service": "lab", "groups": (group(),)} | fields)
    )


def commands(**fields: Any) -> Stream:
    worked = group(**({"name": "lab_workers", "consumers": ()} | fields))
    return Stream(name="mgmt:lab:commands", key="mgmt:lab:commands", role=StreamRole.COMMANDS, service="lab", length=1, groups=(worked,))


def snapshot(*streams: Stream, services: tuple[ServiceHealth, ...] = (service(),), server: dict[str, Any] | None = None, parked: int = 0) -> Snapshot:
    return Snapshot(
        at=datetime.now(UTC),
        prefix="",
        window_seconds=300,
        lease_seconds=15,
        server=WELL.model_copy(update=server or {}),
        streams=streams or (results(),),
        services=services,
        jobs=Jobs(open=0, oldest_open_age_seconds=None, parked=parked, oldest_parked_age_seconds=10.0 if parked else None),
    )


def reasons(found: Snapshot, **thresholds: Any) -> list[tuple[str, Level]]:
    return [(reason.kind, reason.level) for reason in judge(found, Thresholds(**thresholds)).reasons]


OK: list[tuple[str, Level]] = []


def test_all_is_well() -> None:
    verdict = judge(snapshot(), Thresholds())
    assert (verdict.level, verdict.reasons) == (Level.OK, ())


@pytest.mark.parametrize(
    ("waited", "expected"),
    [(59.0, [("no_worker", Level.DEGRADED)]), (60.0, [("no_worker", Level.CRITICAL)]), (None, [("no_worker", Level.DEGRADED)])],
)
def test_commands_wait_and_no_worker_is_alive(waited: float | None, expected: Any) -> None:
    assert reasons(snapshot(services=(service(workers=0, waiting=Lag.exactly(1), oldest_waiting_seconds=waited),))) == expected


def test_no_worker_is_needed_while_nothing_waits() -> None:
    assert reasons(snapshot(services=(service(workers=0),))) == OK


def test_an_unknown_lag_counts_with_what_is_known_of_it() -> None:
    assert reasons(snapshot(services=(service(workers=0, waiting=Lag.unknown("why", at_least=1)),))) == [("no_worker", Level.DEGRADED)]


@pytest.mark.parametrize(("count", "expected"), [(999, OK), (1_000, [("waiting", Level.DEGRADED)]), (10_000, [("waiting", Level.CRITICAL)])])
def test_many_commands_wait(count: int, expected: Any) -> None:
    assert reasons(snapshot(services=(service(waiting=Lag.exactly(count)),))) == expected


@pytest.mark.parametrize(("waited", "expected"), [(3_599, OK), (3_600, [("queue_wait", Level.DEGRADED)]), (86_400, [("queue_wait", Level.CRITICAL)])])
def test_a_command_waits_long(waited: float, expected: Any) -> None:
    assert reasons(snapshot(services=(service(waiting=Lag.exactly(1), oldest_waiting_seconds=waited),))) == expected


def test_a_lag_that_is_unknown_is_told_with_its_reason() -> None:
    found = judge(snapshot(results(), commands(lag=Lag.unknown("an XDEL", at_least=7))), Thresholds())
    (reason,) = found.reasons
    assert (reason.kind, reason.level, reason.where) == ("lag_unknown", Level.DEGRADED, "mgmt:lab:commands lab_workers")
    assert "an XDEL" in reason.what
    assert "7" in reason.what


@pytest.mark.parametrize(("idle", "expected"), [(59.0, OK), (60.0, [("abandoned", Level.DEGRADED)]), (None, OK)])
def test_entries_of_dead_consumers_that_nobody_claims_for_four_leases(idle: float | None, expected: Any) -> None:
    assert reasons(snapshot(results(), commands(abandoned=1, longest_abandoned_seconds=idle))) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Deliveries(once=9, twice=5), OK),
        (Deliveries(thrice=1), [("deliveries", Level.DEGRADED)]),
        (Deliveries(more=1), [("deliveries", Level.DEGRADED)]),
    ],
)
def test_jobs_whose_workers_died_under_them(counts: Deliveries, expected: Any) -> None:
    assert reasons(snapshot(results(), commands(deliveries=counts))) == expected


@pytest.mark.parametrize(("age", "expected"), [(59.0, [("no_bridge", Level.DEGRADED)]), (60.0, [("no_bridge", Level.CRITICAL)])])
def test_no_bridge_is_alive(age: float, expected: Any) -> None:
    gone = BRIDGE.model_copy(update={"alive": False})
    assert reasons(snapshot(results(groups=(group(consumers=(gone,), oldest_unread_age_seconds=age),))), results_seconds=0) == expected
    assert reasons(snapshot(results(groups=(group(consumers=(), oldest_pending_age_seconds=age),)))) == expected
    assert reasons(snapshot(results(groups=(), length=1, oldest_age_seconds=age))) == expected


@pytest.mark.parametrize(("age", "expected"), [(29, OK), (30, [("results_behind", Level.DEGRADED)]), (300, [("results_behind", Level.CRITICAL)])])
def test_the_bridges_do_not_keep_up(age: float, expected: Any) -> None:
    assert reasons(snapshot(results(groups=(group(lag=Lag.exactly(5), oldest_unread_age_seconds=age),)))) == expected


@pytest.mark.parametrize(("age", "expected"), [(299, OK), (300, [("unresolved", Level.DEGRADED)])])
def test_a_result_is_not_resolved(age: float, expected: Any) -> None:
    assert reasons(snapshot(results(groups=(group(pending=1, oldest_pending_age_seconds=age),)))) == expected


@pytest.mark.parametrize(("late", "expected"), [(29, OK), (30, [("overdue", Level.DEGRADED)]), (600, [("overdue", Level.CRITICAL)])])
def test_nobody_puts_delayed_commands_back(late: float, expected: Any) -> None:
    assert reasons(snapshot(services=(service(delayed=1, overdue=1, most_overdue_seconds=late),))) == expected


@pytest.mark.parametrize(("lately", "expected"), [(0, OK), (1, [("dead_letters", Level.DEGRADED)]), (100, [("dead_letters", Level.CRITICAL)])])
def test_commands_became_dead_letters_lately(lately: int, expected: Any) -> None:
    found = snapshot(services=(service(dead_letters=DeadLetters(total=500, lately=lately, by_reason={"poison": 500})),))
    assert reasons(found) == expected
    assert all("poison 500" in reason.what for reason in judge(found, Thresholds()).reasons)


def test_jobs_are_parked() -> None:
    assert reasons(snapshot(parked=1)) == [("parked", Level.DEGRADED)]
    assert reasons(snapshot(parked=1), parked=0) == OK


def test_the_reconciler_found_what_it_could_not_repair() -> None:
    found = snapshot().model_copy(update={"findings": {"job_lost": 2}})
    assert reasons(found) == [("findings", Level.DEGRADED)]
    assert reasons(found, findings=3) == OK


def test_upkeep_failed() -> None:
    works = (Upkeep(name="trim", age_seconds=5.0, took_seconds=0.1), Upkeep(name="repair", age_seconds=5.0, took_seconds=0.1, error="OSError: no"))
    found = judge(snapshot().model_copy(update={"upkeep": works}), Thresholds())
    assert [(reason.kind, reason.where) for reason in found.reasons] == [("upkeep", "repair")]


def test_a_stream_takes_much_memory() -> None:
    assert reasons(snapshot(results(bytes=256 * 2**20 - 1))) == OK
    assert reasons(snapshot(results(bytes=256 * 2**20))) == [("stream_size", Level.DEGRADED)]


def test_a_key_is_no_stream() -> None:
    assert reasons(snapshot(results(), results(name="x", problem="WRONGTYPE", groups=()))) == [("not_a_stream", Level.CRITICAL)]


@pytest.mark.parametrize(("used", "expected"), [(79, OK), (80, [("memory", Level.DEGRADED)]), (95, [("memory", Level.CRITICAL)])])
def test_the_server_is_nearly_full(used: int, expected: Any) -> None:
    assert reasons(snapshot(server={"used_bytes": used, "max_bytes": 100})) == expected


def test_no_limit_is_never_full() -> None:
    assert reasons(snapshot(server={"used_bytes": 2**40, "max_bytes": 0})) == OK


@pytest.mark.parametrize(
    ("differs", "expected"),
    [
        ({"policy": "allkeys-lru"}, OK),  # without a limit nothing is evicted
        ({"policy": "allkeys-lru", "max_bytes": 10**9}, [("eviction", Level.DEGRADED)]),
        ({"policy": "allkeys-lru", "max_bytes": 10**9, "evicted_keys": 1}, [("eviction", Level.CRITICAL)]),
        ({"evicted_keys": 1}, [("eviction", Level.DEGRADED)]),
        ({"aof": False}, [("no_aof", Level.DEGRADED)]),
        ({"aof_ok": False}, [("disk", Level.CRITICAL)]),
        ({"rdb_ok": False}, [("disk", Level.CRITICAL)]),
        ({"role": "slave"}, [("replica", Level.CRITICAL)]),
    ],
)
def test_the_server_itself(differs: dict[str, Any], expected: Any) -> None:
    assert reasons(snapshot(server=differs)) == expected


def test_an_append_only_file_need_not_be() -> None:
    assert reasons(snapshot(server={"aof": False}), require_aof=False) == OK


def test_the_worst_reason_comes_first_and_is_the_verdict() -> None:
    verdict = judge(snapshot(server={"aof": False, "role": "slave"}, parked=3), Thresholds())
    assert verdict.level is Level.CRITICAL
    assert [reason.level for reason in verdict.reasons] == [Level.CRITICAL, Level.DEGRADED, Level.DEGRADED]


def test_lag_alone_is_judged_by_its_own_rules() -> None:
    verdict = judge(snapshot(server={"role": "slave"}, services=(service(waiting=Lag.exactly(1_000)),)), Thresholds()).only(LAG_KINDS)
    assert [reason.kind for reason in verdict.reasons] == ["waiting"]
    assert verdict.level is Level.DEGRADED


def every_reason() -> list[Reason]:
    """One of each kind."""
    bad = {"role": "slave", "used_bytes": 99, "max_bytes": 100, "policy": "allkeys-lru", "evicted_keys": 5, "aof_ok": False}
    unresolved = group(lag=Lag.exactly(5), oldest_unread_age_seconds=999.0, oldest_pending_age_seconds=999.0)
    broken = snapshot(
        results(groups=(unresolved,)),
        results(name="big", bytes=2**30, groups=()),
        results(name="x", problem="WRONGTYPE", groups=()),
        commands(lag=Lag.unknown("why"), abandoned=1, longest_abandoned_seconds=1e6, deliveries=Deliveries(more=1)),
        services=(
            service(workers=0, waiting=Lag.exactly(10**6), oldest_waiting_seconds=1e6, overdue=1, most_overdue_seconds=1e6),
            service(name="other", dead_letters=DeadLetters(total=5, lately=5, by_reason={"poison": 5})),
        ),
        server=bad,
        parked=1,
    )
    without = snapshot(results(groups=()), server={"aof": False}).model_copy(
        update={"findings": {"job_lost": 1}, "upkeep": (Upkeep(name="trim", age_seconds=None, took_seconds=0.0, error="no"),)}
    )
    return [*judge(broken, Thresholds()).reasons, *judge(without, Thresholds()).reasons]


def test_each_reason_says_what_where_and_what_to_type() -> None:
    found = every_reason()
    assert len({reason.kind for reason in found}) == len(RULES) + 1  # durability has two
    for reason in found:
        assert reason.what
        assert reason.where
        assert reason.to_type
        assert "None" not in reason.what


def test_a_threshold_of_0_turns_its_rule_off() -> None:
    off = dict.fromkeys(name for name, info in Thresholds.model_fields.items() if info.annotation in (int, float) and "window" not in name)
    thresholds = {name: 0 for name in off if name != "dead_letters_seconds"} | {"require_aof": False}
    busy = snapshot(
        results(bytes=2**40, groups=(group(consumers=(), oldest_unread_age_seconds=1e6, oldest_pending_age_seconds=1e6),)),
        commands(abandoned=1, longest_abandoned_seconds=1e6, deliveries=Deliveries(more=1)),
        services=(service(workers=0, waiting=Lag.exactly(10**6), oldest_waiting_seconds=1e6, overdue=1, most_overdue_seconds=1e6),),
        server={"used_bytes": 99, "max_bytes": 100, "aof": False},
        parked=5,
    )
    assert reasons(busy, **thresholds) == OK
