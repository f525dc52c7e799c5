"""Malformed input keeps CPython's own exception type and message: a table, run with the guard and without it.

Both runs have a network of their own, without a way out: CPython looks up some of what is malformed.
"""

from __future__ import annotations

import functools

import children
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

DRIVER = r"""
import json, socket, sys
from inside import tell
if sys.argv[1] == "guarded":
    import logging
    import egressguard
    logging.disable()
    egressguard.install(())

class Index:
    def __init__(self, value): self.value = value
    def __index__(self): return self.value
class Raises:
    def __index__(self): raise ZeroDivisionError("the index")
class Huge:
    def __index__(self): return 10**30
class NoIndex:
    def __int__(self): return 9
    def __str__(self): return "9"
class Overflows:
    def __index__(self): raise OverflowError("the index")
class Wrong:
    def __index__(self): return "9"
class Str(str): pass
class Int(int): pass
class Tuple(tuple): pass

PORTS = [-1, 65536, 2**31, -2**31, 2**63, 2**64, 10**40, -10**40, 1.0, 9.5, "9", b"9", None, [], NoIndex(), Raises(),
         Huge(), Wrong(), Overflows(), Index(-1), Index(65536), Int(-1), Int(65536), 1j]
HOSTS = [None, 1, 1.0, [], (), {}, object, "a\0b", b"a\0b", bytearray(b"a\0b"), "\ud800", "\udc80.example", "a..b",
         ".example", "\xe9" * 64 + ".example", "\u3002\u3002", "xn--\xe9", Str("a\0b"), memoryview(b"127.0.0.1"), True,
         "127.0.0.1\0", "\0", "a\0", "\xad.\xad", "a" * 63, "a" * 64, "a" * 255, "a" * 256, ("a" * 50 + ".") * 5,
         ("a" * 50 + ".") * 5 + "a", "\xe9" * 63, "\uff0e", "a\uff0e\uff0eb", "a b", "a/b", "a:b", "[::1]", "%", "a%b", "*"]
SHAPES = [(), ("127.0.0.1",), ("127.0.0.1", 9, 0), ("127.0.0.1", 9, 0, 0), ("127.0.0.1", 9, 0, 0, 0), [], ["127.0.0.1", 9],
          None, 5, "127.0.0.1", b"127.0.0.1", {"host": 9}, {}, iter(()), object(), ("127.0.0.1", 9, Raises()), Tuple(),
          Tuple(("127.0.0.1",)), 1.5, ...]
SIX = [("::1",), ("::1", 9, 1 << 20, 0), ("::1", 9, -1, 0), ("::1", 9, 2**32, 0), ("::1", 9, "0", 0), ("::1", 9, 0, "0"),
       ("::1", 9, None, 0), ("::1", 9, 0, None), ("::1", 9, 0, 0, 0), ("::1", 9, 10**30, 0), ("::1", 9, 0, Raises()),
       ("::1", 9, Raises(), 0), ("::1", 9, 1.5, 0), ("::1", -1, 0, 0), ("::1", 65536, 0, 0), ("a\0b", 9, 0, 0), (None, 9),
       ("<broadcast>", 9), ("127.0.0.1", -1), ("<broadcast>", -1), ("<broadcast>", 9, 1 << 20), ("127.0.0.1", 9, 1 << 20),
       ("127.0.0.1", 9, -1), ("::1", 9, Overflows()), ("::1", 9, 0, Overflows()), ("::1", 10**30, Raises()), ("::1", -1, Raises()),
       ("a\0b", Raises()), (None, Raises()), ("a\0b", 9, Raises()), ("::1", 9, 0, 0, Raises())]
NAMED = [("forbidden.example", 9, 1 << 20, 0), ("forbidden.example", 9, -1, 0), ("forbidden.example", 9, Index(1 << 20)),
         (b"forbidden.example", 9, 1 << 20), ("forbidden.example", 9, Overflows()), ("forbidden.example", 9, 0, Overflows())]
UNIX = [None, 5, 1.5, [], (), ("/a",), "/" + "a" * 200, b"/" + b"a" * 200, "\0" + "a" * 200, "/a\0b" * 40, "\ud800" * 3,
        {}, object(), True, "/nowhere" * 14]

def udp(family=socket.AF_INET): return socket.socket(family, socket.SOCK_DGRAM)

import re
told = {}
def add(title, call):
    try:
        answer = ["value", ascii(call())]
    except BaseException as error:
        answer = [type(error).__name__, ascii(str(error))]
    while title in told:
        title += " again"
    told[title] = [answer[0], re.sub("0x[0-9a-f]+", "0x", answer[1])]

def dials(title, family, address):
    for route in ("connect", "connect_ex", "bind"):
        add(f"{route} {title}", lambda: getattr(udp(family), route)(address))
    add(f"sendto {title}", lambda: udp(family).sendto(b"x", address))
    add(f"sendto flags {title}", lambda: udp(family).sendto(b"x", 0, address))
    if address is not None:
        add(f"sendmsg {title}", lambda: udp(family).sendmsg([b"x"], [], 0, address))

def each(title, family, addresses):
    for number, address in enumerate(addresses):
        dials(f"{title} {number} {re.sub('at 0x[0-9a-f]+', '', ascii(address))[:60]}", family, address)

each("port", socket.AF_INET, [("127.0.0.1", port) for port in PORTS])
each("port of a name", socket.AF_INET, [("forbidden.example", port) for port in PORTS])
each("host", socket.AF_INET, [(host, 9) for host in HOSTS])
each("host and port", socket.AF_INET, [(host, -1) for host in HOSTS])
each("shape", socket.AF_INET, SHAPES)
each("IPv6", socket.AF_INET6, SIX)
each("IPv6 name", socket.AF_INET6, NAMED)
each("host, IPv6", socket.AF_INET6, [(host, 9) for host in HOSTS])
each("UNIX", socket.AF_UNIX, UNIX)

for number, data in enumerate([None, 5, "text", [], object(), 1.5]):
    add(f"data {number}", lambda: udp().sendto(data, ("127.0.0.1", -1)))
    add(f"data flags {number}", lambda: udp().sendto(data, 0, ("127.0.0.1", -1)))
for number, flags in enumerate([None, "0", 2**31, 2**63, 10**30, 1.5, Raises(), Wrong(), -2**40]):
    add(f"flags {number}", lambda: udp().sendto(b"x", flags, ("127.0.0.1", -1)))
    add(f"sendmsg flags {number}", lambda: udp().sendmsg([b"x"], [], flags, ("127.0.0.1", -1)))
for number, buffers in enumerate([None, 5, b"x", "x", [None], ["x"], [5], iter([None]), object()]):
    add(f"buffers {number}", lambda: udp().sendmsg(buffers, [], 0, ("127.0.0.1", -1)))
    add(f"buffers alone {number}", lambda: udp().sendmsg(buffers))
CONTROL = [None, 5, b"x", [None], [5], [()], [(1, 1)], [(1, 1, b"", 1)], [("1", 1, b"")], [(1, "1", b"")], [(1, 1, None)],
           [(1, 1, "x")], [(2**31, 1, b"")], [(1, 2**31, b"")], [(2**70, 1, b"")], [(Raises(), 1, b"")], [[1, 1, "x"]],
           [(1.5, 1, b"")], object(), iter([5]), ["abc"], [{}]]
for number, control in enumerate(CONTROL):
    add(f"control {number}", lambda: udp().sendmsg([b"x"], control))
for arguments in ((), (b"x",), (b"x", 0, ("127.0.0.1", 9), 0), (b"x", 0, 0, 0, 0)):
    add(f"sendto {len(arguments)} arguments", lambda: udp().sendto(*arguments))
    add(f"connect {len(arguments)} arguments", lambda: udp().connect(*arguments) if len(arguments) != 1 else 1 / 0)
    add(f"setsockopt {len(arguments)} arguments", lambda: udp().setsockopt(*arguments[:2]))
add("sendto keyword", lambda: udp().sendto(data=b"x", address=()))
add("connect keyword", lambda: udp().connect(address=()))
add("sendmsg none", lambda: udp().sendmsg())
add("sendmsg five", lambda: udp().sendmsg([], [], 0, None, 0))
OPTIONS = [("1", 2, 1), (1, "2", 1), (1, 2, "1"), (1, 2, None), (1, 2, None, "1"), (1, 2, None, None), (1, 2, 1, 1), (None, 2, 1),
           (2**31, 2, 1), (1, 2**31, 1), (2**70, 1, 1), (1, 2**70, 1), (1, 2, 2**40), (Raises(), 2, 1), (1, Raises(), 1),
           (1.5, 2, 1), (1, 2, 1.5), (1, 9999, 1), (9999, 1, 1), (1, 2, b"x", 1), (1, 2, [], 1)]
for number, option in enumerate(OPTIONS):
    add(f"setsockopt {number}", lambda: udp().setsockopt(*option))

import _socket
NAMES = [None, 5, 1.5, [], object(), "a\0b", b"a\0b", bytearray(b"a\0b"), "\ud800", memoryview(b"x"), True, "\xe9" * 64, "a..b",
         ".x", (), "a\0"]
for number, name in enumerate(NAMES):
    for function in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        add(f"{function} {number}", lambda: getattr(_socket, function)(name))
    if name is not None:
        add(f"getaddrinfo {number}", lambda: _socket.getaddrinfo(name, 9))
for number, port in enumerate([1.5, [], object(), -1, 65536, 2**70, "nosuchservice", b"nosuchservice", "9\0", "\ud800", "-1", " 9", "",
                               NoIndex(), Index(9), True, Int(9), bytearray(b"9")]):
    add(f"getaddrinfo port {number}", lambda: _socket.getaddrinfo("127.0.0.1", port))
    add(f"getaddrinfo port of a name {number}", lambda: _socket.getaddrinfo("forbidden.example", port))
add("getaddrinfo none", lambda: _socket.getaddrinfo())
add("getaddrinfo one", lambda: _socket.getaddrinfo("127.0.0.1"))
add("getaddrinfo both none", lambda: _socket.getaddrinfo(None, None))
add("getaddrinfo family", lambda: _socket.getaddrinfo("127.0.0.1", 9, 999))
add("getaddrinfo family text", lambda: _socket.getaddrinfo("127.0.0.1", 9, "2"))
add("getaddrinfo type", lambda: _socket.getaddrinfo("127.0.0.1", 9, 0, 999))
add("getaddrinfo flags", lambda: _socket.getaddrinfo("127.0.0.1", 9, flags=2**31))
add("getaddrinfo bad flags", lambda: _socket.getaddrinfo("127.0.0.1", 9, flags=0x4000000))
add("getaddrinfo keyword", lambda: _socket.getaddrinfo("127.0.0.1", 9, family=2, wrong=1))
add("getaddrinfo wrong family", lambda: _socket.getaddrinfo("::1", 9, 2))
add("gethostbyname two", lambda: _socket.gethostbyname("127.0.0.1", 1))
add("gethostbyname none", lambda: _socket.gethostbyname())
add("gethostbyname IPv6", lambda: _socket.gethostbyname("::1"))
SOCKADDRS = [None, 5, "x", [], (), ("127.0.0.1",), ("127.0.0.1", 9, 0), ("127.0.0.1", "9"), ("127.0.0.1", -1), ("127.0.0.1", 65536),
             ("forbidden.example", 9), ("a\0b", 9), (None, 9), (5, 9), (b"127.0.0.1", 9), ("::1", 9, 1 << 20, 0),
             ("::1", 9, 0, 0, 0), ("::1", 9, 0, 0, Raises()), (None, Raises()), ("\ud800", Raises()), (Str("a\0b"), Raises()),
             ("\uff11\uff12\uff17.1", 9), ("::1", 9, Raises(), 0), ("127.0.0.1", Raises()), ("127.0.0.1", Index(9)), ("", 9), ("127.1", 9)]
for number, address in enumerate(SOCKADDRS):
    for flags in (0, 1, 2, 3):
        add(f"getnameinfo {number} {flags}", lambda: _socket.getnameinfo(address, flags))
add("getnameinfo flags", lambda: _socket.getnameinfo(("127.0.0.1", 9), "0"))
add("getnameinfo huge flags", lambda: _socket.getnameinfo(("127.0.0.1", 9), 2**31))
add("getnameinfo one", lambda: _socket.getnameinfo(("127.0.0.1", 9)))

tell(told)
"""


@functools.cache
def answers(mode: str) -> dict[str, list[str]]:
    """Return what each call of the table answered: `value` or the type of the exception, and its text."""
    told = children.python_alone(DRIVER, mode).last()
    assert isinstance(told, dict)
    return told


def differences(*kinds: str) -> dict[str, tuple[list[str], list[str]]]:
    """Return the calls that answered another thing, where CPython's own answer is of these kinds."""
    free, held = answers("unguarded"), answers("guarded")
    assert list(free) == list(held)
    return {
        title: (free[title], held[title]) for title in free if free[title] != held[title] and free[title][0] in kinds
    }


@pytest.mark.parametrize(
    "kind",
    [
        "TypeError",
        "ValueError",
        "OverflowError",
        "UnicodeError",
        "UnicodeEncodeError",
        "ZeroDivisionError",
        "OSError",
        "AttributeError",
        "BufferError",
    ],
)
def test_the_exception_is_cpythons_own(kind: str) -> None:
    """Type and text: code that tells errors apart, or shows them, sees no difference."""
    assert differences(kind) == {}


def test_a_lookup_that_cpython_would_have_made_is_refused_instead() -> None:
    """Some malformed input gets as far as libc: then nothing is asked, and what is wrong besides is still said."""
    for title, (_, held) in differences("gaierror").items():
        assert held[0] in ("EgressViolation", "OverflowError"), title
        if held[0] == "OverflowError":
            assert held[1].endswith(("port must be 0-65535.'", "flowinfo must be 0-1048575.'")), title


def test_what_cpython_takes_is_judged() -> None:
    """It dials loopback, so it is refused; nothing that fails without the guard succeeds with it."""
    for title, (_, held) in differences("value", "ConnectionRefusedError", "TimeoutError").items():
        assert held[0] == "EgressViolation", title
        assert "loopback" in held[1], title
    free, held = answers("unguarded"), answers("guarded")
    assert [title for title in free if held[title][0] == "value" != free[title][0]] == []


def test_the_table_is_not_empty() -> None:
    """A table that lost its rows would prove nothing."""
    kinds = [answer[0] for answer in answers("unguarded").values()]
    assert len(kinds) > 1500
    assert all(kinds.count(kind) > 10 for kind in ("TypeError", "OverflowError", "gaierror"))
