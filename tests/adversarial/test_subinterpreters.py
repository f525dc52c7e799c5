"""Subinterpreters of a guarded process are guarded, whenever they were made, and with or without a GIL of their own."""

from __future__ import annotations

import children
import interpreters
import pytest
from listeners import Endpoint

# Runs in the subinterpreter, which may be isolated: it writes what came of each route to a descriptor.
INNER = """
import _socket, json, os
TCP, UDP = _socket.SOCK_STREAM, _socket.SOCK_DGRAM
here = ("127.0.0.1", PORT)
def one(kind):
    return _socket.socket(_socket.AF_INET, kind)
routes = {
    "connect": lambda: one(TCP).connect(here),
    "connect_ex": lambda: one(TCP).connect_ex(here),
    "connect, then send": lambda: (lambda udp: (udp.connect(here), udp.send(b"x")))(one(UDP)),
    "sendto": lambda: one(UDP).sendto(b"x", here),
    "sendmsg": lambda: one(UDP).sendmsg([b"x"], [], 0, here),
}
told = {}
for name, call in routes.items():
    try:
        call()
        told[name] = "done"
    except RuntimeError as error:
        told[name] = [type(error).__module__, type(error).__name__, error.reason, error.route]
os.write(PIPE, json.dumps(told).encode())
"""
DRIVER = """
import json, os, sys
import interpreters
from inside import tell
mode, when, gil, port, inner = sys.argv[1:]
early = interpreters.create(gil)
interpreters.run(early, "import _socket")
if mode == "guarded":
    import egressguard
    egressguard.install(())
chosen = early if when == "before" else interpreters.create(gil)
reading, writing = os.pipe()
interpreters.run(chosen, inner.replace("PORT", port).replace("PIPE", str(writing)))
tell(json.loads(os.read(reading, 65536)))
if mode == "guarded":
    tell([egressguard.violation_count(), [v.route for v in egressguard.violations()]])
"""
CASES = [(when, gil) for when in ("before", "after") for gil in interpreters.GILS]


@pytest.mark.parametrize(("when", "gil"), CASES)
def test_every_route_is_refused_in_a_subinterpreter(when: str, gil: str, listener: Endpoint) -> None:
    """Made before or after install; the journal is one for the whole process."""
    told = children.python(DRIVER, "unguarded", when, gil, listener.port, INNER).last()
    assert set(told.values()) == {"done"}
    assert sorted(listener.seen()) == ["tcp", "tcp", "udp", "udp", "udp"]
    told, journal = children.python(DRIVER, "guarded", when, gil, listener.port, INNER).told()
    assert listener.seen() == []
    routes = ["connect", "connect_ex", "connect", "sendto", "sendmsg"]
    assert list(told.values()) == [["egressguard", "EgressViolation", "loopback", route] for route in routes]
    assert journal == [5, routes]


MANY = """
import sys
import interpreters
from inside import tell
import egressguard
egressguard.install(())
inner = '''
import _socket
try:
    _socket.socket().connect(("127.0.0.1", 9))
except RuntimeError as error:
    assert error.reason == "loopback", error
else:
    raise AssertionError("connected")
'''
for _ in range(10):
    one = interpreters.create(sys.argv[1])
    interpreters.run(one, inner)
    interpreters.destroy(one)
tell(egressguard.violation_count())
"""


@pytest.mark.parametrize("gil", interpreters.GILS)
def test_many_subinterpreters_come_and_go(gil: str) -> None:
    """The exception type lives in each interpreter's own dict: nothing of one is left to the next."""
    assert children.python(MANY, gil).last() == 10
