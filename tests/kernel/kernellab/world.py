"""The host at the other end of the wire: a name server and listeners that write down all that arrives.

`world.py LOG`, run in a network namespace that the test made, once the wire is there. One line of JSON an event.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import selectors
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path

LISTED, EVIL = "203.0.113.10", "198.51.100.66"
NAMES = {
    "api.test": [LISTED],
    "many.test": [f"203.0.113.{number}" for number in range(100, 160)],
    "evil.test": [EVIL],
    "rebind.test": ["127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "changing.test": [f"203.0.113.{number}" for number in range(192, 207)],  # one of them for each question
    "direct.test": ["203.0.113.207"],  # dialled without a lookup
    "silent.test": [],  # no answer at all
    "slow.test": [LISTED],  # the answer comes late
}
CHANGING = itertools.cycle(NAMES["changing.test"])
ALIASES = {"alias.test": "api.test"}
A, CNAME, AAAA = 1, 5, 28
LATE_S = 0.2
UDPLITE = 136  # IANA's protocol numbers


def encode(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def answer(query: bytes, udp: bool) -> tuple[str, bytes]:
    """Return the name asked for and the response."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    kind = struct.unpack_from("!H", query, at + 1)[0]
    name = ".".join(labels).lower()
    question = query[12 : at + 5]
    records, owner = [], name
    while owner in ALIASES:
        target = encode(ALIASES[owner])
        records.append(encode(owner) + struct.pack("!HHIH", CNAME, 1, 0, len(target)) + target)
        owner = ALIASES[owner]
    if kind == A:
        addresses = [next(CHANGING)] if owner == "changing.test" else NAMES.get(owner, [])
        records += [encode(owner) + struct.pack("!HHIH", A, 1, 0, 4) + socket.inet_aton(ip) for ip in addresses]
    code = 0 if owner in NAMES else 3
    truncated = udp and len(records) > 20
    if truncated:
        records = []
    flags = 0x8180 | code | (0x0200 if truncated else 0)
    header = query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    return name, header + question + b"".join(records)


class World:
    def __init__(self, log: Path) -> None:
        self.log = log.open("a", buffering=1)
        self.selector = selectors.DefaultSelector()
        self.unread: dict[socket.socket, bytes] = {}

    def note(self, **event: object) -> None:
        self.log.write(json.dumps(event) + "\n")

    def listen(self, address: str, port: int) -> None:
        tcp = socket.create_server((address, port), backlog=512)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((address, port))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # hundreds of questions at once
        self.selector.register(tcp, selectors.EVENT_READ, self.accept)
        self.selector.register(udp, selectors.EVENT_READ, self.receive)
        with contextlib.suppress(OSError):  # a kernel without UDP-Lite
            lite = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, UDPLITE)
            lite.bind((address, port))
            self.selector.register(lite, selectors.EVENT_READ, self.receive)

    def accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        address, port = listener.getsockname()
        self.note(kind="tcp", to=address, port=port)
        if port == 53:
            self.selector.register(connection, selectors.EVENT_READ, self.serve)
            return
        connection.setblocking(False)
        self.selector.register(connection, selectors.EVENT_READ, self.drain)

    def drain(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if data.startswith(b"GET"):
            connection.send(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
        if not data or data.startswith(b"GET"):
            self.selector.unregister(connection)
            connection.close()

    def serve(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""  # a client that was killed
        if not data:
            self.selector.unregister(connection)
            self.unread.pop(connection, None)
            connection.close()
            return
        data = self.unread.pop(connection, b"") + data
        while len(data) >= 2 and len(data) >= 2 + (size := struct.unpack_from("!H", data)[0]):
            name, response = answer(data[2 : 2 + size], udp=False)
            self.note(kind="dns", name=name, by="tcp")
            self.reply(name, connection.sendall, struct.pack("!H", len(response)) + response)
            data = data[2 + size :]
        self.unread[connection] = data

    def reply(self, name: str, send: Callable[..., object], *what: object) -> None:
        def now() -> None:
            with contextlib.suppress(OSError):  # who asked has gone
                send(*what)

        if name != "slow.test":
            now()
        else:
            threading.Timer(LATE_S, now).start()

    def receive(self, sink: socket.socket) -> None:
        data, sender = sink.recvfrom(65536)
        address, port = sink.getsockname()
        if port == 53:
            try:
                name, response = answer(data, udp=True)
            except (IndexError, struct.error):
                self.note(kind="no question", data=data[:40].decode("latin-1"))
                return
            self.note(kind="dns", name=name, by="udp")
            if name != "silent.test":
                self.reply(name, sink.sendto, response, sender)
            return
        self.note(kind="udp", to=address, port=port, data=data[:40].decode("latin-1"))

    def run(self) -> None:
        for address, port in [
            (LISTED, 443), (LISTED, 80), (LISTED, 9), (EVIL, 443), (EVIL, 80), ("10.88.0.1", 53), ("203.0.113.100", 443),
            *((address, 443) for address in NAMES["changing.test"] + NAMES["direct.test"]),
        ]:  # fmt: skip
            self.listen(address, port)
        print("ready", flush=True)
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)


if __name__ == "__main__":
    World(Path(sys.argv[1])).run()
