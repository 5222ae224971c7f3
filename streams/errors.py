"""Every error of the three packages, one tree.

    BridgeSystemError
    ├── SettingsError            a setting is missing or has a bad value
    ├── ServerUnavailable        Redis can't be reached, or no server binary was found
    │   └── NotSent              a message isn't known to be on its stream; the caller still has it
    ├── FunctionLibraryMissing   the server doesn't hold our function library yet
    ├── MessageError
    │   ├── EncodeError          a value can't go over the wire
    │   ├── DecodeError          an entry is not a valid message
    │   │   └── NewerSchema      it is of a later version: left for a consumer that knows it
    │   ├── PayloadTooLarge      a message is over the size limit
    │   └── SendRefused          the server answers, and won't take a message; it was moved to the dead letters
    ├── BacklogFull              a command stream is full, or the streams are over their memory budget
    ├── UnknownService           no such service in the topology
    └── UnknownLane              the service has no such lane

`bridge.errors` adds what a caller's `.get()` raises, `workers.errors` what a handler may raise.
"""

from __future__ import annotations


class BridgeSystemError(Exception):
    """Root of every error this system raises itself."""


class SettingsError(BridgeSystemError):
    """A setting is missing or has a bad value; the message names the environment variable."""


class ServerUnavailable(BridgeSystemError):
    """Redis can't be reached, or no server binary could be found."""


class NotSent(ServerUnavailable):
    """A message isn't known to be on its stream, as Redis is away; the caller still has it. Sent again with the same idempotency key, it is there once."""

    def __init__(self, text: str, idempotency_key: str | None = None) -> None:
        super().__init__(text)
        self.idempotency_key = idempotency_key
        """None when it was sent without one."""


class FunctionLibraryMissing(BridgeSystemError):
    """The server doesn't hold the function library yet: start the bridge, which loads it."""


class MessageError(BridgeSystemError):
    """A message can't be written or read."""


class EncodeError(MessageError):
    """A value can't go over the wire; the message names the path of its key."""


class DecodeError(MessageError):
    """A stream entry is not a valid message."""


class NewerSchema(DecodeError):
    """An entry is of a later schema than this version knows: nothing is wrong with it, and a newer consumer will read it."""


class PayloadTooLarge(MessageError):
    """A message is over the size limit; put large data in a file and send its URI."""


class SendRefused(MessageError):
    """The server answers and won't take a message, whatever is tried; the text says why, and where its dead letter is."""

    def __init__(self, text: str, *, dead_letter_id: str | None = None) -> None:
        super().__init__(text)
        self.dead_letter_id = dead_letter_id
        """Id of the entry on the dead-letter stream; None when that couldn't be written either."""


class BacklogFull(BridgeSystemError):
    """A command isn't taken now: its stream's backlog is at its limit, or the streams are over their memory budget. Its task is tried again later."""


class UnknownService(BridgeSystemError):
    """The topology knows no service of that name."""


class UnknownLane(BridgeSystemError):
    """The service has no lane of that name; the message names those that it has."""
