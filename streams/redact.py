"""Secrets stay out of logs and errors."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)[^@/]*@")


def without_password(url: str) -> str:
    """A URL as it may be shown: user and password are gone."""
    return _USERINFO.sub("***@", url)
