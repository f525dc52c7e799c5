"""Out of memory, out of stack, interrupted: refused, never through, and the guard holds afterwards."""

from __future__ import annotations

import importlib.util

import children
import pytest
from listeners import Endpoint
from nameserver import on_lo

# Logging is off: what a log handler does when it is interrupted or out of memory is `logging`'s own affair.
PREAMBLE = """
import logging, socket, sys
import egressguard
logging.disable()
from inside import tell, word
port = int(sys.argv[1])
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
egressguard.install(("203.0.113.5:9",))
class Index:
    def __init__(self, value): self.value = value
    def __index__(self): return self.value
tcp, udp, six = socket.socket(), socket.socket(type=UDP), socket.socket(socket.AF_INET6, UDP)
route = b"\\x83\\x07\\x04" + bytes([203, 0, 113, 5]) + b"\\0"
REFUSED = {
    "connect": lambda: udp.connect(("127.0.0.1", port)),
    "connect, other objects": lambda: udp.connect((bytearray(b"127.0.0.1"), Index(port))),
    "connect, a name": lambda: udp.connect(("localhost", port)),
    "connect, IDNA": lambda: udp.connect(("\\uff11\\uff12\\uff17.0.0.1", port)),
    "connect_ex": lambda: udp.connect_ex(("127.0.0.1", port)),
    "connect, IPv6": lambda: six.connect(("::1", port, 0, 0)),
    "sendto": lambda: udp.sendto(b"x", ("127.0.0.1", port)),
    "sendto with flags": lambda: udp.sendto(b"x", Index(0), (b"127.0.0.1", port)),
    "sendmsg": lambda: udp.sendmsg([b"x"], [(1, 99, b"x")], 0, ("127.0.0.1", port)),
    "setsockopt": lambda: udp.setsockopt(Index(0), Index(4), route),
    "getaddrinfo": lambda: socket.getaddrinfo("forbidden.example", port),
    "getaddrinfo, objects": lambda: socket.getaddrinfo(b"forbidden.example", str(port)),
    "gethostbyname": lambda: socket.gethostbyname("forbidden.example"),
    "gethostbyname_ex": lambda: socket.gethostbyname_ex("forbidden.example"),
    "gethostbyaddr": lambda: socket.gethostbyaddr("203.0.113.9"),
    "getnameinfo": lambda: socket.getnameinfo(("203.0.113.9", port), 0),
}
PASSING = {
    "connect": lambda: udp.connect(("203.0.113.5", 9)),
    "connect, other objects": lambda: udp.connect((bytearray(b"203.0.113.5"), Index(9))),
    "getaddrinfo": lambda: len(socket.getaddrinfo("localhost", 9)),
    "gethostbyname": lambda: socket.gethostbyname("localhost"),
    "gethostbyaddr": lambda: socket.gethostbyaddr("127.0.0.1"),
    "getnameinfo": lambda: socket.getnameinfo(("127.0.0.1", 9), 0),
}
"""
OUT_OF_MEMORY = """
import _testcapi
told = {}
for name, call in {**REFUSED, **{key + " passes": value for key, value in PASSING.items()}}.items():
    found = told[name] = {}
    for allocation in range(1, 120):
        error = None
        _testcapi.set_nomemory(allocation, allocation + 1)
        try:
            try:
                call()
            except BaseException as caught:
                error = caught
            finally:
                _testcapi.remove_mem_hooks()
        except MemoryError as late:  # the allocation was one of this handler's own
            error = error or late
        what = type(error).__name__ if error is not None else "done"
        found[what] = found.get(what, 0) + 1
    found["afterwards"] = word(call)
tell(told)
"""


@pytest.mark.skipif(importlib.util.find_spec("_testcapi") is None, reason="this CPython has no _testcapi")
def test_an_allocation_that_fails(listener: Endpoint) -> None:
    """Each of the first allocations of every route fails once: MemoryError or the violation, never through."""
    told = children.python(PREAMBLE + OUT_OF_MEMORY, listener.port).last()
    assert listener.seen() == []
    for name, found in told.items():
        expected = {"done", "MemoryError"} if name.endswith("passes") else {"EgressViolation", "MemoryError"}
        assert set(found) - {"afterwards"} <= expected, (name, found)
        afterwards = found["afterwards"]
        assert afterwards == "done" if name.endswith("passes") else afterwards in ("loopback", "not-listed", "routing")


def test_the_end_of_the_stack(listener: Endpoint) -> None:
    """At every depth up to the limit: RecursionError or the violation."""
    source = (
        PREAMBLE
        + """
def deeper(call, found):
    try:
        call()
        found.add("done")
    except BaseException as error:
        found.add(type(error).__name__)
    deeper(call, found)
told = {}
sys.setrecursionlimit(300)
for name, call in REFUSED.items():
    found = set()
    try:
        deeper(call, found)
    except RecursionError:
        pass
    told[name] = sorted(found)
tell(told)
"""
    )
    told = children.python(source, listener.port).last()
    assert listener.seen() == []
    for name, found in told.items():
        assert set(found) <= {"EgressViolation", "RecursionError", "TypeError"}, (name, found)
        assert "EgressViolation" in found


def test_an_interrupt_at_every_moment(listener: Endpoint) -> None:
    """A signal handler that raises while calls are refused one after the other: nothing slips through."""
    source = (
        PREAMBLE
        + """
import signal
class Interrupt(Exception): pass
armed, found = [False], {}
def handler(*_):
    if armed[0]:
        raise Interrupt
signal.signal(signal.SIGALRM, handler)

def attempt(call):
    try:
        try:
            armed[0] = True
            call()
            return "done"
        finally:
            armed[0] = False
    except BaseException as error:
        return type(error).__name__

signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0003)
for _ in range(20):  # on a busy machine the timer may miss a whole round
    for call in (REFUSED["connect"], REFUSED["sendto"], REFUSED["getaddrinfo"], REFUSED["connect, a name"]):
        for _ in range(4000):
            what = attempt(call)
            found[what] = found.get(what, 0) + 1
    if found.get("Interrupt", 0) > 10:
        break
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
tell(found)
"""
    )
    told = children.python(source, listener.port).last()
    assert listener.seen() == []
    assert set(told) == {"EgressViolation", "Interrupt"}


def test_a_lookup_of_a_listed_name_can_be_interrupted(own_network: None) -> None:
    """libc waits for a nameserver that is silent; Ctrl-C ends the program then as it does without the guard."""
    source = """
import signal, socket, sys, time
from inside import tell, word
from nameserver import addresses
silent = socket.socket(type=socket.SOCK_DGRAM)
silent.bind((addresses()[0], 53))
import egressguard
egressguard.install(("listed.example:9",))
signal.setitimer(signal.ITIMER_REAL, 0.2)
signal.signal(signal.SIGALRM, signal.default_int_handler)
began = time.monotonic()
told = word(lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("listed.example", 9)))
tell([told, time.monotonic() - began < 4])
"""
    env = {"RES_OPTIONS": "timeout:1 attempts:1"}
    told = children.python_alone(source, addresses=on_lo(), env=env).last()
    assert told[1]
    assert told[0] in ("KeyboardInterrupt", "gaierror")


def test_refused_calls_leave_no_descriptor(listener: Endpoint) -> None:
    """A refused TCP connect closes its socket (ADR-0014): clients close theirs on OSError alone."""
    source = (
        PREAMBLE
        + """
import os
import urllib3.util.connection
def open_descriptors(): return len(os.listdir("/proc/self/fd"))
before = open_descriptors()
held = []
for _ in range(50):
    for call in (lambda: socket.create_connection(("127.0.0.1", port)),
                 lambda: urllib3.util.connection.create_connection(("127.0.0.1", port))):
        try:
            call()
        except egressguard.EgressViolation as violation:
            held.append(violation)  # with its traceback, which holds the socket objects
tell([len(held), open_descriptors() - before])
for one in (tcp, udp, six):
    one.close()
"""
    )
    child = children.python(source, listener.port, flags=["-W", "error"])
    assert child.last() == [100, 0]
    assert "ResourceWarning" not in child.err
    assert listener.seen() == []


def test_a_lookup_that_fails_leaves_the_socket_open(own_network: None) -> None:
    """No violation, so what CPython does: the same object can try again."""
    source = """
import socket
from inside import tell, word
from nameserver import Nameserver
Nameserver()
import egressguard
egressguard.install(("listed.example:9",))
one = socket.socket()
tell([word(lambda: one.connect(("listed.example", 9))), one.fileno() >= 0,
      word(lambda: one.connect(("forbidden.example", 9))), one.fileno()])
"""
    assert children.python_alone(source, addresses=on_lo()).last() == ["gaierror", True, "not-listed", -1]
