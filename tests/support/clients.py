"""The clients that applications use, each as one call that dials a host and a port and waits for the answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

SECONDS = 10
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
FAMILIES = {True: socket.AF_INET6, False: socket.AF_INET}

Client = Callable[[str, int], object]
CLIENTS: dict[str, Client] = {}
# Clients that lose an exception which is no OSError: there only the journal tells of a violation.
DISCARDS: set[str] = set()
# Clients that connect inside a task group of anyio or trio, which wraps whatever is raised in an ExceptionGroup.
WRAPS = {"httpx.AsyncClient", "anyio on asyncio", "anyio on trio", "trio"}


def client(name: str, *, discards: bool = False) -> Callable[[Client], Client]:
    """Enter a client in the table."""

    def enter(function: Client) -> Client:
        CLIENTS[name] = function
        if discards:
            DISCARDS.add(name)
        return function

    return enter


def url(host: str, port: int, scheme: str = "http") -> str:
    """Return the URL, with an IPv6 address in brackets."""
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"


def family_of(host: str) -> socket.AddressFamily:
    """Return the family of a numeric host; a name is dialled over IPv4."""
    return FAMILIES[":" in host]


def run(coroutine: Callable[[], Awaitable[Any]]) -> object:
    """Run a coroutine in a fresh event loop of asyncio."""

    async def limited() -> Any:
        return await asyncio.wait_for(coroutine(), SECONDS)

    return asyncio.run(limited())


def exchange(connection: socket.socket) -> bytes:
    """Ask over a connected socket and return the whole answer."""
    connection.sendall(REQUEST)
    with connection.makefile("rb") as file:
        return file.read()


# ---- the standard library ----


@client("socket.connect")
def socket_connect(host: str, port: int) -> object:
    with socket.socket(family_of(host)) as connection:
        connection.settimeout(SECONDS)
        connection.connect((host, port))
        return exchange(connection)


@client("socket.connect_ex")
def socket_connect_ex(host: str, port: int) -> object:
    with socket.socket(family_of(host)) as connection:
        connection.settimeout(SECONDS)
        assert connection.connect_ex((host, port)) == 0
        return exchange(connection)


@client("socket.create_connection")
def socket_create_connection(host: str, port: int) -> object:
    with socket.create_connection((host, port), SECONDS) as connection:
        return exchange(connection)


@client("socket.sendto")
def socket_sendto(host: str, port: int) -> object:
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"datagram", (host, port))


@client("EgressGuard.create_connection")
def guard_create_connection(host: str, port: int) -> object:
    import egressguard

    with egressguard.EgressGuard.create_connection((host, port), timeout=SECONDS) as connection:
        return exchange(connection)


@client("http.client")
def http_client(host: str, port: int) -> object:
    import http.client

    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    connection.request("GET", "/")
    return connection.getresponse().read()


@client("urllib.request")
def urllib_request(host: str, port: int) -> object:
    import urllib.request

    with urllib.request.urlopen(url(host, port), timeout=SECONDS) as answer:
        return answer.read()


# ---- the standard library's asyncio ----


@client("asyncio.open_connection")
def asyncio_streams(host: str, port: int) -> object:
    return run(lambda: stream_exchange(host, port))


# asyncio.staggered collects exceptions in a list that it indexes by attempt: 3.11 to 3.13 end in IndexError or lose it.
@client("asyncio.open_connection(happy_eyeballs_delay)", discards=True)
def asyncio_happy_eyeballs(host: str, port: int) -> object:
    return run(lambda: stream_exchange(host, port, happy_eyeballs_delay=0.1))


async def stream_exchange(host: str, port: int, **options: Any) -> object:
    reader, writer = await asyncio.open_connection(host, port, **options)
    writer.write(REQUEST)
    answer = await reader.read()
    writer.close()
    return answer


@client("asyncio.create_datagram_endpoint")
def asyncio_datagrams(host: str, port: int) -> object:
    async def send() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(host, port))
        transport.sendto(b"datagram")
        transport.close()
        await asyncio.sleep(0)

    return run(send)


@client("asyncio.sock_connect")
def asyncio_sock_connect(host: str, port: int) -> object:
    async def connect() -> object:
        loop = asyncio.get_running_loop()
        with socket.socket(family_of(host)) as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, (host, port))
            await loop.sock_sendall(connection, REQUEST)
            return await loop.sock_recv(connection, 4096)

    return run(connect)


@client("asyncio.sock_sendto")
def asyncio_sock_sendto(host: str, port: int) -> object:
    async def send() -> object:
        with socket.socket(family_of(host), socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            return await asyncio.get_running_loop().sock_sendto(sender, b"datagram", (host, port))

    return run(send)


# ---- other people's ----


@client("requests")
def with_requests(host: str, port: int) -> object:
    import requests

    return requests.get(url(host, port), timeout=SECONDS).content


@client("urllib3")
def with_urllib3(host: str, port: int) -> object:
    import urllib3

    with urllib3.PoolManager() as pool:
        return pool.request("GET", url(host, port), timeout=SECONDS).data


@client("httpx")
def with_httpx(host: str, port: int) -> object:
    import httpx

    return httpx.get(url(host, port), timeout=SECONDS).content


@client("httpx.AsyncClient")
def with_httpx_async(host: str, port: int) -> object:
    import httpx

    async def ask() -> object:
        async with httpx.AsyncClient(timeout=SECONDS) as session:
            return (await session.get(url(host, port))).content

    return run(ask)


@client("aiohttp")
def with_aiohttp(host: str, port: int) -> object:
    import aiohttp

    async def ask() -> object:
        # Where aiodns is installed, aiohttp asks name servers by itself: native code, which needs the kernel layer.
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url(host, port)) as answer:
            return await answer.read()

    return run(ask)


async def anyio_exchange(host: str, port: int) -> object:
    import anyio

    async with await anyio.connect_tcp(host, port) as stream:
        await stream.send(REQUEST)
        return await stream.receive()


@client("anyio on asyncio")
def with_anyio_asyncio(host: str, port: int) -> object:
    return run(lambda: anyio_exchange(host, port))


@client("anyio on trio")
def with_anyio_trio(host: str, port: int) -> object:
    import anyio

    return anyio.run(anyio_exchange, host, port, backend="trio")


@client("trio")
def with_trio(host: str, port: int) -> object:
    import trio

    async def ask() -> object:
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(REQUEST)
            return await stream.receive_some(4096)

    return trio.run(ask)


@client("trio.socket")
def with_trio_socket(host: str, port: int) -> object:
    import trio

    async def ask() -> object:
        with trio.socket.socket(family_of(host)) as connection:
            await connection.connect((host, port))
            await connection.send(REQUEST)
            return await connection.recv(4096)

    return trio.run(ask)


@client("websockets.sync")
def with_websockets_sync(host: str, port: int) -> object:
    from websockets.sync.client import connect

    with connect(url(host, port, "ws"), open_timeout=SECONDS, proxy=None):
        return "open"


@client("websockets.asyncio")
def with_websockets_asyncio(host: str, port: int) -> object:
    from websockets.asyncio.client import connect

    async def ask() -> object:
        async with connect(url(host, port, "ws"), open_timeout=SECONDS, proxy=None):
            return "open"

    return run(ask)


@client("gevent.socket")
def with_gevent(host: str, port: int) -> object:
    from gevent import socket as gevent_socket

    with gevent_socket.create_connection((host, port), SECONDS) as connection:
        return exchange(connection)


# ---- threads: with the fixture these are still refused, the flag belongs to the test's thread ----


@client("asyncio.to_thread")
def asyncio_to_thread(host: str, port: int) -> object:
    return run(lambda: asyncio.to_thread(socket_create_connection, host, port))


OTHER_THREADS = {"asyncio.to_thread"}
