"""The environment of a job: an allow-list, since a strategy can read all of it (`/proc/self/environ`), and so can whoever wrote the strategy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from streams.settings import Settings

PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_.*|TZ|TMPDIR|PYTHON.*|VIRTUAL_ENV|LD_LIBRARY_PATH|DYLD_.*|OPENBLAS_.*|[A-Z]+_NUM_THREADS|POLARS_MAX_THREADS"
)
"""What a Python process needs to start and to print; no name of ours, no secret."""

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "POLARS_MAX_THREADS",
        "RAYON_NUM_THREADS",
    ),
    "1",
)
"""Number crunchers start a thread per core when they are imported: a process with threads must not fork, and jobs run side by side anyway."""


def job_environment(environ: Mapping[str, str], settings: Iterable[type[Settings]]) -> dict[str, str]:
    """The part of `environ` that jobs may see: what Python needs, and the variables that their handlers' settings classes declare."""
    declared = {cls.variable(field).upper() for cls in settings for field in cls.model_fields}
    passed = {name: value for name, value in environ.items() if PASSED.fullmatch(name) or name.upper() in declared}
    return ONE_THREAD | passed
