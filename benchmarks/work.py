"""The operations. Each maker prepares what it needs and returns a function that runs the operation so many times.

The loops are unrolled by four, so that little of what is timed is the loop.
"""

from __future__ import annotations

import os
import random
import socket
import struct
from collections.abc import Callable

from benchmarks.contenders import FAR, LISTED_NAME, NEAR, PORT, REFUSED, REFUSED_NAME, WEB_PORT, Refusal, more_endpoints

Loop = Callable[[int], None]
UNROLLED = 4


def datagrams() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def udp_connect(_: Refusal) -> Loop:
    connect, address = datagrams().connect, (NEAR, PORT)

    def loop(count: int) -> None:
        for _ in range(count):
            connect(address)
            connect(address)
            connect(address)
            connect(address)

    return loop


def udp_connect_random(_: Refusal, entries: int = 1) -> Loop:
    """A different listed endpoint each time, in an order that no cache of the machine can learn."""
    connect = datagrams().connect
    source = random.Random(8)
    known = more_endpoints(entries - 1) or [(NEAR, PORT)]
    addresses = source.choices(known, k=1 << 16)
    place = 0

    def loop(count: int) -> None:
        nonlocal place
        count *= UNROLLED
        for address in addresses[place : place + count]:
            connect(address)
        place = (place + count) % (len(addresses) - count)

    return loop


def tcp_connect(_: Refusal) -> Loop:
    """A connection made and closed, on a socket of its own: what a client does.

    Closed by a reset, or the ports would run out and the kernel's search for a free one be measured.
    """
    address, linger = (FAR, WEB_PORT), struct.pack("ii", 1, 0)
    new, family, kind = socket.socket, socket.AF_INET, socket.SOCK_STREAM

    def loop(count: int) -> None:
        for _ in range(count * UNROLLED):
            connection = new(family, kind)
            connection.connect(address)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()

    return loop


def sendto(_: Refusal) -> Loop:
    send, address = datagrams().sendto, (NEAR, PORT)

    def loop(count: int) -> None:
        for _ in range(count):
            send(b"datagram", address)
            send(b"datagram", address)
            send(b"datagram", address)
            send(b"datagram", address)

    return loop


def lookup(host: str) -> Loop:
    ask = socket.getaddrinfo

    def loop(count: int) -> None:
        for _ in range(count):
            ask(host, PORT)
            ask(host, PORT)
            ask(host, PORT)
            ask(host, PORT)

    return loop


def getaddrinfo_number(_: Refusal) -> Loop:
    return lookup(NEAR)


def getaddrinfo_listed(_: Refusal) -> Loop:
    """The name stands in the namespace's /etc/hosts: what is measured is no name server."""
    return lookup(LISTED_NAME)


def refusal(kind: Refusal) -> Loop:
    """Dial what is not listed."""
    return refused(datagrams().connect, kind, (REFUSED, PORT))


def refusal_name(kind: Refusal) -> Loop:
    """Look up what is not listed: refused before any packet."""
    return refused(socket.getaddrinfo, kind, REFUSED_NAME, PORT)


def refused(call: Callable[..., object], kind: Refusal, *arguments: object) -> Loop:
    def loop(count: int) -> None:
        for _ in range(count * UNROLLED):
            try:
                call(*arguments)
            except kind:
                continue
            raise AssertionError("not refused")

    return loop


def open_close(_: Refusal) -> Loop:
    opened, close, path = os.open, os.close, os.devnull

    def loop(count: int) -> None:
        for _ in range(count):
            close(opened(path, 0))
            close(opened(path, 0))
            close(opened(path, 0))
            close(opened(path, 0))

    return loop


WORK: dict[str, Callable[[Refusal], Loop]] = {
    "udp_connect": udp_connect,
    "tcp_connect": tcp_connect,
    "sendto": sendto,
    "getaddrinfo_number": getaddrinfo_number,
    "getaddrinfo_listed": getaddrinfo_listed,
    "refusal": refusal,
    "refusal_name": refusal_name,
    "open_close": open_close,
}
