"""The example of the bus's documentation runs, and prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs/event-bus.md"


def test_it_runs_and_prints_what_it_says(redis_url: str, prefix: str) -> None:
    text = DOCUMENT.read_text()
    [code], [printed] = (re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL) for kind in ("python", "text"))
    env = {**os.environ, "REDIS_URL": redis_url, "STREAMS_PREFIX": prefix}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, printed), done.stderr
