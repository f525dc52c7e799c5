"""What is allowed behaves as without the guard: values, errors, audit events, names of sockets.

Each child has a network of its own: 203.0.113.5 and 2001:db8::5 are addresses of `lo`, there is no route elsewhere, and
the list opens all of them.
"""

from __future__ import annotations

import functools

import children
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

DRIVER = r"""
import errno, os, re, socket, struct, sys
from inside import tell
S = socket
HERE, SIX, AWAY, AWAY6 = "203.0.113.5", "2001:db8::5", "198.51.100.9", "2001:db8:1::9"
events = []
def hook(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__":
        # The guard hands the exact reading on: an address that was given as bytes is a str in the event, and the host of a
        # lookup is bytes, since a str would go through the codec again.
        events.append([event, [re.sub(r"(^|\()b'", r"\1'", repr(one)) for one in arguments if not isinstance(one, S.socket)]])
sys.addaudithook(hook)
tcp = S.create_server((HERE, 7001))
six_tcp = S.create_server((SIX, 7001), family=S.AF_INET6)
udp = S.socket(type=S.SOCK_DGRAM)
udp.bind((HERE, 7001))
if sys.argv[1] == "guarded":
    import egressguard
    egressguard.install([f"{HERE}:*", f"[{SIX}]:*", f"{AWAY}:*", f"[{AWAY6}]:*", "255.255.255.255:*", "224.0.0.9:*", "[ff02::9]:*",
                         "[fe80::9]:*"])
told = {}
def add(title, call, *sockets):
    events.clear()
    try:
        answer = ["value", repr(call())]
    except BaseException as error:
        answer = [type(error).__name__, str(error), getattr(error, "errno", None), repr(error.args)]
    seen = list(events)
    names = []
    for one in sockets:
        try:
            names.append([repr(one.getsockname())[:12], repr(one.getpeername())])
        except OSError as error:
            names.append(error.errno)
    told[title] = [answer, seen, names]

for route in ("connect", "connect_ex"):
    for kind in (S.SOCK_STREAM, S.SOCK_DGRAM):
        for family, host in ((S.AF_INET, HERE), (S.AF_INET6, SIX), (S.AF_INET, AWAY), (S.AF_INET6, AWAY6),
                             (S.AF_INET, "255.255.255.255"), (S.AF_INET, "224.0.0.9"), (S.AF_INET6, "ff02::9"), (S.AF_INET6, "fe80::9"),
                             (S.AF_INET, "<broadcast>"), (S.AF_INET6, "::ffff:" + HERE), (S.AF_INET, AWAY.encode())):
            for port in (7001, 7002, 0):
                for timeout in (None, 0, 0.2):
                    if kind == S.SOCK_STREAM and timeout is None and host not in (HERE, SIX):
                        continue
                    one = S.socket(family, kind)
                    one.settimeout(timeout)
                    add(f"{route} {kind} {host} {port} {timeout}", lambda: getattr(one, route)((host, port)), one)
                    one.close()
    closed = S.socket(type=S.SOCK_DGRAM)
    closed.close()
    add(f"{route} closed", lambda: getattr(closed, route)((HERE, 7001)))
    detached = S.socket(type=S.SOCK_DGRAM)
    detached.detach()
    add(f"{route} detached", lambda: getattr(detached, route)((HERE, 7001)))
    twice = S.socket()
    twice.connect((HERE, 7001))
    add(f"{route} twice", lambda: getattr(twice, route)((HERE, 7001)), twice)
    again = S.socket(type=S.SOCK_DGRAM)
    again.connect((HERE, 7001))
    add(f"{route} udp again", lambda: getattr(again, route)((HERE, 7002)), again)
    for extra in ((5,), (5, 0), (0, 99), (0, 1), (0xfffff, 0)):
        flow = S.socket(S.AF_INET6, S.SOCK_DGRAM)
        add(f"{route} IPv6 {extra}", lambda: getattr(flow, route)((SIX, 7001, *extra)), flow)

sender, sender6 = S.socket(type=S.SOCK_DGRAM), S.socket(S.AF_INET6, S.SOCK_DGRAM)
for data in (b"", b"x" * 10, bytearray(b"abc"), memoryview(b"abcd")[1:], b"x" * 70000):
    for host in (HERE, AWAY, "255.255.255.255", "224.0.0.9"):
        size = len(data)
        add(f"sendto {type(data)} {size} {host}", lambda: sender.sendto(data, (host, 7001)))
        add(f"sendto flags {type(data)} {size} {host}", lambda: sender.sendto(data, S.MSG_DONTWAIT, (host, 7001)))
        add(f"sendmsg {type(data)} {size} {host}", lambda: sender.sendmsg([data, b"y"], [], 0, (host, 7001)))
        add(f"sendmsg generator {type(data)} {size} {host}", lambda: sender.sendmsg((one for one in [data]), (), 0, (host, 7001)))
add("sendto IPv6", lambda: sender6.sendto(b"x", (SIX, 7001, 0, 0)))
add("sendto wrong family", lambda: sender6.sendto(b"x", (HERE, 7001)))
add("connect wrong family", lambda: sender.connect((SIX, 7001)))
add("sendmsg no address", lambda: sender.sendmsg([b"x"]))
add("sendmsg None", lambda: sender.sendmsg([b"x"], [], 0, None))
add("sendmsg packet info", lambda: sender.sendmsg([b"x"], [(0, 8, struct.pack("i4s4s", 0, S.inet_aton(HERE), bytes(4)))], 0, (HERE, 7001)))
add("sendmsg big flags", lambda: sender.sendmsg([b"x"], [], 1 << 40, (HERE, 7001)))
connected = S.create_connection((HERE, 7001))
add("stream sendto", lambda: connected.sendto(b"x", (HERE, 7001)), connected)
add("stream sendmsg", lambda: connected.sendmsg([b"x", b"y"]), connected)
fast = S.socket()
add("fast open", lambda: fast.sendto(b"x", S.MSG_FASTOPEN, (HERE, 7001)), fast)
for title, address in (("zero", (HERE, 0)), ("taken", (HERE, 7001)), ("not ours", (AWAY, 0)), ("any", ("", 0)), ("low", (HERE, 1))):
    one = S.socket(type=S.SOCK_DGRAM)
    add(f"bind {title}", lambda: one.bind(address))
add("create_connection", lambda: S.create_connection((HERE, 7001), 5).getpeername())
add("create_connection source", lambda: S.create_connection((HERE, 7001), 5, (HERE, 0)).getsockname()[0])
add("create_connection away", lambda: S.create_connection((AWAY, 7001), 5, all_errors=True))
add("create_server", lambda: S.create_server((HERE, 0)).getsockname()[0])
add("socketpair", lambda: S.socketpair()[0].send(b"x"))
add("getaddrinfo", lambda: S.getaddrinfo(HERE, 7001, 0, S.SOCK_STREAM))
tell(told)
"""


@functools.cache
def answers(mode: str) -> dict[str, list[object]]:
    """Return what each call answered, which audit events it raised, and what the socket is called afterwards."""
    told = children.python_alone(DRIVER, mode, addresses=["203.0.113.5/32", "2001:db8::5/128"]).last()
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize("part", ["answer", "audit events", "names of the socket"])
def test_an_allowed_call_is_the_same_with_the_guard(part: str) -> None:
    """Value for value and error for error; other hooks of the process still hear every event."""
    place = ["answer", "audit events", "names of the socket"].index(part)
    free, held = answers("unguarded"), answers("guarded")
    assert len(free) > 300
    assert list(free) == list(held)
    assert {
        title: (free[title][place], held[title][place]) for title in free if free[title][place] != held[title][place]
    } == {}


def test_the_table_reaches_and_fails() -> None:
    """It holds calls that succeed and calls that fail in several ways: without both it would prove little."""
    kinds = [one[0][0] for one in answers("guarded").values()]  # type: ignore[index]
    assert {"value", "OSError", "ConnectionRefusedError"} <= set(kinds)
    assert kinds.count("value") > 80
    assert "EgressViolation" not in kinds
