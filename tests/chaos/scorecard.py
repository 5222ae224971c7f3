"""The result of a run as a page: `docs/chaos.md`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.acceptance.stack import LEASE_SECONDS
from tests.chaos.chaos_stack import BRIDGES, CELERY_WORKERS, SLOTS, WORKERS
from tests.chaos.driver import PATIENCE_SECONDS
from tests.chaos.faults import WEIGHTS
from tests.chaos.judging import Judged, Verdict, Violation
from tests.chaos.report import Report
from tests.chaos.striking import Struck
from tests.chaos.workload import MAX_DELIVERIES

SLOWEST = 5
RECOVERY = """\
How recovery is measured: from the moment of the fault, so that the fault's own length (column "lasted") is in it, until what the part had in hand just then is in good hands again:
**stream worker**: each job that ran in it is taken up by somebody, put off, or has its result, or, where the worker wasn't killed, its lease is renewed again; **bridge**: each result that
it held is acknowledged; **Celery worker**: each message that was unacknowledged and not dispatched is dispatched (those of both workers: the broker doesn't tell whose they are);
**Redis**: the first job ends after it answers again. The driver looks every 0.1 s. Faults overlap: another one that comes before the recovery from the first one prolongs it."""

KNOWN_LIMITS = """\
What is kept out, as it isn't ours: Celery's messages are on a broker of their own that nothing happens to, and a Celery worker is killed when it has no message in hand that the broker doesn't know
of: kombu's Redis transport loses such a one (see [guarantees.md](guarantees.md)). Links, errbacks and bodies are bridged tasks: an ordinary one as a link runs at least once. When a fault strikes, at least one
other process of that part is whole. A revoke that is sent as Celery's broadcast may not be heard: whether it was is read from the ledger; what `cancel_task` answered is taken at its word."""


def page(report: Report) -> str:
    """The whole page, as Markdown."""
    sections = (_about, _zeros, _faults, _slowest, _recognised, _jobs)
    return "\n".join([*(line for section in sections for line in (*section(report), "")), KNOWN_LIMITS, ""])


def _about(report: Report) -> Iterable[str]:
    yield "# Chaos scorecard"
    yield ""
    yield f"Written by the command below; the driver is `tests/chaos`. Real processes: {WORKERS} stream workers with {SLOTS} slots each, {BRIDGES} bridges, {CELERY_WORKERS} Celery workers;"
    yield f"a lease of {LEASE_SECONDS:g} s. While jobs are sent, parts are killed, stopped and cut off at random, several at a time, and started again as a supervisor does. A fault waits some"
    yield f"{PATIENCE_SECONDS:g} s for a moment at which a part of its kind has something in hand."
    yield ""
    yield from _table(
        ("", ""),
        ("command", f"`{report.command}`"),
        ("seed, commit", f"{report.seed}, {report.commit}"),
        ("machine, server", f"{report.machine}; {report.server}"),
        ("duration", f"{report.whole_seconds:.0f} s, faults over {report.faults_seconds:.0f} s of it"),
        ("jobs, faults", f"{len(report.judged)} jobs ({report.runs} runs), {len(report.struck)} faults"),
    )


def _zeros(report: Report) -> Iterable[str]:
    yield "## What must be 0"
    yield ""
    yield from _table(
        ("", ""),
        *((violation.value, _zero(report.violations[violation])) for violation in Violation),
        ("orphan processes left", _zero(len(report.orphan_processes))),
        ("orphan keys left (without a TTL)", _zero(len(report.orphan_keys))),
        ("messages, open jobs or results left", _zero(sum(report.left.values()))),
        ("processes that ended by themselves", _zero(len(report.ended_by_themselves))),
    )


def _faults(report: Report) -> Iterable[str]:
    yield "## Faults by kind"
    yield ""
    yield "In each row: the jobs that the part had in hand when it was hit (Redis: all open ones), and what came of them. A job may be in several rows; the last one counts each job once."
    yield ""
    columns = (
        "part",
        "fault",
        "faults",
        "lasted s, p50",
        "jobs",
        *(verdict.value for verdict in Verdict),
        *(violation.value for violation in Violation),
    )
    by_id = {each.job.id: each for each in report.judged}
    rows = []
    for part, harm in WEIGHTS:
        struck = [each for each in report.struck if each.fault.kind == (part, harm)]
        hit = [by_id[task_id] for task_id in sorted({task_id for each in struck for task_id in each.in_hand}) if task_id in by_id]
        lasted = [each.ended - each.began for each in struck if each.ended is not None]
        if struck:
            rows.append((part.value, harm.value, len(struck), _p50(lasted), len(hit), *_counts(hit), *_recovery(struck)))
    everything = ("**all**", "", len(report.struck), "", len(report.judged), *_counts(report.judged), *_recovery(report.struck))
    yield from _table((*columns, "recovery s, p50", "max"), *rows, everything)
    yield ""
    yield RECOVERY
    yield ""
    yield f"Used up: a job that faults hit so often that its {MAX_DELIVERIES} deliveries were used up, which has to be a dead letter then, and what waited for it."


def _slowest(report: Report) -> Iterable[str]:
    """What came between explains most of them."""
    recovered = [(each, each.recovered_seconds) for each in report.struck if each.recovered_seconds is not None]
    yield "## The slowest recoveries"
    yield ""
    rows = []
    for struck, seconds in sorted(recovered, key=lambda pair: -pair[1])[:SLOWEST]:
        meanwhile = [each for each in report.struck if each is not struck and struck.began < each.began < struck.began + seconds]
        told = ", ".join(f"{each.target} {each.fault.harm}" for each in meanwhile)
        rows.append((f"{struck.target}: {struck.fault.harm}", f"{seconds:.1f}", ", ".join(sorted(struck.in_hand)[:SLOWEST]), told or "nothing"))
    yield from _table(("fault", "s", "had in hand, among others", "meanwhile"), *rows)


def _recognised(report: Report) -> Iterable[str]:
    lives, both = report.lives_after_waking, report.overlaps
    yield "## What was recognised"
    yield ""
    yield from _table(
        ("", ""),
        ("overlapping runs", f"{len(both)}; together {sum(both):.1f} s, the longest {max(both, default=0):.1f} s"),
        ("runs of stopped workers that went on after SIGCONT while another had the job", f"{len(lives)}; the longest {max(lives, default=0):.1f} s"),
        *report.notices.items(),
        ("dead letters redriven (each twice: the second time it must do nothing), discarded", f"{report.redriven}, {report.discarded}"),
    )
    yield ""
    yield "A lease can't forbid that two runs of a job overlap: a worker that stands still or is cut off doesn't know that it has lost the job. It stops at its first refused"
    yield "heartbeat, and its result is refused."


def _jobs(report: Report) -> Iterable[str]:
    yield "## The jobs"
    yield ""
    yield from _table(("sent", "how often"), *sorted(report.units.items(), key=lambda item: -item[1]))


def _table(*rows: Sequence[object]) -> Iterable[str]:
    head, *others = ("| " + " | ".join(map(str, row)) + " |" for row in rows)
    return [head, "|---" * len(rows[0]) + "|", *others]


def _counts(judged: Sequence[Judged]) -> Iterable[str]:
    verdicts = Counter(each.verdict for each in judged)
    violations = Counter(violation for each in judged for violation in each.violations)
    return [*(str(verdicts[each]) for each in Verdict), *(_zero(violations[each]) for each in Violation)]


def _recovery(struck: Sequence[Struck]) -> tuple[str, str]:
    seconds = [each.recovered_seconds for each in struck if each.recovered_seconds is not None]
    return _p50(seconds), f"{max(seconds):.1f}" if seconds else "-"


def _zero(number: int) -> str:
    return "0" if number == 0 else f"**{number}**"


def _p50(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.1f}" if seconds else "-"
