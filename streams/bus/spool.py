"""A folder for messages that couldn't be sent: one file each, on the disk before the sender goes on, in the order of their names.

A file is written aside, synced, and renamed, so that one with its final name is whole; it is removed after its message was sent. A crash between sending and
removing sends it again, with the same idempotency key: the server knows it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

logger = logging.getLogger(__name__)

WHOLE: Final = ".json"
ASIDE: Final = ".part"
"""Being written, or left by a writer that was killed: its sender never went on, so it isn't sent."""
TOO_LATE: Final = ".too-late"
BROKEN: Final = ".broken"
REFUSED: Final = ".refused"
"""Neither its stream nor the dead letters take it."""
OLD_PART_SECONDS: Final = 3600
NAME: Final = re.compile(r"\d{20}-[\w-]+\.json")


@dataclass(frozen=True, slots=True)
class SpooledMessage:
    """A message on its way."""

    stream: str
    """Logical name."""
    fields: dict[str, str]
    idempotency_key: str
    cap: int | None = None


class Spool:
    """The messages of one folder.

    Args:
        folder: made when the first message comes.
        life: how long the server remembers an idempotency key. What is older isn't sent any more, as it might be there twice then.
    """

    def __init__(self, folder: Path, *, life: timedelta) -> None:
        self.folder, self.life = folder, life
        self._last = 0
        self._naming = threading.Lock()

    def put(self, message: SpooledMessage) -> Path:
        """Keep a message; it is on the disk when this returns.

        Raises:
            OSError: it can't be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = self._next_name()
        aside, file = self.folder / (name + ASIDE), self.folder / (name + WHOLE)
        with aside.open("x", encoding="ascii") as opened:
            json.dump(asdict(message), opened)
            opened.flush()
            os.fsync(opened.fileno())
        aside.rename(file)
        self._sync_folder()
        return file

    def files(self) -> list[Path]:
        """Those of the whole messages, the oldest first."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(entry for entry in self.folder.iterdir() if NAME.fullmatch(entry.name))
        return []

    def load(self, file: Path) -> SpooledMessage | None:
        """Read a message back; one that can't be sent any more is renamed, said, and None."""
        try:
            message = SpooledMessage(**json.loads(file.read_text(encoding="ascii")))
        except (ValueError, TypeError) as exc:
            self.set_aside(file, BROKEN, str(exc))
            return None
        age = time.time() - int(file.name.partition("-")[0]) / 1e9
        if age > self.life.total_seconds() * 0.9:
            self.set_aside(file, TOO_LATE, f"it is {age / 86400:.1f} days old, and may have been sent before: see whether it is on its stream")
            return None
        return message

    def remove(self, file: Path) -> None:
        """Forget a message that was sent."""
        file.unlink(missing_ok=True)
        self._sync_folder()

    def set_aside(self, file: Path, suffix: str, why: str) -> None:
        """Leave a message to people: it is in the way of none behind it."""
        logger.error("the spooled message %s isn't sent: %s", file, why)
        file.rename(file.with_suffix(suffix))
        self._sync_folder()

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Whether this process may drain: one at a time does."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            self._remove_old_parts()
            yield True

    def _next_name(self) -> str:
        """Later than every earlier one, even if the clock stands still."""
        with self._naming:
            self._last = max(self._last + 1, time.time_ns())
            return f"{self._last:020d}-{os.getpid()}-{uuid4().hex[:8]}"

    def _remove_old_parts(self) -> None:
        for part in self.folder.glob(f"*{ASIDE}"):
            if time.time() - part.stat().st_mtime > OLD_PART_SECONDS:
                part.unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        number = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
