"""What nginx does not do: echo by WebSocket behind it, echo by UDP on its own. `backend.py`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from typing import Any

from websockets.asyncio.server import serve

from labtools.processes import die_with_parent

WEBSOCKET_PORT = 9001
ECHO_PORTS = (7, 443, 8443)
IP_PKTINFO = 8
IPV6_RECVPKTINFO = 49
SOURCE_OPTIONS = {(socket.IPPROTO_IP, IP_PKTINFO), (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)}


def echo_socket(family: int, port: int) -> socket.socket:
    """Return a UDP socket for every address there is: outside answers for all of them."""
    result = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        result.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        result.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    else:
        result.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    result.bind(("", port))
    result.setblocking(False)
    return result


def echo(server: socket.socket) -> None:
    """Answer from the address that was asked: the kernel would choose another one."""
    data, ancillary, _, asker = server.recvmsg(65535, 512)
    answer = []
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            # struct in_pktinfo: interface, local address, destination. The source goes into the second.
            answer.append((level, kind, bytes(4) + value[8:12] + bytes(4)))
        elif (level, kind) in SOURCE_OPTIONS:
            answer.append((level, kind, value[:16] + bytes(4)))
    with contextlib.suppress(OSError):
        server.sendmsg([data], answer, 0, asker)


async def echo_websocket(connection: Any) -> None:
    """Send every message back."""
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    """Serve until the standard input ends."""
    die_with_parent()
    loop = asyncio.get_running_loop()
    for family in (socket.AF_INET, socket.AF_INET6):
        for port in ECHO_PORTS:
            server = echo_socket(family, port)
            loop.add_reader(server, echo, server)
    async with serve(echo_websocket, "127.0.0.1", WEBSOCKET_PORT):
        print(json.dumps({"ready": True}), flush=True)
        await loop.run_in_executor(None, os.read, sys.stdin.fileno(), 1)


if __name__ == "__main__":
    asyncio.run(main())
