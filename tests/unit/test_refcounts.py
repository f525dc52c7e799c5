"""No reference is lost or kept over any route, allowed or refused, and refusals leave no memory behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import children
import pytest

# Objects whose counts are compared before and after: nothing immortal, nothing that the interpreter shares.
CALLS = """
import gc, socket, sys
from inside import tell
S = socket
class Index:
    __slots__ = ("value",)
    def __init__(self, value): self.value = value
    def __index__(self): return self.value
class Host(str): pass
class Address(tuple): pass
PORT = 50000 + 4321  # beyond the small integers
udp, six, unix = S.socket(type=S.SOCK_DGRAM), S.socket(S.AF_INET6, S.SOCK_DGRAM), S.socket(S.AF_UNIX)
data, flags = bytes(300), Index(0)
exact = ("127.0." + str(0) + ".1", PORT)
loose = Address((Host("127.0.0.1"), Index(PORT)))
raw = (bytearray(b"127.0.0.1"), PORT)
named = ("local" + "host"[:4], PORT)
listed = ("203.0." + str(113) + ".5", PORT)
forbidden = "forbidden" + ".example"[:8]
long = (("::1" + "")[:3], PORT, 0, 0)
path = "/now" + "here"
malformed = ("a\\0b" + "", PORT)
wrong = object()
control = [(1, 99, bytearray(b"x" * 100))]
args = {
    "connect": [(exact,), (loose,), (raw,), (named,), (listed,), (malformed,), ((forbidden, PORT),), ([],)],
    "connect_ex": [(exact,), (loose,), (raw,), (named,), (listed,), (malformed,), ((forbidden, PORT),)],
    "bind": [((forbidden, PORT),), (malformed,), ([],)],
    "sendto": [(data, exact), (data, flags, loose), (data, 0, raw), (data, named), (data, malformed), (data,), (data, [])],
    "sendmsg": [([data], [], flags, exact), ([data], control, 0, loose), ([data], control, 0, malformed), ([data], [wrong], 0, exact),
                (wrong, [], 0, exact)],
    "setsockopt": [(0, 4, data), (Index(0), Index(4), data), (Index(1), Index(2), Index(1)), ("x", 1, 1)],
}
calls = [(f"{name} {number}", getattr(udp, name), arguments) for name in args for number, arguments in enumerate(args[name])]
calls += [("connect IPv6", six.connect, (long,)), ("sendto IPv6", six.sendto, (data, long)), ("connect UNIX", unix.connect, (path,))]
calls += [(f"{function.__name__} {number}", function, arguments)
          for function, all_arguments in ((S.getaddrinfo, [(forbidden, PORT), (exact[0], PORT), (bytearray(b"localhost"), "80"), (wrong, wrong)]),
                                          (S.gethostbyname, [(forbidden,), (exact[0],), (named[0],), (wrong,)]),
                                          (S.gethostbyname_ex, [(forbidden,), (exact[0],), (named[0],), (wrong,)]),
                                          (S.gethostbyaddr, [(forbidden,), (exact[0],), ("203.0.113.99",), (wrong,)]),
                                          (S.getnameinfo, [(exact, 0), (loose, 3), (("203.0.113.99", PORT), 0), (wrong, 0)]))
          for number, arguments in enumerate(all_arguments)]

def parts(value, depth=3):
    yield value
    if depth and isinstance(value, (tuple, list)):
        for item in value:
            yield from parts(item, depth - 1)

def counts(arguments):
    return [sys.getrefcount(one) for one in parts(arguments)]

def run(call, arguments, times):
    for _ in range(times):
        try:
            call(*arguments)
        except BaseException:
            pass

def changed():
    found = {}
    for title, call, arguments in calls:
        run(call, arguments, 3)
        before = counts(arguments), sys.getrefcount(getattr(call, "__self__", call)), sys.getrefcount(None) if sys.version_info < (3, 12) else 0
        run(call, arguments, 50)
        after = counts(arguments), sys.getrefcount(getattr(call, "__self__", call)), sys.getrefcount(None) if sys.version_info < (3, 12) else 0
        if before[:2] != after[:2] or abs(before[2] - after[2]) > 20:
            found[title] = [before, after]
    return found
"""
REFUSED = """
import logging
logging.disable()
import egressguard
egressguard.install(("203.0.113.5:*",))
tell(changed())
"""


def test_refused_and_malformed_calls_keep_no_reference() -> None:
    """The arguments, their items and the socket: counted over 50 calls of each kind."""
    assert children.python(CALLS + REFUSED).last() == {}


OPENED = """
import logging
import egressguard

def test_it(egress_test_loopback, capsys):
    logging.disable()
    listener = S.socket(type=S.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    with capsys.disabled():
        tell(changed())
"""


def test_calls_that_pass_keep_no_reference(tmp_path: Path) -> None:
    """The same calls in a test that requested the fixture, where loopback is dialled."""
    assert children.pytest_run(tmp_path, CALLS + OPENED, "-q").last() == {}


FLAT = """
import gc, logging, socket, sys, tracemalloc
from inside import tell
import egressguard
logging.disable()
egressguard.install()
call = {call}
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
def run(times):
    for _ in range(times):
        try:
            call()
        except Exception:
            pass
run(2000)
gc.collect()
blocks, before = sys.getallocatedblocks(), resident()
run(20000)
gc.collect()
tell([sys.getallocatedblocks() - blocks, resident() - before])
"""
REFUSALS: dict[str, Any] = {
    "a number": 'udp.connect(("127.0.0.1", 54321))',
    "other objects": 'udp.connect((bytearray(b"127.0.0.1"), 54321))',
    "a name": 'socket.getaddrinfo("forbidden.example", 54321)',
    "a local name": 'udp.connect(("localhost", 54321))',
    "a message": 'udp.sendmsg([b"x"], [(1, 99, b"x")], 0, ("127.0.0.1", 54321))',
    "a reverse lookup": 'socket.gethostbyaddr("203.0.113.9")',
    "a new socket": 'socket.socket().connect(("127.0.0.1", 54321))',
}


@pytest.mark.parametrize("what", REFUSALS)
def test_twenty_thousand_refusals_leave_no_memory(what: str) -> None:
    """Neither in Python's allocator nor in C's: what the process has resident stays within a page or so."""
    source = FLAT.replace("{call}", f"lambda: {REFUSALS[what]}").replace(
        "call =", "udp = socket.socket(type=socket.SOCK_DGRAM)\ncall ="
    )
    blocks, resident = children.python(source).last()
    assert abs(blocks) < 100
    assert resident < 300_000
