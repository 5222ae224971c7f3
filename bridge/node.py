"""The bridge as a Celery node: a bootstep of its consumer reads the result and status streams, its thread pool resolves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from typing import Any

import redis
from celery import bootsteps
from celery.worker import state as worker_state

from bridge import instrumentation
from bridge.celery_internals.servers import Interrupted, is_server_away
from bridge.configuration.checks import EX_CONFIG, log_findings
from bridge.configuration.servers import findings_of_servers
from bridge.connection import Connection
from bridge.maintenance.registry import due_works, work
from bridge.maintenance.turns import do_in_turn
from bridge.remote_control.stream_workers import NewsOfWorkers
from bridge.resume import ChordClaimed, Resumer, WonResult
from bridge.upkeep_settings import Upkeeper
from streams.bus.clients import CONNECTION_ERRORS, connect_async, is_passing
from streams.bus.functions import load_library
from streams.bus.reader import Entry, GroupReader, ensure_group
from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.errors import DecodeError, NewerSchema
from streams.jobs.messages import Result, Status, WorkerStatus, WorkerStatusKind, unreadable
from streams.jobs.resolving import SUPERSEDED_STREAM_CAP
from streams.redact import without_password

logger = logging.getLogger(__name__)

BLOCK_MS = 500
STOP_SECONDS = 30.0


class StreamBridge(bootsteps.StartStopStep):
    """Reads results and statuses in a thread of its own; each result is resolved in the node's pool."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._thread: threading.Thread | None = None
        self._reading: BridgeReader | None = None
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        """Start reading."""
        instrumentation.start(Connection.of(consumer.app))
        self._reading = BridgeReader(consumer)
        self._thread = threading.Thread(target=self._reading.run, name="stream-bridge", daemon=True)
        self._thread.start()

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Stop reading, and let what is being resolved finish."""
        if self._reading is not None and self._thread is not None:
            self._reading.stop()
            self._thread.join(STOP_SECONDS)
            self._reading = self._thread = None

    shutdown = stop


class BridgeReader:
    """The reading loop of one bridge."""

    def __init__(self, consumer: Any) -> None:
        self.connection = Connection.of(consumer.app)
        self.resumer = Resumer(self.connection, group=MANAGEMENT_CONSUMERS, hostname=consumer.hostname, dispatcher=consumer.event_dispatcher)
        self.pool, self.hostname = consumer.pool, consumer.hostname
        self.news = NewsOfWorkers(self.connection, self.pool, consumer.event_dispatcher)
        self.capacity = max(1, 2 * int(consumer.pool.limit or 1))
        self.results = {self.connection.keys.stream(service.results): service.name for service in self.connection.services}
        """Which service each result stream belongs to: a worker answers for its own service only."""
        self.statuses = {self.connection.keys.stream(service.status): service.name for service in self.connection.services}
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._prepared = False
        self._failed: Counter[str] = Counter()
        """How often each work of upkeep has failed in a row."""
        self._upkeep_by_itself = self.connection.settings.upkeep is Upkeeper.BRIDGE
        self._due: dict[str, float] = {}
        """When each work of upkeep is to be done again, by `time.monotonic`."""
        self._busy = 0
        self._freed = asyncio.Event()

    def run(self) -> None:
        """Read until stopped; body of the thread."""
        asyncio.run(self._read())

    def stop(self) -> None:
        """Ask the loop to end; it does within one block."""
        self._stop.set()

    async def _read(self) -> None:
        self._loop = asyncio.get_running_loop()
        settings = self.connection.settings
        client = connect_async(settings.redis_url, name=self.hostname.replace(" ", "_"))
        # Statuses first: within one read they are handled before the results. No recovery of its own entries: what is being resolved in the pool
        # outlasts a lost connection. What isn't is claimed after the lease like everybody else's.
        reader = GroupReader(
            client,
            [*self.statuses, *sorted(self.results)],
            group=MANAGEMENT_CONSUMERS,
            consumer=self.hostname,
            lease=settings.result_lease,
            recover_own=False,
        )
        renewing = asyncio.create_task(self._renew(reader))
        try:
            while not self._stop.is_set():
                try:
                    self._prepare()
                    self._upkeep()
                    entries = await reader.read(max(1, self.capacity - self._busy), block_ms=BLOCK_MS)
                    await self._handle_all(reader, entries)
                except CONNECTION_ERRORS as exc:
                    self._prepared = False  # it may come back empty
                    logger.warning("bridge: Redis at %s: %s: %s; trying again", without_password(settings.redis_url), type(exc).__name__, exc)
                    await asyncio.sleep(1.0)
                except Exception as exc:
                    if is_passing(exc):
                        logger.warning("bridge: the server can't serve now (%s); trying again", exc)
                    else:
                        logger.exception("bridge: reading failed; trying again")
                    await asyncio.sleep(1.0)
                await self._wait_until_below(self.capacity)
            await self._wait_until_below(1)
        finally:
            renewing.cancel()
            await client.aclose()

    async def _renew(self, reader: GroupReader) -> None:
        """What is being resolved stays this bridge's, however long a handler of the user's takes."""
        while True:
            await asyncio.sleep(self.connection.settings.result_lease_seconds / 3)
            try:
                await reader.renew()
            except (*CONNECTION_ERRORS, redis.RedisError) as exc:
                logger.warning("bridge: the leases on results aren't renewed: %s: %s", type(exc).__name__, exc)

    def _prepare(self) -> None:
        """What others rely on is there: the function library, and the workers' groups, also for a worker that makes none."""
        if not self._prepared:
            if not self.connection.servers_checked and log_findings(findings_of_servers(self.connection.app)):
                worker_state.should_stop = EX_CONFIG
                self.stop()
                return
            load_library(self.connection.client)
            for service in self.connection.services:
                for stream in service.command_streams:
                    ensure_group(self.connection.client, self.connection.keys.stream(stream), service.group)
            self._prepared = True
            logger.info("bridge: reading results at %s", without_password(self.connection.settings.redis_url))

    def _upkeep(self) -> None:
        """Whatever is due, in the pool: a long one holds up no result that another thread may resolve."""
        if not self._upkeep_by_itself:
            return
        now = time.monotonic()
        for name, seconds in due_works(self.connection.settings).items():
            if now >= self._due.get(name, 0.0):
                self._due[name] = now + seconds
                self.pool.apply_async(self._do_upkeep, (name,))

    def _do_upkeep(self, name: str) -> None:
        try:
            turn = do_in_turn(self.connection, work(name), by=self.hostname)
        except Exception as exc:  # noqa: BLE001 - it is done again, and the reading loop tells of a server that is away
            self._failed[name] += 1
            if self._failed[name] == 1 or self._failed[name] % 20 == 0:
                logger.warning("bridge: %s: %s: %s; it is done again (time %d)", name, type(exc).__name__, exc, self._failed[name])
            return
        self._failed[name] = 0
        if not turn.done:  # another bridge's turn, which may die over it
            self._due[name] = time.monotonic() + turn.free_in_seconds

    async def _wait_until_below(self, limit: int) -> None:
        """Until fewer than `limit` results are being resolved; no longer than a stop may take."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while self._busy >= limit:
                    self._freed.clear()
                    await self._freed.wait()

    async def _handle_all(self, reader: GroupReader, entries: list[Entry]) -> None:
        """What can't be handled now stays pending, and is claimed after the lease like everybody else's."""
        for number, entry in enumerate(entries):
            try:
                await self._handle(reader, entry)
            except CONNECTION_ERRORS:
                for unhandled in entries[number:]:
                    reader.done(unhandled)
                raise
            except Exception:
                logger.exception("bridge: entry %s on %s can't be handled now", entry.id, entry.stream)
                reader.done(entry)

    async def _handle(self, reader: GroupReader, entry: Entry) -> None:
        if entry.stream not in self.results:
            await self._handle_status(reader, entry)
            return
        try:
            result = Result.from_redis_dict(entry.fields)
        except NewerSchema as exc:
            await reader.leave(entry, exc)
            return
        except DecodeError as exc:
            failure = unreadable(entry.fields, str(exc))
            if failure is None:
                await self._keep_aside(reader, entry, str(exc))
                return
            result = failure
        # In this thread, in the order of reading: a status that comes later finds its job begun.
        won = self.resumer.begin(self.results[entry.stream], entry.stream, entry.id, result)
        if won is None:
            reader.done(entry)
            return
        self._busy += 1
        self.pool.apply_async(self._resolve, (reader, entry, won))

    async def _handle_status(self, reader: GroupReader, entry: Entry) -> None:
        service = self.statuses[entry.stream]
        try:
            if entry.fields.get("kind") in set(WorkerStatusKind):
                self.news.tell(service, WorkerStatus.from_redis_dict(entry.fields), entry.id)
            else:
                self.resumer.show(service, Status.from_redis_dict(entry.fields))
        except CONNECTION_ERRORS:
            raise
        except Exception as exc:  # noqa: BLE001 - a status is news, never worth a second try, nor a newer bridge's time
            logger.warning("status %s on %s is dropped: %s: %s", entry.id, entry.stream, type(exc).__name__, exc)
        await reader.ack(entry)

    async def _keep_aside(self, reader: GroupReader, entry: Entry, reason: str) -> None:
        logger.error("result %s on %s can't be read, and is kept aside in %s: %s", entry.id, entry.stream, self.connection.keys.superseded, reason)
        aside: dict[Any, Any] = {**entry.fields, "source_stream": entry.stream, "source_id": entry.id, "reason": "undecodable"}
        await reader.client.xadd(self.connection.keys.superseded, aside, maxlen=SUPERSEDED_STREAM_CAP, approximate=True)
        await reader.ack(entry)

    # ---------------------------------------------------------------------------------------------------------------- in the pool's threads

    def _resolve(self, reader: GroupReader, entry: Entry, won: WonResult) -> None:
        try:
            self.resumer.resolve(won)
        except ChordClaimed as exc:
            logger.info("task %s: its result %s is resolved again after the lease: %s", won.result.task_id, entry.id, exc)
        except BaseException as exc:
            # Not acknowledged: it is resolved again after the lease, by this bridge or another. A handler of the user's may raise SystemExit, too.
            if isinstance(exc, Interrupted) or is_server_away(exc):
                logger.warning(
                    "task %s: its result %s is resolved again after the lease: %s: %s", won.result.task_id, entry.id, type(exc).__name__, exc
                )
            else:
                instrumentation.not_resolved(self.results[entry.stream])
                logger.exception("task %s: its result %s can't be resolved now", won.result.task_id, entry.id)
                self._give_up_when_hopeless(won, entry, exc)
        finally:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._release, reader, entry)

    def _give_up_when_hopeless(self, won: WonResult, entry: Entry, error: BaseException) -> None:
        try:
            pending = self.connection.client.xpending_range(entry.stream, MANAGEMENT_CONSUMERS, entry.id, entry.id, 1)
            if pending and int(pending[0]["times_delivered"]) >= self.connection.settings.max_resolve_attempts:
                self.resumer.give_up(won, error)
        except Exception:
            logger.exception("task %s: giving up failed too; it is tried again", won.result.task_id)

    def _release(self, reader: GroupReader, entry: Entry) -> None:
        reader.done(entry)
        self._busy -= 1
        self._freed.set()
