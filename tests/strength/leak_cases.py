"""What must not leak: each route and each function of the package, with every way out that it has.

This runs in a child (`test_leaks.py`), in a network of its own where 203.0.113.5 is an address of `lo`. A case is a
function that makes one call and swallows what it raises; what it hands over is in `ARGUMENTS`, whose reference counts
must be the same afterwards.
"""

from __future__ import annotations

import _socket
import copy
import pickle
import socket
import struct
import tempfile
from collections.abc import Callable
from typing import Any

import egressguard
from egressguard import _egressguard

LISTED = "203.0.113.5"
WRITTEN = f"{tempfile.mkdtemp()}/posture.json"
ALLOW = (f"{LISTED}:9", "[2001:db8::5]:9", "198.51.100.0/24:9", "listed.test:80", "*.wild.test:80", "unix:/nowhere")
Case = Callable[[], object]


class Raises:
    """Raises whatever is asked of it."""

    def __index__(self) -> int:
        raise ZeroDivisionError

    __str__ = __fspath__ = __iter__ = __len__ = __getitem__ = __index__  # type: ignore[assignment]


class Text(str):
    """No exact str."""

    __slots__ = ()


class Number(int):
    """No exact int."""


def udp(family: int = socket.AF_INET) -> Any:
    return socket.socket(family, socket.SOCK_DGRAM)


def tcp() -> Any:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


U, U6, T = udp(), udp(socket.AF_INET6), tcp()
UNIX = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
NETLINK = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
RIGHTS = [(socket.SOL_IP, 7, b"\x83\x03\x04"), (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 99))]

ADDRESSES: dict[str, tuple[Any, Any]] = {
    "listed": (U, (LISTED, 9)),
    "listed, copied": (U, (Text(LISTED), Number(9))),
    "listed, bytes": (U, (LISTED.encode(), True + 8)),
    "listed, bytearray": (U, (bytearray(LISTED.encode()), 9)),
    "refused": (U, ("192.0.2.7", 9)),
    "refused port": (U, (LISTED, 10)),
    "refused loopback": (U, ("127.0.0.1", 9)),
    "refused in any spelling": (U, ("0x7f.1", 9)),
    "refused by the own address": (U, ("198.51.100.9", 9)),
    "refused name": (U, ("unlisted.test", 9)),
    "refused name, not ASCII": (U, ("b\u00fccher.test", 9)),
    "name that does not encode": (U, ("\ud800.test", 9)),
    "no name": (U, ("a..b", 9)),
    "name with NUL": (U, ("a\0b", 9)),
    "long name": (U, ("a" * 300, 9)),
    "listed name without an answer": (U, ("listed.test", 80)),
    "localhost": (U, ("localhost", 9)),
    "empty host": (U, ("", 9)),
    "broadcast": (U, ("<broadcast>", 9)),
    "IPv6": (U6, ("2001:db8::7", 9, 0, 0)),
    "IPv6 with a zone": (U6, ("fe80::1%lo", 9, 0, 0)),
    "IPv6, mapped": (U6, ("::ffff:127.0.0.1", 9)),
    "IPv6, flow too large": (U6, ("::1", 9, 1 << 20, 0)),
    "too short": (U, (LISTED,)),
    "too long": (U, (LISTED, 9, 9, 9, 9)),
    "no tuple": (U, LISTED),
    "a list": (U, [LISTED, 9]),
    "None": (U, None),
    "a number as host": (U, (5, 9)),
    "port out of range": (U, ("unlisted.test", 65536)),
    "port far out of range": (U, (LISTED, 1 << 99)),
    "port that raises": (U, (LISTED, Raises())),
    "host that raises": (U, (Raises(), 9)),
    "a string as port": (U, (LISTED, "9")),
    "path": (UNIX, "/nowhere/at/all"),
    "abstract path": (UNIX, b"\0nobody"),
    "listed path": (UNIX, "/nowhere"),
    "path too long": (UNIX, "/" + "a" * 200),
    "netlink to a process": (NETLINK, (1, 0)),
    "netlink, wrong": (NETLINK, (Raises(), 0)),
}


def dials(make: Callable[[Any, Any], Case]) -> dict[str, Case]:
    """Return a case for each address."""
    return {name: make(one, address) for name, (one, address) in ADDRESSES.items()}


def sendto(one: Any, address: Any) -> Case:
    return lambda: one.sendto(b"x", address)


def sendto_flags(one: Any, address: Any) -> Case:
    return lambda: one.sendto(memoryview(b"x"), Number(0), address)


def sendmsg(one: Any, address: Any) -> Case:
    return lambda: one.sendmsg([b"x", bytearray(b"y")], [], 0, address)


def option(*arguments: Any) -> Case:
    return lambda: U.setsockopt(*arguments)


def refusal() -> egressguard.EgressViolation:
    try:
        U.connect(SEVEN)
    except egressguard.EgressViolation as violation:
        return violation
    raise AssertionError


VIOLATION: Any = None  # made once the guard is there
SEVEN, NUMBER = ("192.0.2.7", 9), 1 << 40
MESSAGES: dict[str, Case] = {
    "with rights": lambda: U.sendmsg([b"x"], RIGHTS[1:], 0, (LISTED, 9)),
    "with a route": lambda: U.sendmsg([b"x"], RIGHTS, 0, (LISTED, 9)),
    "no address": lambda: U.sendmsg([b"x"]),
    "a list as control message": lambda: U.sendmsg([b"x"], [[1, 2, b""]], 0, (LISTED, 9)),
    "control message that raises": lambda: U.sendmsg([b"x"], [(Raises(), 2, b"")], 0, (LISTED, 9)),
    "control message too short": lambda: U.sendmsg([b"x"], [(1, 2)], 0, (LISTED, 9)),
    "control messages that raise": lambda: U.sendmsg([b"x"], Raises(), 0, (LISTED, 9)),
    "an iterator": lambda: U.sendmsg(iter([b"x"]), iter(RIGHTS[1:]), 0, (LISTED, 9)),
    "no buffers": lambda: U.sendmsg(5, [], 0, (LISTED, 9)),
    "flags that raise": lambda: U.sendmsg([b"x"], [], Raises(), (LISTED, 9)),
    "too many arguments": lambda: U.sendmsg([b"x"], [], 0, (LISTED, 9), 5),
}
SENDS: dict[str, Case] = {
    "no arguments": lambda: U.sendto(),
    "no buffer": lambda: U.sendto("x", (LISTED, 9)),
    "flags that raise": lambda: U.sendto(b"x", Raises(), (LISTED, 9)),
    "to a nameserver": lambda: U.sendto(bytearray(b"x" * 40), ("127.0.0.53", 53)),
}
OPTIONS: dict[str, Case] = {
    "allowed": option(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
    "allowed, copied": option(Number(socket.SOL_SOCKET), Number(socket.SO_REUSEADDR), 1),
    "four arguments": option(socket.SOL_SOCKET, socket.SO_REUSEADDR, None, 4),
    "refused": option(socket.IPPROTO_IP, 4, b"\x83\x03\x04"),
    "overflow": option(1 << 70, 4, b""),
    "a level that raises": option(Raises(), 4, b""),
    "an option that raises": option(0, Raises(), b""),
    "too few": option(1),
}
HOSTS = {name: address[0] for name, (_, address) in ADDRESSES.items() if type(address) is tuple and name != "too short"}


def lookups(ask: Callable[..., object], *more: Any) -> dict[str, Case]:
    """Return a case for each host of the addresses, and for calls that are none."""

    def make(host: Any) -> Case:
        return lambda: ask(host, *more)

    return {**{name: make(host) for name, host in HOSTS.items()}, "no arguments": lambda: ask(), "None": make(None)}


def bad_install(allow: Any) -> Case:
    return lambda: _egressguard.install(allow)


INSTALLS = {
    "the same": bad_install(ALLOW),
    "another list": bad_install(("192.0.2.1:9",)),
    "the defaults": bad_install(None),
    "no list": bad_install(5),
    "a string": bad_install("192.0.2.1:9"),
    "bad entry": bad_install((*ALLOW, "nothing")),
    "loopback": bad_install(("127.0.0.1:9",)),
    "not text": bad_install((*ALLOW, 5)),
    "does not encode": bad_install(("\ud800:9",)),
    "raises": bad_install(Raises()),
    "raises later": lambda: _egressguard.install(1 / (3 - count) for count in range(9)),
}
EXPLAINED = (
    "listed.test:80",
    "listed.test:81",
    "a.wild.test:80",
    f"{LISTED}:9",
    "[::1]:9",
    "unix:/nowhere",
    "nonsense",
    5,
)


def explained(endpoint: Any, allow: Any) -> Case:
    return lambda: egressguard.explain(endpoint, allow)


def cases() -> dict[str, dict[str, Case]]:
    """Return all cases by what they call. `test_leaks.py` makes sure that no route and no function is missing."""
    global VIOLATION
    VIOLATION = refusal()
    return {
        "connect": dials(lambda one, address: lambda: one.connect(address)),
        "connect_ex": dials(lambda one, address: lambda: one.connect_ex(address)),
        "bind": dials(lambda one, address: lambda: one.bind(address)),
        "sendto": {**dials(sendto), **{f"{name}, flags": case for name, case in dials(sendto_flags).items()}, **SENDS},
        "sendmsg": {**dials(sendmsg), **MESSAGES},
        "setsockopt": OPTIONS,
        "getaddrinfo": {
            **lookups(_socket.getaddrinfo, 9),
            "service that raises": lambda: _socket.getaddrinfo(LISTED, Raises()),
            "keywords": lambda: _socket.getaddrinfo(host=LISTED, port=b"9", family=Number(2), type=1, proto=0, flags=0),
            "unknown keyword": lambda: _socket.getaddrinfo(LISTED, 9, other=1),
        },
        "gethostbyname": lookups(_socket.gethostbyname),
        "gethostbyname_ex": lookups(_socket.gethostbyname_ex),
        "gethostbyaddr": lookups(_socket.gethostbyaddr),
        "getnameinfo": dials(lambda _, address: lambda: _socket.getnameinfo(address, 0)),
        "install": INSTALLS,
        "observe": {"after install": lambda: egressguard.observe(ALLOW), "bad": lambda: egressguard.observe(("x",))},
        "explain": {
            f"{endpoint} {'with' if allow else 'without'} list": explained(endpoint, allow)
            for endpoint in EXPLAINED
            for allow in (None, ALLOW)
        },
        "posture": {"whole": egressguard.posture, "inside": _egressguard.posture},
        "violations": {
            "since": lambda: egressguard.violations(egressguard.violation_count() - 5),
            "one": lambda: _egressguard.violation(egressguard.violation_count()),
            "none": lambda: _egressguard.violation(NUMBER),
            "no number": lambda: _egressguard.violation("x"),
            "text": lambda: [str(one) for one in egressguard.violations(egressguard.violation_count() - 2)],
        },
        "violation_count": {"whole": egressguard.violation_count},
        "raise_pending": {"all": egressguard.raise_pending, "none": lambda: egressguard.raise_pending(NUMBER)},
        "reset_for_test": {"whole": egressguard.reset_for_test},
        "fail_on_exit": {"again": lambda: egressguard.fail_on_exit(70), "bad": lambda: egressguard.fail_on_exit(0)},
        "journal_to": {"refused": lambda: egressguard.journal_to("/nowhere/journal")},
        "posture_to": {
            "written": lambda: egressguard.posture_to(WRITTEN),
            "refused": lambda: egressguard.posture_to("/nowhere/posture"),
        },
        "read_allowlist": {
            "refused": lambda: egressguard.read_allowlist("/nowhere/list"),
            "empty": lambda: egressguard.read_allowlist("/dev/null"),
        },
        "parse": {
            "good": lambda: _egressguard.parse(ALLOW),
            "bad": lambda: _egressguard.parse(("x",)),
            "raises": lambda: _egressguard.parse(Raises()),
            "present": _egressguard.allowlist,
        },
        "listener": {"set": lambda: _egressguard.set_listener(None), "gone": lambda: _egressguard._set_test_loopback},
        "EgressViolation": {
            "raised": refusal,
            "copied": lambda: copy.copy(VIOLATION),
            "pickled": lambda: pickle.loads(pickle.dumps(VIOLATION)),
            "made": lambda: egressguard.EgressViolation("text"),
            "text": lambda: repr(VIOLATION) + str(VIOLATION),
        },
    }


GIVEN: list[Any] = [
    *(part for _, address in ADDRESSES.values() for part in (address, *(address if type(address) is tuple else ()))),
    *(U, U6, T, UNIX, NETLINK, RIGHTS, ALLOW, *RIGHTS, SEVEN, NUMBER),
]
# Before 3.12 None and small numbers count references as everything does, and everybody holds them.
ARGUMENTS = [one for one in GIVEN if one is not None and type(one) is not bool and (type(one) is not int or one > 256)]
