"""One download at a time: a lock file in the data folder, which dies with the process that holds it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".download.lock"
LOOK_AGAIN_SECONDS = 0.2


@contextmanager
def one_at_a_time(datadir: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Wait for the turn to write into a data folder.

    Args:
        datadir: one exchange's folder.
        waiting: called again and again while another download runs; it may raise.
    """
    with (datadir / LOCK).open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(LOOK_AGAIN_SECONDS)
        yield  # closing the file gives the turn back
