"""The workers' side: the handlers of the service `render`. No Celery here.

python -m workers render --concurrency 2
"""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from examples.render.params import Film, Still, Textures
from workers import BadRequest, Job, SoftTimeLimit, handler


@handler("render.textures", isolation="inline")
async def textures(job: Job, params: Textures) -> list[str]:
    """Wait for other machines: that needs no process, not even a thread. It is stopped at its next await."""
    done = 0

    async def fetch(name: str) -> str:
        nonlocal done
        await asyncio.sleep(params.seconds_each)  # here a real one would download
        done += 1
        job.progress(done, len(params.names), "textures")
        return f"{name}.fetched"

    return list(await asyncio.gather(*map(fetch, params.names)))


@handler("render.film")
def film(job: Job, params: Film) -> dict[str, Any]:
    """Render frame by frame, in a process of its own, into a .y4m file that any player shows.

    At the soft time limit it ends early with the frames that it has; a run that follows a crash goes on where the last one stopped.
    """
    path = job.directory / "film.y4m"
    head = f"YUV4MPEG2 W{params.width} H{params.height} F12:1 Ip A1:1 Cmono\n".encode()
    size = len(b"FRAME\n") + params.width * params.height
    done = max(0, path.stat().st_size - len(head)) // size if path.exists() else 0
    job.log(f"{params.frames} frames with {len(params.textures)} textures, {done} of them from an earlier run")
    with path.open("r+b" if done else "wb") as out:
        out.write(head)
        out.truncate(len(head) + done * size)
        out.seek(0, 2)
        try:
            while done < params.frames:
                job.checkpoint()
                out.write(b"FRAME\n" + picture(params.width, params.height, done))
                done += 1
                job.progress(done, params.frames, "frames")
        except SoftTimeLimit:
            out.truncate(len(head) + done * size)
            job.log(f"out of time after {done} frames")
    return {"frames": done, "complete": done == params.frames, "film": job.artifact(path, media_type="video/x-yuv4mpeg")}


@handler("render.still", isolation="thread")
def still(job: Job, params: Still) -> dict[str, Any]:
    """Cut one frame out of a film: short, and mostly reading."""
    film = Path(unquote(urlsplit(params.film).path))
    with film.open("rb") as source:
        fields = source.readline().split()
        width, height = int(fields[1][1:]), int(fields[2][1:])
        source.seek(params.frame * (len(b"FRAME\n") + width * height), 1)
        if source.readline() != b"FRAME\n":
            raise BadRequest(f"frame: the film has no frame {params.frame}")
        path = job.directory / "still.pgm"
        path.write_bytes(f"P5 {width} {height} 255\n".encode() + source.read(width * height))
    return {"still": job.artifact(path, media_type="image/x-portable-graymap")}


def picture(width: int, height: int, number: int) -> bytes:
    """One frame of a flight into the Mandelbrot set, in grey."""
    zoom = 1.5 * math.exp(-number / 12)
    pixels = bytearray()
    for y in range(height):
        for x in range(width):
            c = complex(-0.743643887 + zoom * (2 * x / width - 1), 0.131825904 + zoom * (2 * y / height - 1))
            z, steps = 0j, 0
            while abs(z) < 2 and steps < 60:
                z, steps = z * z + c, steps + 1
            pixels.append(255 - 4 * steps)
    return bytes(pixels)
