"""A real client under load: httpx and aiohttp against nginx on FAR, 64 requests at a time.

`python -S -m benchmarks.web CONTENDER CLIENT KEEP` answers on standard output how many nanoseconds a request took, once
for each number of requests on a line of standard input. With `--once COUNT` it makes these requests and ends: that is
what callgrind counts.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from benchmarks.contenders import CONTENDERS, FAR, WEB_PORT

AT_ONCE = 64
URL = f"http://{FAR}:{WEB_PORT}/"
Get = Callable[[], Awaitable[object]]


def httpx_client(keep: bool) -> tuple[Any, Get]:
    """Return the client and its way to get the page."""
    httpx: Any = import_module("httpx")
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE if keep else 0)
    patient = 60  # seconds: under callgrind, beside other work, 64 connections take longer than the usual 5
    client = httpx.AsyncClient(limits=limits, trust_env=False, timeout=patient)

    async def get() -> object:
        return (await client.get(URL)).content

    return client, get


def aiohttp_client(keep: bool) -> tuple[Any, Get]:
    """Return the session and its way to get the page."""
    aiohttp: Any = import_module("aiohttp")
    connector = aiohttp.TCPConnector(limit=AT_ONCE, force_close=not keep, resolver=aiohttp.ThreadedResolver())
    client = aiohttp.ClientSession(connector=connector)

    async def get() -> object:
        async with client.get(URL) as answer:
            return await answer.read()

    return client, get


CLIENTS = {"httpx": httpx_client, "aiohttp": aiohttp_client}


async def ask(get: Get, count: int) -> float:
    """Make so many requests, 64 at a time; return the nanoseconds of one."""
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            await get()

    started = time.perf_counter_ns()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (time.perf_counter_ns() - started) / count


async def main(client: str, keep: bool, once: int) -> None:
    """Answer until the input ends."""
    if client == "aiohttp":
        session, get = aiohttp_client(keep)
    else:
        session, get = httpx_client(keep)
    if once:
        await ask(get, once)
    else:
        for line in sys.stdin:
            print(await ask(get, int(line)), flush=True)
    await (session.close() if client == "aiohttp" else session.aclose())


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # nginx has the first one
    CONTENDERS[sys.argv[1]]([])()
    asyncio.run(main(sys.argv[2], sys.argv[3] == "keep", int(sys.argv[5]) if len(sys.argv) > 5 else 0))
