"""A job's log stays below its limit: of one that grows over it the head and the tail are kept, and a line between says how much was cut.

The log is written by the job's process and whatever it starts, which all append to the open file. So it is cut in place: what is written while it is being cut,
some milliseconds a time, is lost with the middle.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_NOTICE: Final = "\n--- {cut:,} bytes of this log were cut here: JOB_LOG_MIB limits it ---\n"
NOTICE_BYTES: Final = 200
"""More than a notice takes."""
_EARLIER: Final = re.compile(rb"\n--- ([\d,]+) bytes of this log were cut here: JOB_LOG_MIB limits it ---\n")


class LogCap:
    """The limit of one job's log. After a cut it holds half of it, so that it isn't cut again at once."""

    def __init__(self, file: Path, limit_bytes: int) -> None:
        self.file, self.limit = file, limit_bytes

    def exceeded(self) -> bool:
        """Whether it is to be cut."""
        try:
            return self.file.stat().st_size > self.limit
        except OSError:  # not there yet
            return False

    def cut(self) -> int:
        """Cut the middle out; returns how many bytes went. Blocking."""
        quarter = self.limit // 4
        with self.file.open("r+b") as log:
            start = log.read(quarter + NOTICE_BYTES)
            earlier = _EARLIER.search(start)
            head = start[: earlier.start()] if earlier else _up_to_a_line(start[:quarter])
            size = log.seek(0, 2)
            log.seek(size - quarter)
            tail = log.read()
            tail = tail[tail.find(b"\n") + 1 :]
            size = log.seek(0, 2)  # what was appended meanwhile goes too
            before, line = (int(earlier[1].replace(b",", b"")), len(earlier[0])) if earlier else (0, 0)
            cut = size - len(head) - line - len(tail)
            log.seek(len(head))
            log.write(_NOTICE.format(cut=before + cut).encode() + tail)
            log.truncate()
        return cut


def _up_to_a_line(head: bytes) -> bytes:
    """Without a last line that is cut; a single endless line is cut all the same."""
    end = head.rfind(b"\n")
    return head[: end + 1] or head
