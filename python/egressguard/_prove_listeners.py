"""The listeners of `egressguard prove`: what an attempt is aimed at, and what says whether it arrived."""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from egressguard import _egressguard
from egressguard._prove_routes import Target

if TYPE_CHECKING:
    from types import TracebackType

HOST = "127.0.0.1"


def spare_names() -> tuple[str | None, str | None]:
    """Return a name and an address that /etc/hosts answers for and the guard refuses, where there are such."""
    name = address = None
    try:
        lines = Path("/etc/hosts").read_text(encoding="utf-8").splitlines()
        order = Path("/etc/nsswitch.conf").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None, None
    hosts = [line.split()[1:2] for line in order.splitlines() if line.strip().startswith("hosts:")]
    if hosts != [["files"]]:  # something else is asked first
        return None, None
    for line in lines:
        numeric, *names = line.partition("#")[0].split() or [""]
        if name is None and "." in numeric:
            name = next((one for one in names if _is_refused(f"{one}:443")), None)
        if address is None and names and _is_refused(f"[{numeric}]:443" if ":" in numeric else f"{numeric}:443"):
            address = numeric
    return name, address


def _is_refused(endpoint: str) -> bool:
    try:
        reason: str = _egressguard.explain(None, endpoint)["reason"]
    except ValueError:
        return False
    return reason == "not-listed"


class Listeners:
    """Listening sockets of one attempt. They never dial, and the handshake needs nobody to accept it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="egressguard-prove-")
        self._abstract = f"egressguard-prove-{secrets.token_hex(8)}"
        self._path = f"{self._folder.name}/socket"
        self._sockets: dict[str, socket.socket] = {}
        stream, datagram = self._one_port()
        self._sockets.update(tcp=stream, udp=datagram)
        self._open("unix", socket.AF_UNIX, socket.SOCK_STREAM, self._path)
        self._open("abstract", socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self._abstract)
        self._open("datagram", socket.AF_UNIX, socket.SOCK_DGRAM, self._path + ".datagram")
        with contextlib.suppress(OSError):  # no IPv6 here
            self._open("tcp6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))

    def _open(self, name: str, family: int, kind: int, address: Any) -> None:
        self._sockets[name] = self._bound(family, kind, address)

    @staticmethod
    def _bound(family: int, kind: int, address: Any) -> socket.socket:
        one = socket.socket(family, kind)
        try:
            one.bind(address)
            one.setblocking(False)
            if kind == socket.SOCK_STREAM:
                with contextlib.suppress(OSError, AttributeError):  # so that Fast Open arrives as such
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
                one.listen(8)
        except BaseException:
            one.close()
            raise
        return one

    def _one_port(self) -> tuple[socket.socket, socket.socket]:
        """Return a TCP and a UDP socket on the same port."""
        for _ in range(20):
            stream = self._bound(socket.AF_INET, socket.SOCK_STREAM, (HOST, 0))
            try:
                return stream, self._bound(socket.AF_INET, socket.SOCK_DGRAM, stream.getsockname())
            except OSError:
                stream.close()
        raise OSError("no port is free for both TCP and UDP on 127.0.0.1")

    def target(self, name: str | None, address: str | None, *, guarded: bool) -> Target:
        """Return what an attempt is told."""
        sixth = self._sockets.get("tcp6")
        return Target(
            host=HOST,
            port=self._sockets["tcp"].getsockname()[1],
            port6=None if sixth is None else sixth.getsockname()[1],
            path=self._path,
            abstract=self._abstract,
            name=name,
            address=address,
            folder=self._folder.name,
            guarded=guarded,
        )

    def saw(self, name: str) -> int:
        """Return how many connections or datagrams arrived at a listener."""
        count, one = 0, self._sockets.get(name)
        with contextlib.suppress(BlockingIOError):
            while one is not None:
                if one.type == socket.SOCK_STREAM:
                    one.accept()[0].close()
                else:
                    one.recv(64)
                count += 1
        return count

    def __enter__(self) -> Self:
        """Nothing more to open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        for one in self._sockets.values():
            one.close()
        self._folder.cleanup()
