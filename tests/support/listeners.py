"""Real listeners on loopback that say what arrived.

`Endpoint.seen()` first sends something of its own (the fence) and waits until that arrived: the kernel queues in order,
so whatever was sent before it has been counted by then. The fence is a dial, so a test that uses listeners requests
`egress_test_loopback`, for itself; no child inherits it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
FENCE = b"\x00fence"
SECONDS = 10.0


def have_ipv6() -> bool:
    """Whether this machine has `::1`."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def answer_to(request: bytes) -> bytes:
    """Return the answer to an HTTP request: a WebSocket handshake where it asks for one."""
    head = dict(line.split(b": ", 1) for line in request.split(b"\r\n") if b": " in line)
    key = next((value for name, value in head.items() if name.lower() == b"sec-websocket-key"), None)
    if key is None:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_GUID).digest())  # the RFC's own choice of hash
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n\x88\x02\x03\xe8"  # and a close frame, status 1000
    )


class Endpoint:
    """One port number, TCP and UDP, on 127.0.0.1 and `::1`."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        self.port: int = sockets[0].getsockname()[1]
        self.arrived: list[tuple[str, Any]] = []
        self.changed = threading.Condition()

    def note(self, kind: str, peer: Any) -> None:
        """Keep one arrival."""
        with self.changed:
            self.arrived.append((kind, peer))
            self.changed.notify_all()

    def fence(self, listener: socket.socket) -> tuple[str, Any]:
        """Send something of our own; return what will be noted for it."""
        kind = "tcp" if listener.type == socket.SOCK_STREAM else "udp"
        address = (HOSTS[listener.family], self.port)
        with socket.socket(listener.family, listener.type) as own:
            own.settimeout(SECONDS)
            own.bind((address[0], 0))
            name = own.getsockname()
            if kind == "tcp":
                own.connect(address)
            else:
                own.sendto(FENCE, address)
        return kind, name

    def seen(self) -> list[str]:
        """Return `tcp` or `udp` for each arrival since the last call, the fences left out."""
        fences = [self.fence(one) for one in self.sockets]
        end = time.monotonic() + SECONDS
        with self.changed:
            while any(fence not in self.arrived for fence in fences):
                assert self.changed.wait(end - time.monotonic()), "the fence did not arrive"
            kinds = [kind for kind, peer in self.arrived if (kind, peer) not in fences]
            self.arrived.clear()
        return kinds


class Listeners:
    """All listeners of a test, served by one thread."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.waker, self.waking = socket.socketpair()
        self.closing = False
        self.selector.register(self.waking, selectors.EVENT_READ, lambda: None)
        self.thread = threading.Thread(target=self.serve, name="listeners", daemon=True)
        self.thread.start()

    def open(self) -> Endpoint:
        """Return a new endpoint that listens."""
        for _ in range(50):
            endpoint = self.try_open()
            if endpoint is not None:
                return endpoint
        raise RuntimeError("no port is free for TCP and UDP on both families")

    def try_open(self) -> Endpoint | None:
        """Return an endpoint on a port that the kernel chose for the first socket, if the others get it too."""
        families = [family for family in HOSTS if family == socket.AF_INET or have_ipv6()]
        wanted = [(family, kind) for family in families for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        sockets: list[socket.socket] = []
        for family, kind in wanted:
            one = socket.socket(family, kind)
            try:
                one.bind((HOSTS[family], sockets[0].getsockname()[1] if sockets else 0))
            except OSError:
                for other in [one, *sockets]:
                    other.close()
                return None
            one.setblocking(False)
            sockets.append(one)
        endpoint = Endpoint(sockets)
        for one in sockets:
            if one.type == socket.SOCK_STREAM:
                one.listen(128)
            self.watch(
                one, self.acceptor(endpoint, one) if one.type == socket.SOCK_STREAM else self.taker(endpoint, one)
            )
        return endpoint

    def watch(self, one: socket.socket, job: Callable[[], None]) -> None:
        """Run the job in the serving thread whenever there is something to read."""
        self.selector.register(one, selectors.EVENT_READ, job)
        self.waker.send(b".")

    def acceptor(self, endpoint: Endpoint, listener: socket.socket) -> Callable[[], None]:
        """Return the job of a TCP listener."""

        def job() -> None:
            connection, peer = listener.accept()
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ, self.reader(connection))
            endpoint.note("tcp", peer)

        return job

    def reader(self, connection: socket.socket) -> Callable[[], None]:
        """Return the job of an accepted connection: answer a request, and close when the other side does."""

        def job() -> None:
            data = b""
            with contextlib.suppress(OSError):
                data = connection.recv(65536)
                if data.startswith(b"GET "):
                    connection.send(answer_to(data))
            if not data or b"Upgrade" not in data:
                self.selector.unregister(connection)
                connection.close()

        return job

    @staticmethod
    def taker(endpoint: Endpoint, listener: socket.socket) -> Callable[[], None]:
        """Return the job of a UDP socket."""

        def job() -> None:
            _, peer = listener.recvfrom(65536)
            endpoint.note("udp", peer)

        return job

    def serve(self) -> None:
        """Serve until closed."""
        while not self.closing:
            for key, _ in self.selector.select():
                if key.fileobj is self.waking:
                    self.waking.recv(4096)
                else:
                    with contextlib.suppress(BlockingIOError):
                        key.data()

    def close(self) -> None:
        """End the thread and close everything."""
        self.closing = True
        self.waker.send(b".")
        self.thread.join(SECONDS)
        for key in list(self.selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self.selector.close()
        self.waker.close()


def plain_listener(host: str = "127.0.0.1") -> socket.socket:
    """Return a listening TCP socket that no thread serves: for processes that fork."""
    listener = socket.create_server((host, 0))
    listener.settimeout(SECONDS)
    return listener


def count_accepted(listener: socket.socket) -> int:
    """Return how many connections wait in a plain listener, after a fence; the calling thread may dial loopback."""
    with socket.create_connection(listener.getsockname(), SECONDS) as fence:
        for count in range(1000):
            connection, peer = listener.accept()
            connection.close()
            if peer == fence.getsockname():
                return count
    raise AssertionError("the fence did not arrive")
