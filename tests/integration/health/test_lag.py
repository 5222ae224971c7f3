"""A group's lag is exact, or unknown with the reason: never a wrong number, and never a wrong 0."""

from __future__ import annotations

import random
from typing import Any

import pytest
import redis

from streams.bus.functions import LIBRARY
from streams.health import check_consumer_lag
from streams.health.snapshot import Lag


def unread(lab: Any) -> int:
    last = lab.client.xinfo_groups(lab.commands)[0]["last-delivered-id"]
    return len(lab.client.xrange(lab.commands, f"({last}", "+"))


def test_what_nobody_has_read_is_the_lag(lab: Any) -> None:
    lab.join()
    lab.add(5)
    assert lab.group().lag == Lag.exactly(5)
    lab.read(2)
    assert lab.group().lag == Lag.exactly(3)
    lab.read(3)
    assert lab.group().lag == Lag.exactly(0)


def test_after_an_xdel_the_lag_is_counted_where_the_server_has_none(lab: Any) -> None:
    lab.join()
    entries = lab.add(6)
    lab.read(2)
    lab.client.xdel(lab.commands, entries[3])
    assert lab.client.xinfo_groups(lab.commands)[0]["lag"] is None
    assert lab.group().lag == Lag.exactly(3)


def test_after_an_xdel_the_lag_is_right_where_the_servers_is_wrong(lab: Any) -> None:
    lab.join()
    entries = lab.add(6)
    lab.read(2)
    lab.client.xdel(lab.commands, entries[2])
    lab.read(1)
    assert lab.group().lag == Lag.exactly(2)  # Redis 7.0 says 3


def test_a_group_made_at_an_id_in_the_middle_has_its_lag(lab: Any) -> None:
    entries = lab.add(6)
    lab.join(at=entries[3])
    assert lab.client.xinfo_groups(lab.commands)[0]["lag"] is None
    assert lab.group().lag == Lag.exactly(2)


def test_a_group_made_at_an_id_that_never_was_has_its_lag(lab: Any) -> None:
    entries = lab.add(6)
    lab.join(at=f"{entries[5].split('-', maxsplit=1)[0]}-999")
    assert lab.group().lag == Lag.exactly(0)
    lab.client.xgroup_setid(lab.commands, lab.service.group, "1-1")
    assert lab.group().lag == Lag.exactly(6)


def test_entries_that_a_cap_has_cut_off_are_no_lag(lab: Any) -> None:
    lab.join()
    lab.add(10)
    lab.read(2)
    lab.client.xtrim(lab.commands, maxlen=3, approximate=False)
    assert lab.group().lag == Lag.exactly(3)
    lab.read(1)
    assert lab.group().lag == Lag.exactly(2)


def test_too_many_to_count_is_unknown_with_what_is_known(lab: Any) -> None:
    lab.join()
    entries = lab.add(30)
    lab.read(2)
    lab.client.xdel(lab.commands, entries[10])
    lag = lab.group(count_limit=20).lag
    assert (lag.entries, lag.at_least) == (None, 20)
    assert "XDEL" in lag.why_unknown
    assert "HEALTH_COUNT_LIMIT=20" in lag.why_unknown
    assert lab.group(count_limit=100).lag == Lag.exactly(27)


def test_without_the_function_library_it_is_unknown_and_no_0(lab: Any) -> None:
    lab.join()
    entries = lab.add(6)
    lab.read(2)
    lab.client.xdel(lab.commands, entries[3])
    lab.client.function_delete(LIBRARY)
    lag = lab.group().lag
    assert (lag.entries, lag.at_least) == (None, 1)
    assert "function library is missing" in lag.why_unknown


@pytest.mark.parametrize("seed", range(8))
def test_a_known_lag_is_what_is_there_after_any_adds_reads_deletes_and_trims(lab: Any, seed: int) -> None:
    chance = random.Random(seed)
    lab.join()
    entries = lab.add(chance.randrange(1, 12))
    for _ in range(25):
        step = chance.choice(["add", "read", "delete", "trim", "set"])
        if step == "add":
            entries += lab.add(chance.randrange(1, 6))
        elif step == "read":
            lab.read(chance.randrange(1, 4))
        elif step == "delete":
            lab.client.xdel(lab.commands, *chance.sample(entries, min(2, len(entries))))
        elif step == "trim":  # as the safe trim does
            last = lab.client.xinfo_groups(lab.commands)[0]["last-delivered-id"]
            lab.client.xtrim(lab.commands, minid=last, approximate=False)
        elif chance.random() < 0.3:
            lab.client.xgroup_setid(lab.commands, lab.service.group, chance.choice(entries))
        assert lab.group().lag == Lag.exactly(unread(lab)), step


def test_the_age_of_the_oldest_unread_entry_is_told(lab: Any, redis_client: redis.Redis) -> None:
    seconds, _ = redis_client.time()
    redis_client.xadd(lab.commands, {"n": "0"}, id=f"{(seconds - 600) * 1000}-0")
    redis_client.xadd(lab.commands, {"n": "1"}, id=f"{(seconds - 60) * 1000}-0")
    lab.join()
    assert 600 <= (lab.group().oldest_unread_age_seconds or 0) < 660
    lab.read(1)
    group = lab.group()
    assert 60 <= (group.oldest_unread_age_seconds or 0) < 120
    assert 600 <= (group.oldest_pending_age_seconds or 0) < 660
    lab.read(1)
    assert lab.group().oldest_unread_age_seconds is None


def test_an_id_that_somebody_made_up_has_no_age(lab: Any) -> None:
    lab.client.xadd(lab.commands, {"n": "0"}, id="5-1")
    lab.join()
    assert lab.group().oldest_unread_age_seconds is None
    assert lab.look().stream(lab.service.commands).oldest_age_seconds is None


def test_check_consumer_lag_lists_each_group_of_each_stream(lab: Any) -> None:
    lab.join()
    lab.join(stream=lab.results, group="management_consumers")
    lab.add(4)
    lab.add(2, lab.results)
    lab.read(1)
    found = {(lag.stream, lag.group): (lag.lag.entries, lag.pending, lag.consumers_alive) for lag in check_consumer_lag(lab.deployment)}
    assert found == {(lab.service.commands, lab.service.group): (3, 1, 1), (lab.service.results, "management_consumers"): (2, 0, 0)}
