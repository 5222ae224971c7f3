"""The log keeps its head and its tail."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from workers.freqtrade.job_log import CappedLog

CAP = 10_000


def write(file: Path, lines: int) -> str:
    log = CappedLog(file, CAP)
    for number in range(lines):
        log.handle(logging.LogRecord("freqtrade", logging.INFO, "", 0, "line %06d", (number,), None))
    log.close()
    return file.read_text()


def test_short_log_is_whole(tmp_path: Path) -> None:
    text = write(tmp_path / "log", 20)
    assert [line[-6:] for line in text.splitlines()] == [f"{number:06d}" for number in range(20)]
    assert "cut" not in text


@pytest.mark.parametrize("lines", [150, 200, 300, 1_000, 10_000])
def test_long_log_says_how_much_was_cut(tmp_path: Path, lines: int) -> None:
    text = write(tmp_path / "log", lines)
    assert len(text) < CAP + 200
    assert "line 000000\n" in text
    assert text.endswith(f"line {lines - 1:06d}\n")
    kept = [line for line in text.splitlines() if "line " in line]
    size = len(kept[0]) + 1
    cut = (lines - len(kept)) * size
    assert (f"--- {cut} bytes of this log were cut here" in text) is (cut > 0)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_one_endless_line_does_not_break_the_limit(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "log", CAP)
    for letter in "abc":
        log.handle(logging.LogRecord("freqtrade", logging.INFO, "", 0, letter * 10 * CAP, None, None))
    log.close()
    assert (tmp_path / "log").stat().st_size <= CAP + 200


def test_a_line_that_cannot_be_formatted_fails_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = CappedLog(tmp_path / "log", CAP)
    log.handle(logging.LogRecord("freqtrade", logging.INFO, "", 0, "%d", ("text",), None))
    log.close()
    assert "Logging error" in capsys.readouterr().err
