"""A caller: `python -m examples.render [FRAMES]` renders a film and cuts a still out of it, with progress."""

from __future__ import annotations

import sys
from typing import Any

from celery import chain

from examples.render.app import fetch_textures, film, still


def show(what: str) -> Any:
    """Prints the progress of one task."""

    def on_message(meta: dict[str, Any]) -> None:
        info = meta["result"]
        if meta["status"] == "PROGRESS":
            print(f"{what}: {info['current']}/{info['total']} {info['message']} ({info['worker']})", flush=True)

    return on_message


def main(frames: int = 24) -> None:
    """Send the chain, and follow its links one by one."""
    last = chain(fetch_textures.s(["wood", "water", "sky"]), film.s(frames=frames), still.s(frame=frames // 2)).apply_async()
    for what, sent in (("textures", last.parent.parent), ("film", last.parent), ("still", last)):
        result = sent.get(on_message=show(what), timeout=300)
        print(f"{what}: {result}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
