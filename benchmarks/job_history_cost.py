"""What `celery jobs history` costs with 10,000 jobs that ended, each with a result as a backtest's: `python benchmarks/job_history_cost.py`."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from celery import Celery

from bridge import StreamTask, connect
from bridge.connection import Connection
from bridge.job_history import ended_jobs
from bridge.settings import BridgeSettings
from streams.embedded import EmbeddedServer

JOBS = 10_000
RESULT = {"strategy": "EmaCross", "pairs": [{"pair": f"COIN{number}/USDT", "profit_total": 0.0123456789} for number in range(100)]}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder)) as server:
        app = connect(Celery("bench", broker="memory://", backend=server.celery_url(), set_as_current=False), BridgeSettings(redis_url=server.url))
        app.task(base=StreamTask, name="bench", service="backtesting", command="x", history={"profit": "profit_total"}, shared=False, lazy=False)(
            _payload
        )
        connection = Connection.of(app)
        fill(app, connection)
        for what, jobs in (("the newest 20", 20), ("all of them, as --sort and filters read", JOBS)):
            began = time.perf_counter()
            found = [job for job, _ in zip(ended_jobs(connection), range(jobs), strict=False)]
            assert len(found) == jobs
            print(f"{what}: {time.perf_counter() - began:.2f} s")


def fill(app: Celery, connection: Connection) -> None:
    keys, now = connection.keys, int(time.time() * 1000)
    for start in range(0, JOBS, 1_000):
        with connection.client.pipeline(transaction=False) as pipe:
            for number in range(start, start + 1_000):
                publish, task_id = f"p{number}", f"t{number}"
                job = {"task_id": task_id, "seq": 1, "outcome": "SUCCESS", "closed_at": now - number, "dispatched_at": now - 60_000, "retries": 0}
                pipe.hset(keys.job(publish), mapping=job | {"service": "backtesting", "ctx": "{}"})
                pipe.hset(keys.task(task_id), "seq", 1)
                pipe.hset(keys.run("backtesting", publish), mapping={"started_at": "2026-01-01T00:00:00+00:00", "worker": "backtesting@host"})
                pipe.zadd(keys.closed_jobs, {publish: now - number})
                meta = {"status": "SUCCESS", "result": RESULT | {"profit_total": number / JOBS}, "name": "bench", "args": ["EmaCross"], "kwargs": {}}
                pipe.set(app.backend.get_key_for_task(task_id), json.dumps(meta))
            pipe.execute()


def _payload(strategy: str) -> dict[str, str]:
    return {"strategy": strategy}


if __name__ == "__main__":
    main()
