"""Names: one grammar, one module, one prefix in front of all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.bus.topology import PLAIN, SERVICES, Keys, RedisStreamsConfig, Service, dead_letters_of, may_be_capped, service
from streams.errors import UnknownLane, UnknownService

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("constant", "name"),
    [
        (RedisStreamsConfig.MGMT_TRADING_COMMANDS, "mgmt:trading:commands"),
        (RedisStreamsConfig.TRADING_MGMT_STATUS, "trading:mgmt:status"),
        (RedisStreamsConfig.TRADING_INSTANCES, "trading_instances"),
        (RedisStreamsConfig.MGMT_BACKTESTING_COMMANDS, "mgmt:backtesting:commands"),
        (RedisStreamsConfig.BACKTESTING_MGMT_RESULTS, "backtesting:mgmt:results"),
        (RedisStreamsConfig.BACKTESTING_STATUS, "backtesting:status"),
        (RedisStreamsConfig.BACKTESTING_MGMT_DEAD_LETTERS, "backtesting:mgmt:dead_letters"),
        (RedisStreamsConfig.BACKTESTING_WORKERS, "backtesting_workers"),
        (RedisStreamsConfig.FREQAI_STATUS, "freqai:status"),
        (RedisStreamsConfig.SYSTEM_EVENTS, "system:events"),
    ],
)
def test_the_names_are_those_of_the_design(constant: str, name: str) -> None:
    assert constant == name


def test_every_stream_follows_the_grammar() -> None:
    for each in (*SERVICES.values(), Service.named("render")):
        for stream in (each.commands, each.results, each.status, each.dead_letters):
            assert re.fullmatch(r"[a-z]+(:[a-z]+)?:(commands|results|status|dead_letters)", stream)


def test_an_unknown_service_is_told_with_the_known_ones() -> None:
    with pytest.raises(UnknownService, match=r"'backtest'.*backtesting, data, freqai"):
        service("backtest")


def test_each_lane_is_a_stream_of_its_own_and_the_last_is_the_default() -> None:
    lanes = Service.named("render", lanes=("urgent", "normal"))
    assert lanes.command_streams == ("mgmt:render:commands:urgent", "mgmt:render:commands:normal")
    assert [lanes.command_stream(name) for name in ("urgent", "normal", None)] == [*lanes.command_streams, "mgmt:render:commands:normal"]
    with pytest.raises(UnknownLane, match="no lane 'slow'; its lanes: urgent, normal"):
        lanes.command_stream("slow")


def test_the_plain_stream_may_be_one_of_the_lanes_and_is_the_default_then() -> None:
    lanes = Service.named("render", lanes=("urgent", PLAIN, "bulk"))
    assert lanes.command_streams == ("mgmt:render:commands:urgent", "mgmt:render:commands", "mgmt:render:commands:bulk")
    assert [lanes.command_stream(name) for name in (None, PLAIN, "bulk")] == [lanes.commands, lanes.commands, "mgmt:render:commands:bulk"]
    with pytest.raises(UnknownLane, match="no lane 'slow'; its lanes: urgent, bulk"):
        lanes.command_stream("slow")


def test_backtests_come_on_the_plain_stream_unless_they_are_urgent_or_bulk() -> None:
    backtesting = service("backtesting")
    assert backtesting.command_stream() == "mgmt:backtesting:commands" == RedisStreamsConfig.MGMT_BACKTESTING_COMMANDS
    assert backtesting.command_streams.index(backtesting.command_stream("bulk")) == 2


def test_without_lanes_there_is_one_stream() -> None:
    plain = Service.named("render")
    assert (plain.command_streams, plain.command_stream()) == (("mgmt:render:commands",), "mgmt:render:commands")
    with pytest.raises(UnknownLane, match="it has none"):
        plain.command_stream("normal")


def test_every_key_starts_with_the_prefix() -> None:
    keys = Keys("{prod}:")
    built = [
        keys.stream("a"),
        keys.job("p"),
        keys.run("s", "p"),
        keys.task("t"),
        keys.cancel_flag("t"),
        keys.open_jobs,
        keys.delayed("s"),
        keys.superseded,
        keys.sent("a", "k"),
    ]
    assert all(key.startswith("{prod}:") for key in (*built, keys.mark("t")))
    assert len(set(built)) == len(built)


def test_no_other_module_spells_a_stream_name() -> None:
    spelled = re.compile(
        r"""["'](mgmt:[a-z]+:commands|[a-z]+:mgmt:(results|status|dead_letters)|[a-z]+:status|(job|run|task|mark|cancel|delayed):\{)"""
    )
    for file in (file for package in ("streams", "bridge", "workers", "tasks") for file in (ROOT / package).rglob("*.py")):
        if file.name != "topology.py":
            assert not spelled.search(file.read_text()), f"{file} spells a name of its own"


@pytest.mark.parametrize(
    ("stream", "dead_letters"),
    [
        (RedisStreamsConfig.MGMT_TRADING_COMMANDS, RedisStreamsConfig.TRADING_MGMT_DEAD_LETTERS),
        ("mgmt:elsewhere:commands", "mgmt:elsewhere:dead_letters"),
        ("trading:mgmt:status", "trading:mgmt:dead_letters"),
        ("system:events", "system:events:dead_letters"),
        ("anything", "anything:dead_letters"),
    ],
)
def test_each_stream_has_a_place_for_its_dead_letters(stream: str, dead_letters: str) -> None:
    assert dead_letters_of(stream) == dead_letters


def test_only_news_may_be_capped() -> None:
    for each in SERVICES.values():
        assert [may_be_capped(name) for name in (each.commands, each.results, each.dead_letters, each.status)] == [False, False, False, True]
    assert may_be_capped(RedisStreamsConfig.SYSTEM_EVENTS)
    assert not may_be_capped("mgmt:lab:commands:urgent")
