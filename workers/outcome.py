"""How a job goes and ends, as values: `Progress` and `LogLine` on the way, then one `Outcome`."""

from __future__ import annotations

import errno
import signal
import socket
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from streams.bus.codec import decode_json, encode_json
from streams.jobs.messages import JobErrorInfo
from workers.errors import Retryable

MAX_PROGRESS_CHARS = 1_000
"""Of a progress message."""
MAX_ARGS_BYTES = 4 << 10
"""Of an exception's arguments as JSON."""
MAX_TEXT_CHARS = 64 << 10
"""Of an error's message and of its traceback: a failure must not be too large to be reported."""

PASSING_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, socket.EAI_AGAIN}
)
"""Of an OSError: a full disk or quota; a connection that is lost, or can't be made now, and has no class of its own."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The latest progress of a running job."""

    current: int
    total: int | None
    message: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that the job logged."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a child process used, as the kernel counted it: its own use and that of the descendants it waited for."""

    cpu_seconds: float
    peak_rss: int
    """Bytes; of the largest single process, not of the tree."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned."""

    data: orjson.Fragment
    """The result as the child encoded it: `encode_json` copies it into a message as it is, so that the parent never decodes megabytes."""
    usage: Usage | None = None

    def decoded(self) -> Any:
        """The result as plain dicts, lists, strings and numbers."""
        return decode_json(encode_json(self.data))


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised."""

    error: JobErrorInfo
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was stopped by `cancel()` or `stop()`."""

    reason: str
    killed: bool = False
    """True when it had to be stopped by a signal, so that it had no chance to clean up; or runs on, when it is a thread that nothing can stop."""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process ended without a word: killed, out of memory, a segmentation fault, `os._exit`, or its server died."""

    description: str
    """For people, such as "killed by signal 11 (SIGSEGV)" or "exit status 3"."""
    exit_status: int | None
    """As `subprocess` gives it, negative for a signal; None when it is unknown because the server died first."""
    log_tail: str
    """The last lines that this run wrote to its log."""
    usage: Usage | None = None

    def __str__(self) -> str:
        return f"{self.description}; its last output:\n{self.log_tail}" if self.log_tail else self.description


Outcome = Succeeded | Failed | Cancelled | Crashed


def describe_error(error: BaseException, *, without: tuple[str, ...] = ()) -> JobErrorInfo:
    """An exception as it travels: text, never a pickle. Its traceback holds the chain of causes.

    Args:
        error: the exception.
        without: source files, or folders of them, whose outermost frames say nothing about the job, and are left out.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None and frame.tb_frame.f_code.co_filename.startswith(without):
        frame = frame.tb_next
    error = error.with_traceback(frame)
    return JobErrorInfo(
        type=type(error).__qualname__,
        module=type(error).__module__,
        message=shortened(_message(error)),
        traceback=shortened("".join(traceback.format_exception(error))),
        retryable=is_retryable(error),
        args=_plain_args(error.args),
    )


def is_retryable(error: BaseException) -> bool:
    """True for a passing trouble: `Retryable`, a lost connection, a full disk."""
    return isinstance(error, Retryable | ConnectionError) or (isinstance(error, OSError) and error.errno in PASSING_ERRNOS)


def describe_exit(status: int, *, expected_kill: str = "") -> str:
    """An exit status in words; `expected_kill` says why we ourselves killed the process, if we did."""
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "unknown"
    text = f"killed by signal {-status} ({name})"
    if expected_kill:
        return f"{text}: {expected_kill}"
    return f"{text}: out of memory?" if -status == signal.SIGKILL else text


def shortened(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """The head and the tail of a text over the limit, with a notice between; safe to encode as UTF-8."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters cut ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def bounded(error: JobErrorInfo) -> JobErrorInfo:
    """An error as a child sent it, with no text over the limit: a job's code may write whatever it likes to its own socket."""
    cut = {name: shortened(getattr(error, name)) for name in ("type", "message", "module", "traceback")}
    return error.model_copy(update=cut | {"args": None if error.args is None else _plain_args(error.args)})


def _plain_args(args: Sequence[Any]) -> list[Any] | None:
    """The arguments of an exception when they are small, and on the other side are what they are here; else None."""
    values = list(args)
    try:
        encoded = orjson.dumps(values)
        return values if len(encoded) <= MAX_ARGS_BYTES and orjson.loads(encoded) == values else None
    except Exception:  # noqa: BLE001 - whatever a stranger's value raises when it is encoded or compared
        return None


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as exc:  # noqa: BLE001 - whatever a stranger's __str__ raises
        return f"(its __str__ raised {type(exc).__qualname__})"
