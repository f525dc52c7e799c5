"""A message that the guard sends itself waits, fails, is interrupted and is told to audit hooks as CPython's own."""

from __future__ import annotations

from typing import Any

import children
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

PREAMBLE = """
import array, errno, os, signal, socket, struct, sys, threading, time
from inside import outcome, tell, word
LISTED = "203.0.113.5"
server = socket.create_server((LISTED, 9))
server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind((LISTED, 9))
if sys.argv[1] == "guarded":
    import egressguard
    egressguard.install((f"{LISTED}:9", "[fe80::9]:9", "unix:@egressguard-sending"))
one = socket.socket(type=socket.SOCK_DGRAM)
def full():
    # A connected stream takes an address and ignores it: its buffer can be filled.
    stream = socket.create_connection((LISTED, 9))
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream.setblocking(False)
    failures = 0
    while failures < 5:  # what was sent moves to the receiver's buffer for a while
        try:
            stream.send(bytes(65536))
            failures = 0
        except BlockingIOError:
            failures += 1
            time.sleep(0.02)
    return stream
def timed(call):
    began = time.monotonic()
    told = outcome(call)
    return [told["type"], told["text"], round(time.monotonic() - began, 1)]
"""


def both(source: str) -> list[Any]:
    """Return what it told without and with the guard; the same is wanted."""
    modes = ("unguarded", "guarded")
    free, held = (children.python_alone(PREAMBLE + source, mode, addresses=["203.0.113.5/32"]).last() for mode in modes)
    assert held == free
    return held  # type: ignore[no-any-return]


CALLS = ["stream.sendto(b'x' * 65536, (LISTED, 9))", "stream.sendmsg([b'x' * 65536], [], 0, (LISTED, 9))"]


@pytest.mark.parametrize("call", CALLS)
def test_a_timeout_ends_the_wait(call: str) -> None:
    told = both(f"stream = full()\nstream.settimeout(0.5)\ntell(timed(lambda: {call}))")
    assert told == ["TimeoutError", "timed out", 0.5]


@pytest.mark.parametrize("call", CALLS)
def test_a_socket_that_does_not_block_says_so(call: str) -> None:
    assert both(f"stream = full()\ntell(timed(lambda: {call}))")[0] == "BlockingIOError"


def test_a_blocking_socket_with_dontwait_does_not_wait() -> None:
    source = "stream = full()\nstream.settimeout(None)\n"
    source += "tell(timed(lambda: stream.sendto(b'x', socket.MSG_DONTWAIT, (LISTED, 9))))"
    assert both(source)[0] == "BlockingIOError"


@pytest.mark.parametrize("timeout", [None, 30])
def test_a_signal_handler_that_raises_ends_the_wait(timeout: int | None) -> None:
    told = both(f"""
stream = full()
stream.settimeout({timeout})
def handler(*_):
    raise KeyError("from the handler")
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
tell(timed(lambda: stream.sendto(bytes(1 << 20), (LISTED, 9))))
""")
    assert told[0] == "KeyError"


def test_a_handler_that_returns_lets_it_go_on() -> None:
    told = both("""
stream = full()
stream.settimeout(None)
peer = server.accept()[0]
def drain():
    while peer.recv(1 << 20):
        pass
signal.signal(signal.SIGALRM, lambda *_: threading.Thread(target=drain, daemon=True).start())
signal.setitimer(signal.ITIMER_REAL, 0.3)
tell(stream.sendto(b"x", (LISTED, 9)))
""")
    assert told == 1


BUFFERS = {
    "bytes": "b'payload'",
    "bytearray": "bytearray(b'payload')",
    "memoryview": "memoryview(b'-payload-')[1:-1]",
    "array": "array.array('B', b'payload')",
    "nothing": "b''",
    "64 kB less the headers": "b'x' * 65507",
    "too long": "b'x' * 65508",
    "not contiguous": "memoryview(b'payload')[::2]",
    "str": "'payload'",
}


@pytest.mark.parametrize("buffer", BUFFERS)
def test_every_buffer_arrives_as_it_is(buffer: str) -> None:
    """By sendto with and without flags, by sendmsg whole, in parts and with control messages."""
    told = both(f"""
data = {BUFFERS[buffer]}
udp.setblocking(False)
def arrives(call):
    told = outcome(call)
    try:
        got = udp.recv(1 << 17)
    except BlockingIOError:
        got = None
    return [told.get("value"), told.get("type"), told.get("text"), None if got is None else [len(got), got[:20].hex()]]
ttl = (socket.IPPROTO_IP, socket.IP_TTL, struct.pack("=I", 9))
tos = (socket.IPPROTO_IP, socket.IP_TOS, struct.pack("=I", 4))
tell([arrives(lambda: one.sendto(data, (LISTED, 9))), arrives(lambda: one.sendto(data, 0, (LISTED, 9))),
      arrives(lambda: one.sendmsg([data], [], 0, (LISTED, 9))), arrives(lambda: one.sendmsg([b"<", data, b">"], [], 0, (LISTED, 9))),
      arrives(lambda: one.sendmsg([b"."] * 50 + [data], [ttl, tos], 0, (LISTED, 9))),
      arrives(lambda: one.sendmsg((part for part in [data]), iter([ttl]), 0, (LISTED, 9))),
      arrives(lambda: one.sendmsg([], [], 0, (LISTED, 9))), arrives(lambda: one.sendmsg([data] * 2000, [], 0, (LISTED, 9)))])
""")
    assert (told[0][3] is not None) == (buffer not in ("too long", "not contiguous", "str"))


def test_a_control_message_takes_effect() -> None:
    """IP_TTL of this one datagram, seen by who receives it."""
    told = both("""
udp.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
one.sendmsg([b"x"], [(socket.IPPROTO_IP, socket.IP_TTL, struct.pack("=I", 9))], 0, (LISTED, 9))
_, ancillary, _, _ = udp.recvmsg(10, 100)
tell(struct.unpack("=I", ancillary[0][2])[0])
""")
    assert told == 9


def test_audit_hooks_hear_of_it_once() -> None:
    """With the address as the caller gave it, and they can prevent it."""
    told = both("""
heard = []
def hook(event, arguments):
    if event in ("socket.sendto", "socket.sendmsg", "socket.connect"):
        heard.append([event, arguments[0] is one, list(arguments[1])])
        if len(heard) > 3:
            raise ZeroDivisionError
sys.addaudithook(hook)
words = [word(lambda: one.sendto(b"x", (LISTED, 9))), word(lambda: one.sendmsg([b"x"], [], 0, (LISTED, 9))),
         word(lambda: one.connect((LISTED, 9))), word(lambda: one.sendto(b"x", (LISTED, 9)))]
udp.setblocking(False)
arrived = 0
try:
    while udp.recv(10):
        arrived += 1
except BlockingIOError:
    pass
tell([heard, words, arrived])
""")
    assert told[1:] == [["done", "done", "done", "ZeroDivisionError"], 2]


def test_a_closed_socket_is_a_bad_descriptor() -> None:
    """Also where a raw socket makes the guard look at descriptors."""
    for raw in ("", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 17)\n"):
        told = both(f"""
{raw}one.close()
tell([timed(call)[:2] for call in (lambda: one.sendto(b"x", (LISTED, 9)), lambda: one.sendmsg([b"x"], [], 0, (LISTED, 9)),
                                  lambda: one.connect((LISTED, 9)))] + [one.connect_ex((LISTED, 9))])
""")
        assert [kind for kind, _ in told[:3]] == ["OSError"] * 3
        assert told[3] == 9  # EBADF


def test_a_generator_of_buffers_reaches_a_unix_socket() -> None:
    """It can be read once only: the guard reads it, and the original sends."""
    told = both("""
peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
peer.bind("\\0egressguard-sending")
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
tell([one.sendmsg((part for part in (b"one", b"two")), [], 0, "\\0egressguard-sending"), peer.recv(10).decode()])
""")
    assert told == [6, "onetwo"]


OBSERVED = """
import socket, sys
from inside import tell
peer = socket.socket(type=socket.SOCK_DGRAM)
peer.bind(("203.0.113.5", 9))
if sys.argv[1] == "observed":
    import egressguard
    egressguard.observe(())
one = socket.socket(type=socket.SOCK_DGRAM)
tell([one.sendmsg(iter([b"one", b"two"]), [], 0, ("203.0.113.5", 9)), peer.recv(10).decode()])
"""


@pytest.mark.parametrize("mode", ["free", "observed"])
def test_a_generator_of_buffers_arrives_while_observing(mode: str) -> None:
    """What would be refused is told and let through, whole."""
    assert children.python_alone(OBSERVED, mode, addresses=["203.0.113.5/32"]).last() == [6, "onetwo"]


SLOW = """
stream = full()
stream.settimeout(20)
peers = [server.accept()[0]]
number = stream.fileno()
def replace():
    time.sleep(0.3)
    stream.close()  # and the number becomes another connection's
    global other
    other = socket.create_connection((LISTED, 9))
    peers.append(server.accept()[0])
    assert other.fileno() == number
    while True:  # the kernel still waits on the old one: make room there
        try:
            if not peers[0].recv(1 << 20):
                break
        except OSError:
            break
thread = threading.Thread(target=replace)
thread.start()
told = outcome(lambda: stream.sendto(b"meant for the first", (LISTED, 9)))
thread.join()
peers[1].setblocking(False)
try:
    astray = peers[1].recv(100).decode()
except BlockingIOError:
    astray = ""
tell([told["type"], astray])
"""


def test_a_socket_that_is_closed_while_it_waits_sends_nothing_to_its_successor() -> None:
    """Its descriptor's number may be another connection's by then."""
    assert both(SLOW) == ["OSError", ""]


@pytest.mark.parametrize("buffers", ["None", "5", "[5]", "['x']", "object()"])
def test_buffers_that_are_none_are_told_in_the_originals_words(buffers: str) -> None:
    told = both(f"tell(timed(lambda: one.sendmsg({buffers}, [], 0, (LISTED, 9)))[:2])")
    assert told[0] == "TypeError"


def test_a_scope_in_the_text_counts_for_nothing() -> None:
    """CPython puts the tuple's own scope, or 0, in its place."""
    told = both("""
tell([outcome(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).connect(address))["text"]
      for address in (("fe80::9%lo", 9), ("fe80::9%lo", 9, 0, 0))])
""")
    assert told == ["[Errno 22] Invalid argument"] * 2


KEPT = """
import subprocess
socket.socket(socket.AF_INET, socket.SOCK_RAW, 17)  # from here on each message goes by a private duplicate
quiet = socket.socket(type=socket.SOCK_DGRAM)
def descriptors():
    return len(os.listdir("/proc/self/fd"))
def every(address):
    for call in (lambda: one.sendto(b"x", address), lambda: one.sendmsg([b"x"], [], 0, address), lambda: quiet.connect(address),
                 lambda: quiet.connect_ex(address), lambda: one.sendto(b"x" * 65508, address)):
        word(call)
before = descriptors()
for _ in range(300):
    for address in ((LISTED, 9), (LISTED, 10), ("203.0.113.9", 9), ("127.0.0.1", 9), ("localhost", 9)):
        every(address)
tell(descriptors() - before)
"""


def test_private_duplicates_are_closed() -> None:
    """Whatever comes of a message: sent, refused, too long, no route."""
    assert both(KEPT) == 0
