"""Clients give the server back the bytes that it gave them, whatever they are."""

from __future__ import annotations

from streams.bus.clients import connect, connect_async

RAW = b"\xff gr\xc3\xbcn \x00"
CAME = RAW.decode(errors="surrogateescape")


def test_bytes_that_are_no_text_go_back_as_they_came(redis_url: str, prefix: str) -> None:
    with connect(redis_url) as client:
        client.hset(f"{prefix}{CAME}", CAME, CAME)
        with client.pipeline(transaction=False) as pipe:
            pipe.hget(f"{prefix}{CAME}", CAME)
            pipe.hset(f"{prefix}{CAME}", "more", memoryview(b"1"))
            assert pipe.execute() == [CAME, 1]
        assert client.hkeys(f"{prefix}{CAME}") == [CAME, "more"]
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


async def test_so_do_those_of_the_asyncio_client(redis_url: str, prefix: str) -> None:
    async with connect_async(redis_url) as client:
        await client.hset(f"{prefix}{CAME}", CAME, CAME)
        assert await client.hgetall(f"{prefix}{CAME}") == {CAME: CAME}
