"""A stream worker: reads as many commands as it has free slots, runs each where its handler wants it, drains on SIGTERM. No Celery."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from uuid import uuid4

import redis

from streams.bus.clients import CONNECTION_ERRORS, connect_async
from streams.bus.functions import FunctionCall
from streams.bus.insist import insist_async
from streams.bus.reader import Entry, GroupReader
from streams.bus.topology import Service
from streams.errors import DecodeError, NewerSchema
from streams.jobs import orders, running
from streams.jobs.messages import Command, DeadReason, JobErrorInfo, WorkerStatus, WorkerStatusKind
from streams.jobs.orders import MOST_AT_A_TIME, Order, OrderKind
from streams.jobs.running import Delivery
from streams.redact import without_password
from workers import instrumentation
from workers.decision import StopReason
from workers.disk_room import LOOK_AGAIN_SECONDS, DiskRoom
from workers.handlers import HANDLERS
from workers.housekeeping import Housekeeping
from workers.naming import worker_name
from workers.presence import Presence, load_average, versions
from workers.run import JobRun
from workers.settings import WorkerSettings
from workers.starting import JobStarter
from workers.suspects import Room

logger = logging.getLogger(__name__)

BLOCK_MS = 1_000
KILL_SECONDS = 10.0
"""Between the end of a job's grace and the end of its process, at most."""


class WorkerRuntime:
    """One worker process of a service."""

    def __init__(self, service: Service, *, settings: WorkerSettings, concurrency: int, imports: tuple[str, ...], name: str = "%h") -> None:
        """Prepare a worker.

        Args:
            service: whose commands it runs.
            settings: see `WorkerSettings`.
            concurrency: jobs at a time.
            imports: modules that register the handlers.
            name: as Celery's `-n`, see `workers.naming`.
        """
        self.service, self.settings, self.concurrency = service, settings, concurrency
        self.name = worker_name(name, service.name)
        # A name of its own: two processes that share one would hold each other's entries.
        self.consumer = f"{self.name}:{os.getpid()}:{uuid4().hex[:6]}"
        self.jobs = JobStarter(imports)
        self.client = connect_async(settings.redis_url, name=self.consumer.replace(" ", "_"))
        self.reader = GroupReader(
            self.client,
            [settings.keys.stream(stream) for stream in service.command_streams],
            group=service.group,
            consumer=self.consumer,
            lease=settings.lease,
            handed_back_idle_ms=running.HANDED_BACK_IDLE_MS // 2,
            in_order=True,
        )
        self.room = Room()
        self.processed = 0
        self._disk = DiskRoom(settings)
        self._housekeeping = Housekeeping(service, settings)
        self._runs: dict[asyncio.Task[None], JobRun | None] = {}
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        """There is a stop, or room for more jobs."""
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT; then drain. A second signal, or SIGQUIT at once, hands the running jobs back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        loop.add_signal_handler(signal.SIGQUIT, self.request_stop_now)
        await self.jobs.prepare()
        logger.info("%s: %d at a time, as %s, at %s", self.service.name, self.concurrency, self.consumer, without_password(self.settings.redis_url))
        try:
            metrics = instrumentation.exposed(self.settings, self.service.name, active=lambda: len(self._runs), concurrency=lambda: self.concurrency)
            presence = Presence(self.client, self._announcement, self._obey, consumer=self.consumer, every_seconds=self.settings.heartbeat_seconds)
            with metrics:
                async with presence:
                    keeping_house = asyncio.create_task(self._keep_house())
                    await self._work()
                    await self._drain()
                    keeping_house.cancel()
        finally:
            await self.jobs.close()
            await self.client.aclose()

    def request_stop(self) -> None:
        """Stop reading and drain; asked again, hand the running jobs back."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()
        self._changed.set()

    def request_stop_now(self) -> None:
        """Stop reading, and hand the running jobs back: Celery's cold shutdown."""
        self._hurry.set()
        self.request_stop()

    def _announcement(self, kind: WorkerStatusKind, last_order: str) -> FunctionCall[orders.Heard]:
        return orders.announce(
            self.settings.keys, self.service, self.status(kind), last=last_order, status_cap=self.settings.status_cap(self.service)
        )

    def _obey(self, order: Order) -> None:
        """Do what Celery's remote control asks for, through a bridge."""
        if order.kind is OrderKind.SHUTDOWN:
            logger.warning("Got shutdown from remote")
            if not self._stop.is_set():  # several bridges may say so, and a second signal would hand the jobs back
                self.request_stop()
            return
        change = order.n if order.kind is OrderKind.POOL_GROW else -order.n
        self.concurrency = min(MOST_AT_A_TIME, max(1, self.concurrency + change))
        logger.info("%d at a time from now on, as remote control asks", self.concurrency)
        self._changed.set()

    def status(self, kind: WorkerStatusKind) -> WorkerStatus:
        """How things stand with this worker."""
        return WorkerStatus(
            kind=kind,
            worker=self.name,
            pid=os.getpid(),
            consumer=self.consumer,
            concurrency=self.concurrency,
            active=sum(run is not None and run.token != "" for run in self._runs.values()),
            processed=self.processed,
            freq=self.settings.heartbeat_seconds,
            load=load_average(),
            versions=versions(),
            task_types=sorted(HANDLERS),
            refuses=self._disk.lacking or None,
        )

    async def _keep_house(self) -> None:
        """Folders past their retention are removed now and then, in a thread."""
        while self.settings.housekeeping_seconds:
            busy = [run.folder for run in self._runs.values() if run is not None]
            try:
                await asyncio.to_thread(self._housekeeping.clean, busy)
            except Exception as exc:  # noqa: BLE001 - a store of anybody's may raise anything; it is done again
                logger.warning("folders past their retention aren't looked for: %s: %s", type(exc).__name__, exc)
            await asyncio.sleep(self.settings.housekeeping_seconds)

    async def _work(self) -> None:
        failures = 0
        while not self._stop.is_set():
            sole = self.room.wanted and not self._runs
            limit = 1 if sole else 0 if self.room.has_suspect or self.room.wanted else self.concurrency
            free = limit - len(self._runs)
            if free <= 0:
                self._changed.clear()
                await self._wait_for_any(asyncio.create_task(self._changed.wait()))
                continue
            if not self._disk.look():
                await self._wait_for_any(asyncio.create_task(asyncio.sleep(LOOK_AGAIN_SECONDS)))
                continue
            if sole:
                self.room.wanted = False
                self.reader.look_for_left_behind()
                self.room.decided.clear()
            try:
                with self.room.occupied():
                    await self._begin(await self.reader.read(free, block_ms=BLOCK_MS), limit)
            except (*CONNECTION_ERRORS, redis.RedisError) as exc:
                failures += 1
                if failures == 1 or failures % 20 == 0:
                    logger.warning("Redis at %s: %s: %s; trying again", without_password(self.settings.redis_url), type(exc).__name__, exc)
                await self._wait_for_any(asyncio.create_task(asyncio.sleep(min(3.0, 0.1 * 2 ** min(failures, 5)))))
                continue
            if failures:
                logger.info(
                    "Redis answers again; after a lost connection nothing is claimed from others for one lease (%g s)", self.settings.lease_seconds
                )
                failures = 0
            if sole and self._runs:
                await self._wait_for_any(asyncio.create_task(self.room.decided.wait()))

    async def _begin(self, entries: list[Entry], limit: int) -> None:
        for entry in entries:
            if self._stop.is_set() or len(self._runs) >= limit or self.room.has_suspect or self.room.wanted or not self._disk.look():
                await self._give_back(entry)
            else:
                self.room.enter()
                self._runs[asyncio.create_task(self._handle(entry))] = None

    async def _give_back(self, entry: Entry) -> None:
        """The stop came while this was being read, or a suspect's turn; the disk filled up; or two lanes got their commands at the same moment and there is room for one."""
        try:
            await self.reader.give_back(entry, to=running.HANDED_BACK, idle_ms=running.HANDED_BACK_IDLE_MS)
        except (*CONNECTION_ERRORS, redis.RedisError) as exc:
            logger.warning("entry %s: not begun, and not given back either (%s): others take it after a lease", entry.id, exc)
        else:
            logger.info("entry %s: given back", entry.id)

    async def _wait_for_any(self, other: asyncio.Task[object] | asyncio.Task[bool] | asyncio.Task[None]) -> None:
        await asyncio.wait([*self._runs, other], return_when=asyncio.FIRST_COMPLETED)
        other.cancel()

    async def _drain(self) -> None:
        if self._runs:
            logger.info("draining: %d jobs run on for at most %g s; a second signal hands them back", len(self._runs), self.settings.drain_seconds)
            hurry = asyncio.create_task(self._hurry.wait())
            drained = asyncio.create_task(asyncio.wait(list(self._runs)))
            await asyncio.wait([hurry, drained], timeout=self.settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            for run in self._runs.values():
                if run is not None:
                    run.stop(StopReason.HANDED_BACK)
            await asyncio.wait([drained], timeout=self.settings.lease_seconds + self.settings.cancel_grace_seconds + KILL_SECONDS)
            for task in self._runs:  # the server is away, and nothing can be handed back: others take the jobs after a lease
                task.cancel()
        logger.info("stopped")

    async def _handle(self, entry: Entry) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            word = await self._handle_entry(entry, task)
            if word:
                logger.info("%s: %s", self._runs[task] or f"entry {entry.id}", word)
        except Exception as exc:
            # The entry stays pending: it is delivered again after a lease, and a dead letter after `max_deliveries`.
            logger.exception("entry %s: the worker itself failed", entry.id)
            await self._park_when_hopeless(entry, exc)
        finally:
            self.reader.done(entry)
            self.room.leave()
            self.room.decided.set()
            run = self._runs.pop(task, None)
            self.processed += run is not None and run.token != ""

    async def _handle_entry(self, entry: Entry, task: asyncio.Task[None]) -> str:
        largest = max(entry.fields, key=lambda name: len(entry.fields[name]), default="")
        size = len(entry.fields.get(largest, "").encode(errors="surrogateescape"))
        if size > self.settings.max_message_bytes:  # of a producer that isn't ours: a dispatch refuses it
            message = f"{largest} has {size:,} bytes, STREAMS_MAX_MESSAGE_BYTES allows {self.settings.max_message_bytes:,}"
            return await self._park(entry, DeadReason.OVERSIZE, JobErrorInfo(type="PayloadTooLarge", module="streams.errors", message=message))
        try:
            command = Command.from_redis_dict(entry.fields)
        except NewerSchema as exc:
            await self.reader.leave(entry, exc)
            return ""
        except DecodeError as exc:
            return await self._park(entry, DeadReason.UNDECODABLE, JobErrorInfo(type="DecodeError", module="streams.errors", message=str(exc)))
        if command.type not in HANDLERS:
            known = ", ".join(sorted(HANDLERS)) or "none"
            message = f"this {self.service.name} worker has no handler for {command.type!r}; it has: {known}"
            return await self._park(entry, DeadReason.UNKNOWN_TYPE, JobErrorInfo(type="UnknownCommand", message=message))
        delivery = Delivery(self.service, entry.stream, entry.id, self.consumer, command)
        run = self._runs[task] = JobRun(self.client, self.settings, self.jobs, delivery, self.room, worker=self.name)
        return await run.execute()

    async def _park_when_hopeless(self, entry: Entry, error: Exception) -> None:
        """An entry that no worker can even take up is parked in the end, like one that kills its workers."""
        try:
            pending = await self.client.xpending_range(entry.stream, self.service.group, entry.id, entry.id, 1, self.consumer)
            if pending and int(pending[0]["times_delivered"]) >= self.settings.max_deliveries:
                failure = JobErrorInfo(type=type(error).__name__, module=type(error).__module__, message=str(error))
                await self._park(entry, DeadReason.UNDECODABLE, failure)
        except (*CONNECTION_ERRORS, redis.RedisError):
            logger.exception("entry %s can't be parked now", entry.id)

    async def _park(self, entry: Entry, reason: DeadReason, error: JobErrorInfo) -> str:
        logger.error("entry %s is parked (%s): %s", entry.id, reason, error.message)
        step = running.dead_letter(
            self.settings.keys,
            self.service,
            stream=entry.stream,
            consumer=self.consumer,
            entry=entry.id,
            fields=entry.fields,
            reason=reason,
            error=error,
            worker=self.name,
            pid=os.getpid(),
        )
        return instrumentation.parked(self.service.name, reason, await insist_async(self.client, step))
