"""Secrets stay out of logs and errors."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://).*@")
_QUERY = re.compile(r"(?i)([?&](?:password|username)=)[^&]*")


def without_password(url: str) -> str:
    """A URL as it may be shown: user and password are gone."""
    return _QUERY.sub(r"\1***", _USERINFO.sub("***@", url))
