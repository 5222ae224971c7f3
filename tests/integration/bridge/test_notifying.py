"""How people are told: by a real HTTP server that gets apprise's messages, grouped, at most one at a time, and never in anybody's way."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from bridge import connect
from bridge.connection import Connection
from bridge.errors import DeadLettered, PoisonCommand, UncertainOutcome
from bridge.notifications import notifying
from bridge.notifications.notices import SHOWN, Notice, group
from bridge.notifications.notifying import ROOM, TRIES, Notifier
from bridge.notifications.watching import VerdictWatch
from bridge.settings import BridgeSettings, Occasion
from streams.health import Thresholds
from tests.receiver import Receiver
from tests.waiting import wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


class Labels:
    """As a counter of prometheus-client."""

    def __init__(self, counts: Counter[str], what: str = "") -> None:
        self.counts, self.what = counts, what

    def labels(self, what: str) -> Labels:
        return Labels(self.counts, what)

    def inc(self, number: int) -> None:
        self.counts[self.what] += number


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The loggers that a process which tells people silences."""
    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3.connectionpool")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def started(redis_url: str, prefix: str, counts: Counter[str]) -> Iterator[Any]:
    """`start(**settings)` of a process that tells people."""

    def start(**settings: Any) -> None:
        app = connect(Celery("told", set_as_current=False), BridgeSettings(redis_url=redis_url, streams_prefix=prefix, **settings))
        notifying.start(Connection.of(app), Labels(counts))

    yield start
    notifying.stop()


def failed(number: int, about: str = "lab.run: ValueError") -> Notice:
    return Notice(Occasion.FAILED, about, f"task-{number}: broken")


def test_what_goes_wrong_together_is_one_message(started: Any, receiver: Receiver, counts: Counter[str]) -> None:
    started(notify_urls=receiver.url, notify_every_seconds=3600)
    for number in range(20):
        notifying.tell_failed("lab.run", f"task-{number}", ValueError("broken"))
    notifying.tell_dead_letter("lab", "task-x", "poison", "it died")
    wait_until(lambda: receiver.messages)
    (message,) = receiver.messages
    assert "1 dead letters, 20 failed tasks" in message["title"]
    assert "20 x lab.run: ValueError" in message["message"]
    assert "task-0: broken" in message["message"]
    assert f"and {20 - SHOWN} more" in message["message"]
    assert "1 x lab: poison" in message["message"]
    wait_until(lambda: counts["told"] == 21)


def test_there_is_at_most_one_message_in_the_time_that_is_set(started: Any, receiver: Receiver) -> None:
    started(notify_urls=receiver.url, notify_every_seconds=3600)
    notifying.tell(failed(1))
    wait_until(lambda: receiver.messages)
    notifying.tell(failed(2))
    notifying.tell(failed(3))
    notifying.stop()  # tells the rest
    assert [message["title"].rpartition(": ")[2] for message in receiver.messages] == ["1 failed tasks", "2 failed tasks"]


def test_what_comes_while_a_message_is_being_sent_is_told_before_the_end(started: Any, receiver: Receiver, counts: Counter[str]) -> None:
    receiver.may_answer.clear()  # the service takes its time
    started(notify_urls=receiver.url, notify_every_seconds=3600)
    notifying.tell(failed(1))
    assert receiver.asked.wait(10)
    notifying.tell(failed(2))
    threading.Timer(0.5, receiver.may_answer.set).start()
    notifying.stop()
    assert [message["title"].rpartition(": ")[2] for message in receiver.messages] == ["1 failed tasks", "1 failed tasks"]
    assert counts == {"told": 2}


def test_people_are_told_of_what_they_want_to_know_only(started: Any, receiver: Receiver) -> None:
    started(notify_urls=receiver.url, notify_every_seconds=0, notify_on="dead_lettered")
    notifying.tell_failed("lab.run", "t1", ValueError("broken"))
    notifying.tell_dead_letter("lab", "t2", "poison", "it died")
    notifying.stop()
    assert ["1 dead letters" in message["title"] for message in receiver.messages] == [True]
    assert "failed" not in receiver.messages[0]["title"]


@pytest.mark.parametrize("kind", [DeadLettered, PoisonCommand, UncertainOutcome])
def test_a_dead_letter_is_not_told_of_twice(kind: type[DeadLettered], started: Any, receiver: Receiver) -> None:
    started(notify_urls=receiver.url, notify_every_seconds=0)
    notifying.tell_failed("lab.run", "t1", kind("exhausted", "x", 3, "1-0"))
    notifying.tell_dead_letter("lab", "t1", "exhausted", "x")
    notifying.stop()
    assert [message["title"].rpartition(": ")[2] for message in receiver.messages] == ["1 dead letters"]


def test_nobody_is_told_by_default(started: Any, receiver: Receiver) -> None:
    started()
    notifying.tell(failed(1))
    assert notifying._notifier is None
    assert notifying._watch is None


def test_whoever_tells_never_waits_and_what_there_is_no_room_for_is_counted(started: Any, receiver: Receiver, counts: Counter[str]) -> None:
    receiver.may_answer.clear()  # the service hangs
    started(notify_urls=receiver.url, notify_every_seconds=0)
    notifying.tell(failed(0))
    assert receiver.asked.wait(20)
    for number in range(ROOM + 7):
        notifying.tell(failed(number))
    assert counts["dropped"] == 7
    assert receiver.messages == []  # all of this while the first is still on its way
    receiver.may_answer.set()
    wait_until(lambda: len(receiver.messages) == 2)
    assert f"{ROOM} failed tasks" in receiver.messages[1]["title"]
    assert "7 others for which there was no room" in receiver.messages[1]["message"]


def test_what_cannot_be_sent_is_sent_again_and_dropped_in_the_end(receiver: Receiver, counts: Counter[str], started: Any) -> None:
    receiver.status = 500
    started(notify_urls=receiver.url, notify_every_seconds=0.01)
    notifying.tell(failed(1))
    wait_until(lambda: counts["dropped"] == 1)
    receiver.status = 200
    notifying.tell(failed(2))
    wait_until(lambda: receiver.messages)
    assert "1 others for which there was no room" in receiver.messages[0]["message"]
    wait_until(lambda: counts["told"] == 1)


def test_a_message_that_fails_once_is_told_with_the_next() -> None:
    tries: list[str] = []
    counts: Counter[str] = Counter()

    def send(message: Any) -> bool:
        tries.append(message.title)
        if len(tries) < TRIES:
            raise OSError("no route")
        return True

    notifier = Notifier(send, every_seconds=0.01, count=lambda what, number: counts.update({what: number}))
    notifier.tell(failed(1))
    wait_until(lambda: counts["told"] == 1)
    notifier.stop()
    assert len(tries) == TRIES
    assert counts["dropped"] == 0


def test_the_secrets_of_a_url_are_in_no_log(started: Any, receiver: Receiver, caplog: pytest.LogCaptureFixture, counts: Counter[str]) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.status = 500
    started(notify_urls=f"{receiver.url},nosuchservice://hunter2", notify_every_seconds=0.01)
    notifying.tell(failed(1))
    wait_until(lambda: counts["dropped"] == 1)
    notifying.stop()
    assert "NOTIFY_URLS: apprise can't use URL number 2 (nosuchservice://...)" in caplog.text
    assert "notices go to 1 of the 2 NOTIFY_URLS" in caplog.text
    assert "a notice can't be sent" in caplog.text
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(BridgeSettings(notify_urls=receiver.url))


def test_each_of_several_urls_gets_the_message(started: Any, receiver: Receiver) -> None:
    second = Receiver()
    try:
        started(notify_urls=f" {receiver.url}?+X-Tags=a,b ,\n{second.url},", notify_every_seconds=0)
        notifying.tell(failed(1))
        wait_until(lambda: receiver.messages and second.messages)
    finally:
        second.close()


def test_a_word_that_is_no_occasion_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_ON", "failed, critical")
    assert BridgeSettings.load().notify_on == (Occasion.FAILED, Occasion.CRITICAL)
    monkeypatch.setenv("NOTIFY_ON", "failed,everything")
    with pytest.raises(Exception, match="NOTIFY_ON"):
        BridgeSettings.load()


def test_long_texts_are_one_line_each() -> None:
    message = group([Notice(Occasion.FAILED, "lab.run: ValueError", "t1: " + "line\n" * 1_000)])
    assert len(message.body.splitlines()) == 2
    assert len(message.body) < 400


# ---------------------------------------------------------------------------------------------------------------------------- the verdict


@pytest.fixture
def watched(redis_url: str, prefix: str) -> Iterator[Any]:
    """`watch()` gives a bridge that watches, and what it tells."""
    watches: list[VerdictWatch] = []

    def watch(url: str = redis_url) -> list[Notice]:
        told: list[Notice] = []
        app = connect(Celery("watching", set_as_current=False), BridgeSettings(redis_url=url, streams_prefix=prefix))
        thresholds = Thresholds(nobody_seconds=0, require_aof=False)
        watches.append(VerdictWatch(Connection.of(app), told.append, every_seconds=0.02, thresholds=thresholds))
        return told

    yield watch
    for each in watches:
        each.stop()


def test_one_of_several_bridges_tells_that_it_is_critical_and_that_it_is_over(watched: Any, redis_client: redis.Redis, prefix: str) -> None:
    told = [watched(), watched(), watched()]

    def all_of(occasion: Occasion) -> list[Notice]:
        return [notice for each in told for notice in each if notice.occasion is occasion]

    redis_client.set(f"{prefix}trading:mgmt:results", "no stream")
    wait_until(lambda: all_of(Occasion.CRITICAL))
    (critical,) = all_of(Occasion.CRITICAL)
    assert critical.about == "not_a_stream: trading:mgmt:results"
    assert "Type: redis-cli TYPE" in critical.detail
    assert redis_client.ttl(f"{prefix}told:critical") > 0
    redis_client.delete(f"{prefix}trading:mgmt:results")
    wait_until(lambda: all_of(Occasion.RECOVERED))
    redis_client.set(f"{prefix}trading:mgmt:results", "again")
    wait_until(lambda: len(all_of(Occasion.CRITICAL)) == 2)
    assert len(all_of(Occasion.RECOVERED)) == 1


def test_a_server_that_is_away_is_told_of_too(watched: Any) -> None:
    told = watched("redis://127.0.0.1:1/0")
    wait_until(lambda: told)
    assert [(notice.occasion, notice.about) for notice in told] == [(Occasion.CRITICAL, "the streams' server")]
