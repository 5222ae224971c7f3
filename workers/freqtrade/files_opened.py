"""Every file that this process opens to read, also in a strategy's own code: its inputs are not only what freqtrade knows of."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

_opened: set[str] | None = None
_WRITES = os.O_WRONLY | os.O_RDWR


def watch() -> None:
    """Begin to note them, anew. Python takes no audit hook back, so there is one a process."""
    global _opened  # noqa: PLW0603 - see above
    if _opened is None:
        sys.addaudithook(_note)
    _opened = set()


def opened(*, except_below: tuple[Path, ...] = ()) -> set[Path]:
    """What was opened so far; without the job's own files, and those of Python, its packages and the system.

    What C code opens by itself (pyarrow's candles) isn't seen: `candle_files_read` knows those.
    """
    left_out = {str(each) for folder in (*except_below, *_of_the_system()) for each in (folder.absolute(), folder.resolve())}
    paths = {Path(name).absolute() for name in _opened or ()}
    return {path for path in paths if not any(path.is_relative_to(folder) for folder in left_out)}


def _of_the_system() -> list[Path]:
    named = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()]
    return [Path(name) for name in (*named, "/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev")]


def _note(event: str, args: tuple[Any, ...]) -> None:
    if event != "open" or _opened is None or not isinstance(args[0], str):
        return
    if isinstance(args[2], int) and args[2] & _WRITES:
        return
    _opened.add(args[0])
