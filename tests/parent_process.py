"""`python -m tests.parent_process FOLDER HOW`: a worker's parent process for tests to kill. Runs one `test.spawn` job, prints the pids as JSON, and waits."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.waiting import async_wait_until
from workers.process import ChildServer, JobRequest


async def main(folder: Path, how: str) -> None:
    server = ChildServer(("tests.handlers",))
    directory = folder / "job"
    request = JobRequest(
        id="job",
        type="test.spawn",
        data={"how": how, "wait_seconds": 3600},
        attempt=0,
        delivery=1,
        created_at=None,
        directory=str(directory),
        artifacts_url=str(folder / "artifacts"),
        log_path=str(directory / "job.log"),
    )
    child = await server.spawn(request)
    marker = directory / "grandchild"
    await async_wait_until(marker.exists)
    print(json.dumps({"zygote": server.pid, "child": child.pid, "grandchild": int(marker.read_text())}), flush=True)
    await child.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
