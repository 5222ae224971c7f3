"""How errors and exits are put into words."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.jobs.messages import JobErrorInfo
from workers.errors import BadRequest, JobFailure, Retryable
from workers.outcome import bounded, describe_error, describe_exit, is_retryable, shortened


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Retryable("x"), True),
        (ConnectionResetError(), True),
        (OSError(errno.ENOSPC, "disk full"), True),
        (OSError(errno.EDQUOT, "quota"), True),
        (TimeoutError(errno.ETIMEDOUT, "connect"), True),
        (OSError(errno.EHOSTUNREACH, "no route"), True),
        (socket.gaierror(socket.EAI_AGAIN, "name server"), True),
        (socket.gaierror(socket.EAI_NONAME, "no such host"), False),
        (TimeoutError(), False),
        (OSError(errno.ENOENT, "not there"), False),
        (JobFailure("x"), False),
        (BadRequest("x"), False),
        (MemoryError(), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_only_passing_troubles_are_retryable(error: BaseException, expected: bool) -> None:
    assert expected == is_retryable(error)


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (3, "", "exit status 3"),
        (-9, "", "killed by signal 9 (SIGKILL): out of memory?"),
        (-9, "by its worker", "killed by signal 9 (SIGKILL): by its worker"),
        (-11, "", "killed by signal 11 (SIGSEGV)"),
        (-99, "", "killed by signal 99 (unknown)"),
    ],
)
def test_an_exit_status_in_words(status: int, reason: str, words: str) -> None:
    assert words == describe_exit(status, expected_kill=reason)


def test_an_error_without_a_message_of_its_own_is_still_described() -> None:
    described = describe_error(MuteError())
    assert described.type == "MuteError"
    assert described.message == "(its __str__ raised RuntimeError)"


def test_an_error_that_is_its_own_cause_is_described() -> None:
    error = ValueError("round")
    error.__cause__ = error
    assert "round" in describe_error(error).traceback


@given(st.text(st.characters(), max_size=400), st.integers(min_value=2, max_value=100))
def test_shortened_text_keeps_head_and_tail_and_is_utf8(text: str, limit: int) -> None:
    short = shortened(text, limit)
    short.encode()
    if len(text) <= limit and text.isprintable():
        assert text == short
    if len(text) > limit and text.isascii():
        assert short.startswith(text[: limit // 2])
        assert short.endswith(text[-(limit // 2) :])


def test_lone_surrogates_become_escapes() -> None:
    assert shortened("a\udcffb") == "a\\udcffb"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), []),
        (("a", 1, 2.5, None, True, ["x"], {"key": {"nested": [1]}}), ["a", 1, 2.5, None, True, ["x"], {"key": {"nested": [1]}}]),
        ((object(),), None),
        ((float("nan"),), None),
        (((1, 2),), None),
        (({1: "not a string"},), None),
        (("\udcff",), None),
        ((2**70,), None),
        (("x" * 10_000,), None),
    ],
)
def test_arguments_travel_when_they_are_small_and_plain(args: tuple[object, ...], told: list[object] | None) -> None:
    described = describe_error(ValueError(*args))
    assert told == described.args
    assert told == bounded(described).args


def test_arguments_that_a_job_wrote_to_its_own_socket_are_bounded_too() -> None:
    assert bounded(JobErrorInfo(type="E", args=["x" * 10_000])).args is None
