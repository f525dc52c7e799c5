"""The demo's clients: the libraries that applications use, each asking one URL.

`python demo_clients.py PHASE PORT [NAME]` runs them in this process, after `egressguard.install()` where PHASE is
`after`, and prints one line of JSON for each attempt. The demo's pytest run imports CLIENTS from a copy of this file.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import urllib.request
from collections.abc import Iterator
from typing import Callable

LOOPBACK = "127.0.0.1"
SECONDS = 10


def with_requests(host: str, port: int, path: str) -> None:
    """Ask with requests."""
    import requests

    requests.get(f"http://{host}:{port}{path}", timeout=SECONDS).raise_for_status()


def with_httpx(host: str, port: int, path: str) -> None:
    """Ask with httpx."""
    import httpx

    httpx.get(f"http://{host}:{port}{path}", timeout=SECONDS).raise_for_status()


def with_urllib(host: str, port: int, path: str) -> None:
    """Ask with the standard library's urllib."""
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=SECONDS) as answer:
        answer.read()


def with_aiohttp(host: str, port: int, path: str) -> None:
    """Ask with aiohttp, in an event loop of its own."""
    import aiohttp

    async def ask() -> None:
        url = f"http://{host}:{port}{path}"
        limit = aiohttp.ClientTimeout(total=SECONDS)
        # Where aiodns is installed, aiohttp asks name servers by itself: native code, which needs the kernel layer.
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(timeout=limit, connector=connector) as session, session.get(url) as answer:
            answer.raise_for_status()
            await answer.read()

    asyncio.run(ask())


def with_socket(host: str, port: int, path: str) -> None:
    """Ask with a plain socket."""
    with socket.create_connection((host, port), timeout=SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        while connection.recv(4096):
            pass


CLIENTS: dict[str, Callable[[str, int, str], None]] = {
    "requests": with_requests,
    "httpx": with_httpx,
    "urllib.request": with_urllib,
    "aiohttp": with_aiohttp,
    "socket": with_socket,
}


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it groups, and what it was raised from: some clients wrap what stopped them."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [*getattr(one, "exceptions", ()), *filter(None, (one.__cause__, one.__context__))]


def violation_in(error: BaseException) -> BaseException | None:
    """Return the EgressViolation behind an exception, or None."""
    return next((one for one in chain(error) if type(one).__name__ == "EgressViolation"), None)


def attempt(client: str, host: str, port: int, path: str) -> dict[str, object]:
    """Let one client ask once and say what came of it."""
    told: dict[str, object] = {"client": client, "target": f"{host}:{port}", "path": path, "refused": False}
    try:
        CLIENTS[client](host, port, path)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is what the table shows
        violation = violation_in(error)
        told["refused"] = violation is not None
        outer = type(error).__name__
        if violation is None:
            told["outcome"] = f"{outer}: {error}"
        else:
            wrapped = "" if violation is error else f", inside {outer}"
            told["outcome"] = f"EgressViolation ({getattr(violation, 'reason', '?')}{wrapped})"
    else:
        told["outcome"] = "answered"
    return told


if __name__ == "__main__":
    phase, port = sys.argv[1], int(sys.argv[2])
    if phase == "after":
        import egressguard

        egressguard.install()
    for host in [LOOPBACK, *sys.argv[3:]]:
        for name in CLIENTS:
            print(json.dumps(attempt(name, host, port, f"/{phase}/{host}/{name}")), flush=True)
