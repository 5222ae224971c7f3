"""The signature of a model artifact: HMAC-SHA256 over its manifest, which holds the sha256 of every file.

Loading a model is running code: its files are pickles. The signature says that the files are those that a training of this deployment wrote, and it is
checked before one of them is read. It protects from whoever can write artifacts, or name one in a call, and has no key: a stranger's file, a changed
file, a file of another deployment.

It doesn't protect from strategies and model classes. They are code in the process that holds the key's file open to them, so that whoever can put one
on a worker can read the key and sign anything. It doesn't say either that a model is good, or that the candles it learned from were true.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from streams.errors import SettingsError
from workers.errors import BadRequest, DataMissing

SHORTEST_KEY = 32


class SigningKey:
    """The key of a deployment."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @property
    def name(self) -> str:
        """Tells two keys apart and gives none away: it is a hash of one."""
        return hashlib.sha256(b"model signing key " + self._secret).hexdigest()[:16]

    def sign(self, content: bytes) -> str:
        """The signature of `content`, in hex."""
        return hmac.new(self._secret, content, hashlib.sha256).hexdigest()

    def check(self, content: bytes, signature: str, signed_with: object) -> None:
        """See that `content` is what was signed.

        Raises:
            BadRequest: it was changed, or signed with another key.
        """
        if hmac.compare_digest(self.sign(content).encode(), signature.strip().encode()):
            return
        if signed_with != self.name:
            raise BadRequest(
                "model artifact: it is signed with another key than this worker's; its MODEL_SIGNING_KEY_FILE is another file, or was made anew"
            )
        raise BadRequest("model artifact: its manifest was changed after it was signed")


def read_key(file: Path) -> SigningKey:
    """The key, to check a signature with.

    Raises:
        DataMissing: there's no such file.
        SettingsError: it can't be read, or holds too little.
    """
    try:
        secret = file.read_bytes().strip()
    except FileNotFoundError:
        raise DataMissing(
            f"MODEL_SIGNING_KEY_FILE: no such file: {file}; without the key a model artifact can't be checked, and isn't loaded"
        ) from None
    except OSError as exc:
        raise SettingsError(f"MODEL_SIGNING_KEY_FILE: {file} can't be read: {exc.strerror or exc}") from exc
    if len(secret) < SHORTEST_KEY:
        raise SettingsError(f"MODEL_SIGNING_KEY_FILE: {file} holds {len(secret)} characters; a key has at least {SHORTEST_KEY}")
    return SigningKey(secret)


def read_or_make_key(file: Path, *, make: bool) -> SigningKey:
    """The key, to sign with.

    Args:
        file: where it is.
        make: make it when it isn't there. Of two workers that do so at a time, both get the same.

    Raises:
        DataMissing: there's no such file, and none may be made.
        SettingsError: it can't be read or written.
    """
    if make and not file.exists():
        try:
            _make(file)
        except OSError as exc:
            raise SettingsError(
                f"MODEL_SIGNING_KEY_FILE: {file} can't be made: {exc.strerror or exc}; name a file that holds a key of {SHORTEST_KEY} characters or more"
            ) from exc
    return read_key(file)


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(secrets.token_hex(32).encode() + b"\n")
        try:
            file.hardlink_to(aside)  # whole at once, and never over another's
        except FileExistsError:
            return
    finally:
        aside.unlink()
