"""A TCP proxy in front of a server that lets a command through and loses its answer: the server did it, and its client can't know."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from redis.connection import parse_url

T = TypeVar("T")


class LossyProxy:
    """Listens on a free port until `with` ends; `lose` and `cut` say what goes wrong.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self._target = parse_url(url)  # type: ignore[no-untyped-call]
        self._to_lose: list[bytes] = []
        self.lost = 0
        """Answers, so far."""
        self.cut = False
        """Nothing goes through: connections are closed as they come."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lose(self, command: str, times: int = 1) -> None:
        """The answers to the next commands that hold this text are lost, and their connections closed."""
        self._to_lose += [command.encode()] * times

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut:
            writer.close()
            return
        there, to_there = await (
            asyncio.open_unix_connection(self._target["path"])
            if "path" in self._target
            else asyncio.open_connection(self._target["host"], self._target["port"])
        )
        losing = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, to_there, losing))
                group.create_task(self._answer(there, writer, losing))
        except* (ConnectionError, EOFError):
            pass
        finally:
            to_there.close()
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, to_there: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while data := await reader.read(1 << 16):
            if self._to_lose and self._to_lose[0] in data:
                self._to_lose.pop(0)
                losing.set()
            to_there.write(data)
            await to_there.drain()
        raise EOFError

    async def _answer(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while data := await there.read(1 << 16):
            if losing.is_set():
                self.lost += 1
                break
            if self.cut:
                break
            writer.write(data)
            await writer.drain()
        raise EOFError
