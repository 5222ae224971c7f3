"""A log over its limit keeps its head and its tail, says what was cut, and is written on meanwhile."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from workers.log_cap import LogCap

LIMIT = 8_000


@pytest.fixture
def log(tmp_path: Path) -> LogCap:
    return LogCap(tmp_path / "job.log", LIMIT)


def append(log: LogCap, first: int, last: int) -> None:
    with log.file.open("a") as file:
        file.writelines(f"line {number:06}\n" for number in range(first, last))


def notices(log: LogCap) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(r"--- ([\d,]+) bytes of this log were cut here", log.file.read_text())]


def test_below_the_limit_it_is_left_alone(log: LogCap) -> None:
    assert not log.exceeded()  # not there yet
    append(log, 0, 100)
    assert not log.exceeded()


def test_head_and_tail_stay_and_what_went_is_counted(log: LogCap) -> None:
    append(log, 0, 5_000)
    before = log.file.stat().st_size
    assert log.exceeded()
    cut = log.cut()
    text = log.file.read_text()
    assert text.startswith("line 000000\n")
    assert text.endswith("line 004999\n")
    assert [cut] == notices(log)
    notice = re.search(r"\n--- .* ---\n", text)
    assert notice is not None
    assert before == cut + len(text) - len(notice[0])
    assert len(text) < LIMIT
    assert all(re.fullmatch(r"line \d{6}", line) for line in text.replace(notice[0], "").splitlines())


def test_cut_again_and_again_it_stays_below_and_the_sum_is_right(log: LogCap) -> None:
    total = 0
    for part in range(20):
        append(log, part * 1_000, (part + 1) * 1_000)
        if log.exceeded():
            total += log.cut()
    assert log.file.stat().st_size < LIMIT
    assert [total] == notices(log)
    assert log.file.read_text().endswith("line 019999\n")


def test_whoever_has_it_open_for_appending_goes_on(log: LogCap) -> None:
    fd = os.open(log.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(fd, b"x" * 100 + b"\n" + b"y" * LIMIT + b"\n")
        log.cut()
        os.write(fd, b"the end\n")
    finally:
        os.close(fd)
    text = log.file.read_text()
    assert text.endswith("the end\n")
    assert "\0" not in text


def test_one_endless_line_is_cut_too(log: LogCap) -> None:
    log.file.write_text("x" * 10 * LIMIT)
    log.cut()
    assert log.file.stat().st_size < LIMIT
