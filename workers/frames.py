"""Length-prefixed JSON frames: how a worker, its warm child server and the children talk over Unix stream sockets.

A frame is four bytes, big endian, that say how long the payload is, then the payload: JSON. A result travels as two frames, the header
`{"result": true}` and the encoded result itself, so that the parent passes megabytes on without ever decoding them.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from streams.bus.codec import encode_json
from streams.errors import BridgeSystemError

HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 64 << 20
"""Far above any result that fits into Redis; what it stops is a length read from garbage."""
READ_BYTES = 1 << 18


class FrameError(BridgeSystemError):
    """The other side sent something that is no frame, a frame over the limit, or hung up in the middle of one."""


def frame(payload: bytes) -> bytes:
    """Put the length in front of a payload.

    Raises:
        FrameError: the payload is over the limit.
    """
    _check(len(payload))
    return HEADER.pack(len(payload)) + payload


def json_frame(value: object) -> bytes:
    """A frame that holds `value` as JSON.

    Raises:
        EncodeError: names the path of the key that can't be encoded.
        FrameError: the JSON is over the limit.
    """
    return frame(encode_json(value))


def read_frame(sock: socket.socket) -> bytes | None:
    """Block until one whole frame is read and return its payload; None when the other side hung up before it.

    Reads not a byte more than the frame, so that another reader can take over the socket.

    Raises:
        FrameError: the frame is over the limit, or the other side hung up inside it.
    """
    header = _read(sock, HEADER.size)
    if not header:
        return None
    if len(header) < HEADER.size:
        raise FrameError("the other side hung up inside a frame's header")
    (size,) = HEADER.unpack(header)
    _check(size)
    payload = _read(sock, size)
    if len(payload) < size:
        raise FrameError(f"the other side hung up after {len(payload)} of {size} bytes of a frame")
    return payload


class FrameDecoder:
    """Cuts a byte stream into frames, however the bytes arrive. Does no input or output itself."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in some bytes and yield the payload of every frame that is whole now.

        Raises:
            FrameError: a frame is over the limit.
        """
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            (size,) = HEADER.unpack_from(self._buffer)
            _check(size)
            end = HEADER.size + size
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield payload


def _check(size: int) -> None:
    if size > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {size} bytes is over the limit of {MAX_FRAME_BYTES}: put large data in a file and send its URI")


def _read(sock: socket.socket, size: int) -> bytes:
    """`size` bytes, or fewer when the other side hung up."""
    data = bytearray()
    while len(data) < size and (chunk := sock.recv(min(size - len(data), READ_BYTES))):
        data += chunk
    return bytes(data)
