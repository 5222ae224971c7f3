"""In CI a skipped test is a failure, unless `allowed_skips.txt` says why it may be skipped."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


def read_allowed(path: Path) -> list[re.Pattern[str]]:
    """The patterns of the file: one a line, matched anywhere in a skip's reason; '#' begins the explanation that each needs."""
    patterns = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        pattern, _, why = line.partition("#")
        if not pattern.strip():
            continue
        if not why.strip():
            raise pytest.UsageError(f"{path.name}:{number}: a skip needs an explanation after '#'")
        patterns.append(re.compile(pattern.strip()))
    return patterns


class UnexpectedSkips:
    """A pytest plugin: makes the session fail for each skip that nobody allowed."""

    def __init__(self, allowed: list[re.Pattern[str]]) -> None:
        self.allowed = allowed
        self.unexpected: dict[str, str] = {}

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self._look_at(report)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._look_at(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexpected and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unexpected:
            terminalreporter.section("unexpected skips", red=True)
            for test, reason in self.unexpected.items():
                terminalreporter.write_line(f"{test}: {reason}")
            terminalreporter.write_line(f"Make them run, or allow them with a reason in {ALLOWED.name}.")

    def _look_at(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped:
            return
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not any(pattern.search(reason) for pattern in self.allowed):
            self.unexpected[report.nodeid] = reason


def register(config: pytest.Config, allowed: Path = ALLOWED) -> None:
    """Where `CI` is set: a laptop without the real candles may skip, CI may not."""
    if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        config.pluginmanager.register(UnexpectedSkips(read_allowed(allowed)), "unexpected-skips")
