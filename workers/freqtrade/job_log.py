"""freqtrade's whole log in one file of limited size: its head and its tail, and a line that says what was cut."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

CAP_BYTES = 10 << 20
FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
"""freqtrade's own."""


class CappedLog(logging.Handler):
    """Writes the first half of the cap as it comes, then keeps the last half: a failing run tells its reason at the end.

    The tail goes to a file that is started anew when it holds half a cap, with the one before it kept: at most one and a half caps of disk.
    """

    def __init__(self, file: Path, cap_bytes: int = CAP_BYTES) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self.file = file
        self._half = cap_bytes // 2
        self._written = 0
        """Bytes in the part that is written now."""
        self._dropped = 0
        self._parts: list[Path] = []
        self._open: IO[bytes] = file.open("wb")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = (self.format(record) + "\n").encode(errors="backslashreplace")
            if self._written + len(line) > self._half:
                self._next_part()
            # One endless line must not break the cap either.
            self._written += self._open.write(line[: self._half])
        except Exception:  # noqa: BLE001 - logging's own way: a log line never fails a job
            self.handleError(record)

    def close(self) -> None:
        """Put the tail behind the head."""
        self.acquire()
        try:
            if not self._open.closed:
                self._open.close()
                self._join()
        finally:
            self.release()
        super().close()

    def _next_part(self) -> None:
        self._open.close()
        part = self.file.with_name(f"{self.file.name}.{len(self._parts) % 2}")
        if part.exists():
            self._dropped += part.stat().st_size
        self._parts.append(part)
        self._open = part.open("wb")
        self._written = 0

    def _join(self) -> None:
        if not self._parts:
            return
        newest = self._parts[-2:]
        tail = b"".join(part.read_bytes() for part in newest)
        cut = max(0, len(tail) - self._half)
        if cut:
            cut = tail.find(b"\n", cut) + 1 or cut
        with self.file.open("ab") as sink:
            if self._dropped + cut:
                sink.write(f"\n--- {self._dropped + cut} bytes of this log were cut here: its file is limited ---\n\n".encode())
            sink.write(tail[cut:])
        for part in newest:
            part.unlink()


@contextmanager
def freqtrade_log(file: Path, cap_bytes: int = CAP_BYTES) -> Iterator[Callable[[], None]]:
    """Keep freqtrade's log in `file`; call what this yields as soon as the config is built.

    Building a config closes and removes every handler of the root logger, so that ours can only come after it. What was logged up to
    then lies in freqtrade's buffer. Its console handler goes: a worker's terminal is not the place for twenty logs at a time.
    """
    from freqtrade.loggers import bufferHandler
    from freqtrade.loggers.ft_rich_handler import FtRichHandler

    log: CappedLog | None = None

    def attach() -> None:
        nonlocal log
        if log is not None:
            return
        log = CappedLog(file, cap_bytes)
        for record in bufferHandler.buffer:
            log.handle(record)
        bufferHandler.buffer.clear()
        for handler in list(logging.root.handlers):
            if handler is bufferHandler or isinstance(handler, FtRichHandler):
                logging.root.removeHandler(handler)
        logging.root.addHandler(log)

    try:
        yield attach
    finally:
        attach()  # a config that freqtrade rejects has told so in the buffer
        if log is not None:
            logging.root.removeHandler(log)
            log.close()
