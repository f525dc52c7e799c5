"""Every route by which code can dial or look a name up, tried for real. Runs in a child of `egressguard prove`.

A route is a function of a target and of ``guard``, which installs the guard (or, in the unguarded run, does nothing):
what stands before that call happened before the guard. The functions only try; the parent's listeners say what arrived.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

SECONDS = 2.0


class Absent(Exception):
    """The route does not exist on this machine; the text says what is missing."""


class Target(NamedTuple):
    """Where the parent listens, and a name and an address that this machine knows without asking anybody."""

    host: str
    port: int  # TCP and UDP
    port6: int | None
    path: str
    abstract: str
    name: str | None
    address: str | None
    folder: str
    guarded: bool


Guard = Callable[[], None]
Try = Callable[[Target, Guard], object]


class Route(NamedTuple):
    """What is tried, which layer claims to stop it, and what shows that it worked.

    ``evidence`` is the listener that must see something (``tcp``, ``udp``, ``tcp6``, ``unix``, ``abstract``,
    ``datagram``), or ``returned`` for what returns only if it worked.
    """

    name: str
    layer: str
    evidence: str
    attempt: Try


ROUTES: dict[str, Route] = {}


def route(name: str, evidence: str = "tcp", layer: str = "python") -> Callable[[Try], Try]:
    """Add a function to `ROUTES`."""

    def add(attempt: Try) -> Try:
        ROUTES[name] = Route(name, layer, evidence, attempt)
        return attempt

    return add


def tcp(family: int = socket.AF_INET) -> socket.socket:
    """Return a stream socket that does not wait for long."""
    one = socket.socket(family, socket.SOCK_STREAM)
    one.settimeout(SECONDS)
    return one


def _dial(name: str, address: Callable[[Target], Any], evidence: str = "tcp", family: int = socket.AF_INET) -> None:
    @route(name, evidence)
    def attempt(target: Target, guard: Guard) -> None:
        guard()
        tcp(family).connect(address(target))


def _port6(target: Target) -> int:
    if target.port6 is None:
        raise Absent("no IPv6 loopback")
    return target.port6


_dial("connect", lambda t: (t.host, t.port))
_dial("connect to ::1", lambda t: ("::1", _port6(t)), "tcp6", socket.AF_INET6)
_dial("connect to 0.0.0.0", lambda t: ("0.0.0.0", t.port))  # noqa: S104  Linux dials it as loopback
_dial("connect to ::ffff:127.0.0.1", lambda t: (f"::ffff:{t.host}", t.port), family=socket.AF_INET6)
_dial("connect to 127.1", lambda t: ("127.1", t.port))
_dial("connect to 2130706433", lambda t: ("2130706433", t.port))
_dial("connect to localhost", lambda t: ("localhost", t.port))


@route("connect_ex")
def connect_ex(target: Target, guard: Guard) -> None:
    """The variant that returns the error."""
    guard()
    tcp().connect_ex((target.host, target.port))


@route("connect, kept from before install()")
def captured(target: Target, guard: Guard) -> None:
    """A bound method that somebody took before the guard was there."""
    dial = tcp().connect
    guard()
    dial((target.host, target.port))


@route("connect of _socket.socket itself")
def base_method(target: Target, guard: Guard) -> None:
    """Past what a patch of the Python class would see."""
    import _socket  # noqa: PLC0415

    guard()
    _socket.socket.connect(tcp(), (target.host, target.port))


@route("connect in another thread")
def other_thread(target: Target, guard: Guard) -> None:
    """A thread that was not there at install()."""
    guard()
    errors: list[BaseException] = []

    def dial() -> None:
        try:
            tcp().connect((target.host, target.port))
        except BaseException as error:  # noqa: BLE001  handed to the thread that reports
            errors.append(error)

    thread = threading.Thread(target=dial)
    thread.start()
    thread.join()
    for error in errors:
        raise error


@route("connect in a forked child")
def forked_child(target: Target, guard: Guard) -> None:
    """The guard is inherited."""
    guard()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            tcp().connect((target.host, target.port))
        os._exit(0)
    os.waitpid(pid, 0)


@route("connect of a re-imported _socket")
def imported_again(target: Target, guard: Guard) -> None:
    """A fresh socket type, where the interpreter makes one."""
    guard()
    sys.modules.pop("_socket", None)
    import _socket  # noqa: PLC0415

    one = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.connect((target.host, target.port))


@route("connect of a copied _socket")
def copied_module(target: Target, guard: Guard) -> None:
    """A copy of the extension has a method table of its own."""
    import _socket  # noqa: PLC0415

    file = getattr(_socket, "__file__", None)
    if file is None:
        raise Absent("_socket is built into this interpreter")
    guard()
    copy = shutil.copy(file, target.folder)
    spec = importlib.util.spec_from_file_location("_socket", copy)
    if spec is None or spec.loader is None:
        raise Absent("an extension cannot be loaded by path")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.socket(socket.AF_INET, socket.SOCK_STREAM).connect((target.host, target.port))


@route("connect in a subinterpreter")
def subinterpreter(target: Target, guard: Guard) -> None:
    """An interpreter that never imported egressguard."""
    guard()
    source = f"import _socket; _socket.socket(2, 1).connect(({target.host!r}, {target.port}))"
    for name in ("_interpreters", "_xxsubinterpreters"):
        with contextlib.suppress(ImportError):
            module = importlib.import_module(name)
            break
    else:
        raise Absent("no subinterpreters")
    number = module.create()
    failure = module.run_string(number, source)
    if failure is not None:
        raise RuntimeError(str(failure))


@route("create_connection")
def create_connection(target: Target, guard: Guard) -> None:
    """What most clients call."""
    guard()
    socket.create_connection((target.host, target.port), timeout=SECONDS)


@route("sendto", "udp")
def sendto(target: Target, guard: Guard) -> None:
    """One datagram."""
    guard()
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (target.host, target.port))


@route("sendmsg", "udp")
def sendmsg(target: Target, guard: Guard) -> None:
    """One datagram with room for control messages."""
    guard()
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, (target.host, target.port))


@route("connect and send of a datagram socket", "udp")
def connected_datagram(target: Target, guard: Guard) -> None:
    """A datagram socket with a peer."""
    guard()
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect((target.host, target.port))
    one.send(b"x")


@route("sendto with MSG_FASTOPEN")
def fast_open(target: Target, guard: Guard) -> None:
    """Dials and sends in one call, without connect."""
    guard()
    tcp().sendto(b"x", socket.MSG_FASTOPEN, (target.host, target.port))


@route("connect of a UNIX socket", "unix")
def unix_path(target: Target, guard: Guard) -> None:
    """A path that another process listens on."""
    guard()
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(target.path)


@route("connect of an abstract UNIX socket", "abstract")
def unix_abstract(target: Target, guard: Guard) -> None:
    """A name without a file."""
    guard()
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect("\0" + target.abstract)


@route("sendto of a UNIX datagram", "datagram")
def unix_datagram(target: Target, guard: Guard) -> None:
    """A datagram to another process."""
    guard()
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", target.path + ".datagram")


@route("setsockopt IP_OPTIONS", "returned")
def ip_options(_target: Target, guard: Guard) -> None:
    """Source routes are set with it; here only two bytes that mean nothing."""
    guard()
    tcp().setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x00")


@route("http.client")
def http_client(target: Target, guard: Guard) -> None:
    """The standard library's client."""
    import http.client  # noqa: PLC0415

    guard()
    http.client.HTTPConnection(target.host, target.port, timeout=SECONDS).connect()


@route("asyncio.open_connection")
def asyncio_stream(target: Target, guard: Guard) -> None:
    """The event loop's own connect."""
    import asyncio  # noqa: PLC0415

    guard()
    asyncio.run(asyncio.wait_for(asyncio.open_connection(target.host, target.port), SECONDS))


def command(arguments: list[str]) -> None:
    """Run another program to its end. Raises RuntimeError where it fails."""
    done = subprocess.run(arguments, capture_output=True, timeout=10 * SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}")
