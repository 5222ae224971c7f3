"""A network that can be broken: a TCP proxy between one part and a server, for tests.

    with Proxies() as proxies:
        link = proxies.open(server.socket)         # a path, or (host, port)
        url = link.redis_url                       # what the part is given instead of the server
        link.cut()                                 # connections are closed, new ones too
        link.delay(0.3)                            # everything comes later, in both directions
        link.black_hole()                          # nothing comes through, nothing is closed
        link.lose_replies(2)                       # the next two requests reach the server; instead of the answer the connection is closed
        link.restore()                             # what was held back goes on its way

Each call takes effect at once, on open connections too. It is thread-safe, and knows nothing of Redis but how a request is told: by its bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

CHUNK_BYTES = 65_536
T = TypeVar("T")

Upstream = Path | tuple[str, int]


class Condition(StrEnum):
    """How the network is."""

    FINE = "fine"
    CUT = "cut"
    """Connections are closed as soon as they are made."""
    BLACK_HOLE = "black hole"
    """Bytes are held back, as when packets are dropped."""


@dataclass(eq=False)
class _Pair:
    """A connection of the part, and the one to the server that goes with it."""

    part: asyncio.StreamWriter
    server: asyncio.StreamWriter
    loses_next_reply: bool = False

    def close(self) -> None:
        for writer in (self.part, self.server):
            writer.close()


@dataclass
class Link:
    """One part's way to the server. Its address stays the same for as long as the `Proxies` are open."""

    upstream: Upstream
    _loop: asyncio.AbstractEventLoop
    port: int = 0
    lost_replies: int = 0
    """How many were lost so far."""
    _condition: Condition = Condition.FINE
    _delay_seconds: float = 0.0
    _replies_to_lose: int = 0
    _of_requests_with: bytes = b""
    _pairs: set[_Pair] = field(default_factory=set)
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cut(self) -> None:
        """Close every connection, and each new one, until `restore`."""
        self._soon(self._set, Condition.CUT)

    def drop(self) -> None:
        """Close every connection once; new ones are fine."""
        self._soon(self._close_all)

    def black_hole(self) -> None:
        """Hold everything back until `restore`, which lets it go on; the part sees only its own timeouts."""
        self._soon(self._set, Condition.BLACK_HOLE)

    def delay(self, seconds: float) -> None:
        """Each chunk, in either direction, comes so much later."""
        self._delay_seconds = seconds

    def lose_replies(self, count: int, *, of_requests_with: bytes = b"") -> None:
        """The next `count` requests that contain these bytes are done by the server, and the part never hears of it: its connection is closed."""
        self._replies_to_lose, self._of_requests_with = count, of_requests_with

    def restore(self) -> None:
        """The network is fine again."""
        self._delay_seconds, self._replies_to_lose = 0.0, 0
        self._soon(self._set, Condition.FINE)

    # ------------------------------------------------------------------------------------------------------------------ in the loop's thread

    def _soon(self, function: Callable[..., object], *args: object) -> None:
        self._loop.call_soon_threadsafe(function, *args)

    def _set(self, condition: Condition) -> None:
        self._condition = condition
        if condition is Condition.CUT:
            self._close_all()
        if condition is Condition.BLACK_HOLE:
            self._open.clear()
        else:
            self._open.set()

    def _close_all(self) -> None:
        for pair in list(self._pairs):
            pair.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the part, to its end."""
        if self._condition is Condition.CUT:
            writer.close()
            return
        try:
            await self._open.wait()
            if isinstance(self.upstream, Path):
                from_server, to_server = await asyncio.open_unix_connection(self.upstream)
            else:
                from_server, to_server = await asyncio.open_connection(*self.upstream)
        except OSError:  # the server is away: the part finds a closed connection
            writer.close()
            return
        pair = _Pair(writer, to_server)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._requests(reader, to_server, pair), self._replies(from_server, writer, pair))
        finally:
            pair.close()
            self._pairs.discard(pair)

    async def _requests(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter, pair: _Pair) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._hold()
                if self._replies_to_lose and self._of_requests_with in chunk:
                    self._replies_to_lose -= 1
                    pair.loses_next_reply = True
                to_server.write(chunk)
                await to_server.drain()
        pair.close()

    async def _replies(self, reader: asyncio.StreamReader, to_part: asyncio.StreamWriter, pair: _Pair) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._hold()
                if pair.loses_next_reply:
                    self.lost_replies += 1
                    break
                to_part.write(chunk)
                await to_part.drain()
        pair.close()

    async def _hold(self) -> None:
        if self._delay_seconds:
            await asyncio.sleep(self._delay_seconds)
        await self._open.wait()


class Proxies:
    """Links, and the thread that serves them."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self.links: list[Link] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def open(self, upstream: Upstream) -> Link:
        """A new way to a server, which need not be there yet."""
        return asyncio.run_coroutine_threadsafe(self._open(upstream), self._loop).result(10)

    async def _open(self, upstream: Upstream) -> Link:
        link = Link(upstream, self._loop)
        link._open.set()
        server = await asyncio.start_server(link.serve, "127.0.0.1", 0)
        link.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        self.links.append(link)
        return link

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for link in self.links:
            link._set(Condition.CUT)  # not cancelled: asyncio's streams tell of each task that is
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        if serving:
            await asyncio.wait(serving, timeout=2)
