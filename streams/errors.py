"""Every error of the three packages, one tree.

    BridgeSystemError
    ├── SettingsError            a setting is missing or has a bad value
    ├── ServerUnavailable        Redis can't be reached, or no server binary was found
    ├── FunctionLibraryMissing   the server doesn't hold our function library yet
    ├── MessageError
    │   ├── EncodeError          a value can't go over the wire
    │   └── DecodeError          an entry is not a valid message
    ├── PayloadTooLarge          a command or result is over the size limit
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


class FunctionLibraryMissing(BridgeSystemError):
    """The server doesn't hold the function library yet: start the bridge, which loads it."""


class MessageError(BridgeSystemError):
    """A message can't be written or read."""


class EncodeError(MessageError):
    """A value can't go over the wire; the message names the path of its key."""


class DecodeError(MessageError):
    """A stream entry is not a valid message."""


class PayloadTooLarge(MessageError):
    """A command or result is over the size limit; put large data in a file and send its URI."""


class BacklogFull(BridgeSystemError):
    """A command isn't taken now: its stream's backlog is at its limit, or the streams are over their memory budget. Its task is tried again later."""


class UnknownService(BridgeSystemError):
    """The topology knows no service of that name."""


class UnknownLane(BridgeSystemError):
    """The service has no lane of that name; the message names those that it has."""
