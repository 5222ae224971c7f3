"""The result of a run as a page: `docs/chaos.md`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.faults import WEIGHTS
from tests.chaos.judging import Judged, Verdict, Violation
from tests.chaos.striking import Struck

RECOVERY = """\
How recovery is measured: from the moment of the fault, so that the fault's own length (column "lasted") is in it, until what the part had in hand just then is in good hands again:
**stream worker**: each job that ran in it is taken up by somebody, put off, or has its result, or, where the worker wasn't killed, its lease is renewed again; **bridge**: each result that
it held is acknowledged; **Celery worker**: each message that was unacknowledged and not dispatched is dispatched (those of both workers: the broker doesn't tell whose they are);
**Redis**: the first job ends after it answers again. The driver looks every 0.1 s. Faults overlap: another one that comes before the recovery from the first one prolongs it."""

KNOWN_LIMITS = """\
What is kept out, as it isn't ours: Celery's messages are on a broker of their own that nothing happens to, and a Celery worker is killed when it has no message in hand that the broker doesn't know
of: kombu's Redis transport loses such a one (see [guarantees.md](guarantees.md)). Links, errbacks and bodies are bridged tasks: an ordinary one as a link runs at least once. When a fault strikes, at least one
other process of that part is whole. A revoke that is sent as Celery's broadcast may not be heard: whether it was is read from the ledger; what `cancel_task` answered is taken at its word."""


@dataclass(frozen=True)
class Report:
    """Everything that the page says."""

    command: str
    seed: int
    commit: str
    machine: str
    server: str
    faults_seconds: float
    whole_seconds: float
    judged: Sequence[Judged]
    units: Counter[str]
    struck: Sequence[Struck]
    orphan_processes: Sequence[str]
    orphan_keys: Sequence[str]
    left: dict[str, int]
    ended_by_themselves: Sequence[str]
    runs: int
    overlaps: Sequence[float]
    lives_after_waking: Sequence[float]
    notices: dict[str, int]
    redriven: int
    discarded: int

    @property
    def violations(self) -> Counter[Violation]:
        return Counter(violation for each in self.judged for violation in each.violations)

    @property
    def is_clean(self) -> bool:
        """Every number that must be 0 is."""
        return not (self.violations or self.orphan_processes or self.orphan_keys or self.left or self.ended_by_themselves)


def page(report: Report) -> str:
    """The whole page, as Markdown."""
    recoveries = [each.recovered_seconds for each in report.struck if each.recovered_seconds is not None]
    lines = [
        "# Chaos scorecard",
        "",
        "Written by the command below; the driver is `tests/chaos`. Real processes: three stream workers with four slots each, three bridges, two Celery workers; a lease of 2 s.",
        "While jobs are sent, parts are killed, stopped and cut off at random, several at a time, and started again as a supervisor does.",
        "",
        "| | |",
        "|---|---|",
        f"| command | `{report.command}` |",
        f"| seed, commit | {report.seed}, {report.commit} |",
        f"| machine, server | {report.machine}; {report.server} |",
        f"| duration | {report.whole_seconds:.0f} s, faults over {report.faults_seconds:.0f} s of it |",
        f"| jobs, faults | {len(report.judged)} jobs ({report.runs} runs), {len(report.struck)} faults |",
        "",
        "## What must be 0",
        "",
        "| | |",
        "|---|---|",
        *(f"| {violation.value} | {_zero(report.violations[violation])} |" for violation in Violation),
        f"| orphan processes left | {_zero(len(report.orphan_processes))} |",
        f"| orphan keys left (without a TTL) | {_zero(len(report.orphan_keys))} |",
        f"| messages, open jobs or results left | {_zero(sum(report.left.values()))} |",
        f"| processes that ended by themselves | {_zero(len(report.ended_by_themselves))} |",
        "",
        "## Faults by kind",
        "",
        "In each row: the jobs that the part had in hand when it was hit (Redis: all open ones), and what came of them. A job may be in several rows; the last one counts each job once.",
        "",
        "| part | fault | faults | lasted s, p50 | jobs | succeeded | failed, cancelled as they should | used up | lost | twice | wrong | cancel, then SUCCESS | recovery s, p50 | max |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        *_rows(report),
        f"| **all** | | **{len(report.struck)}** | | **{len(report.judged)}** | {_counts(report.judged)} | {_p50(recoveries)} | {_max(recoveries)} |",
        "",
        RECOVERY,
        "",
        f"Used up: a job that faults hit so often that its deliveries ({_most_deliveries()}) were used up, which has to be a dead letter then, and what waited for it.",
        "",
        "## What was recognised",
        "",
        "| | |",
        "|---|---|",
        f"| overlapping runs | {len(report.overlaps)}; together {sum(report.overlaps):.1f} s, the longest {max(report.overlaps, default=0):.1f} s |",
        f"| runs of stopped workers that went on after SIGCONT while another had the job | {len(report.lives_after_waking)}; the longest {max(report.lives_after_waking, default=0):.1f} s |",
        *(f"| {what} | {number} |" for what, number in report.notices.items()),
        f"| dead letters redriven (each twice: the second time it must do nothing), discarded | {report.redriven}, {report.discarded} |",
        "",
        "A lease can't forbid that two runs of a job overlap: a worker that stands still or is cut off doesn't know that it has lost the job. It stops at its first refused heartbeat, and its result is refused.",
        "",
        "## The jobs",
        "",
        "| sent | how often |",
        "|---|--:|",
        *(f"| {kind} | {number} |" for kind, number in sorted(report.units.items(), key=lambda item: -item[1])),
        "",
        KNOWN_LIMITS,
        "",
    ]
    return "\n".join(lines)


def complaints(report: Report) -> list[str]:
    """Everything that isn't 0, one line each."""
    return [
        *(
            f"{', '.join(each.violations)}: {each.job.id} ({each.job.outcome}, value {each.job.value}, publishes <= {each.job.most_publishes}): {each.facts}"
            for each in report.judged
            if each.violations
        ),
        *(f"orphan process: {each}" for each in report.orphan_processes),
        *(f"orphan key: {each}" for each in report.orphan_keys),
        *(f"left: {number} {what}" for what, number in report.left.items()),
        *report.ended_by_themselves,
    ]


def _rows(report: Report) -> Iterable[str]:
    by_id = {each.job.id: each for each in report.judged}
    for part, harm in WEIGHTS:
        struck = [each for each in report.struck if each.fault.kind == (part, harm)]
        if struck:
            hit = [by_id[task_id] for task_id in sorted({task_id for each in struck for task_id in each.in_hand}) if task_id in by_id]
            times = [each.recovered_seconds for each in struck if each.recovered_seconds is not None]
            lasted = [each.ended - each.began for each in struck if each.ended is not None]
            yield f"| {part} | {harm} | {len(struck)} | {_p50(lasted)} | {len(hit)} | {_counts(hit)} | {_p50(times)} | {_max(times)} |"


def _counts(judged: Sequence[Judged]) -> str:
    verdicts = Counter(each.verdict for each in judged)
    violations = Counter(violation for each in judged for violation in each.violations)
    numbers = [verdicts[Verdict.SUCCEEDED], verdicts[Verdict.FAILED] + verdicts[Verdict.REVOKED], verdicts[Verdict.USED_UP]]
    return " | ".join([*map(str, numbers), *(_zero(violations[each]) for each in Violation)])


def _zero(number: int) -> str:
    return "0" if number == 0 else f"**{number}**"


def _p50(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.1f}" if seconds else "-"


def _max(seconds: Sequence[float]) -> str:
    return f"{max(seconds):.1f}" if seconds else "-"


def _most_deliveries() -> int:
    from tests.chaos.workload import MAX_DELIVERIES

    return MAX_DELIVERIES
