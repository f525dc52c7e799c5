"""Resolvers that take an answer from the nameserver's address alone get it from there, and what it says is granted."""

from __future__ import annotations

import json
import sys
import time

import pytest
from kernellab.wire import EVIL, LISTED, NAMESERVER, Wire

from conftest import Guarded

# As c-ares does it: connected, EDNS, a flag for each send, and an answer from elsewhere is not looked at.
RESOLVER = """
import json, select, socket, struct, sys
NAMESERVER, EVIL = sys.argv[1:3]

def query(name, number=4711, kind=1, payload=1232, more=b""):
    labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0"
    opt = b"\\0" + struct.pack("!HHIH", 41, payload, 0, len(more)) + more if payload else b""
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 1 if payload else 0) + labels + struct.pack("!HH", kind, 1) + opt

def connected():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    s.connect((NAMESERVER, 53))
    return s

def wait(s, seconds=3):
    assert select.select([s], [], [], seconds)[0], "no answer"
    return s.recvfrom(4096)

def ask(s, name, number=4711, flags=socket.MSG_NOSIGNAL, **more):
    s.send(query(name, number, **more), flags)
    answer, source = wait(s)
    assert source == (NAMESERVER, 53), source
    assert answer[:2] == struct.pack("!H", number), answer
    return socket.inet_ntoa(answer[-4:]) if answer[3] & 15 == 0 else answer[3] & 15

def dial(address, port=443):
    with socket.create_connection((address, port), 3):
        return "reached"
"""


def run(wire: Wire, guarded: Guarded, code: str) -> object:
    done = wire.run(guarded([sys.executable, "-c", f"{RESOLVER}{code}", NAMESERVER, EVIL]))
    assert done.returncode == 0, done
    return json.loads(done.stdout.splitlines()[-1])


def test_the_answer_comes_from_the_nameserver_and_is_granted(wire: Wire, guarded: Guarded) -> None:
    code = "s = connected(); ip = ask(s, 'api.test'); print(json.dumps([ip, dial(ip)]))"
    assert run(wire, guarded, code) == [LISTED, "reached"]
    kinds = [(event["kind"], event.get("name")) for event in wire.events()]
    assert kinds == [("dns", "api.test"), ("tcp", None)]  # one question left, the caller's own


def test_answers_that_change_are_granted_as_they_come(wire: Wire, guarded: Guarded) -> None:
    code = (
        "s = connected(); ips = [ask(s, 'changing.test', n) for n in range(4)]; print(json.dumps([ips, dial(ips[0])]))"
    )
    ips, reached = run(wire, guarded, code)  # type: ignore[misc]
    assert len(set(ips)) == 4
    assert reached == "reached"


UNCONNECTED = """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setblocking({blocking})
s.sendto(query("changing.test", 1), (NAMESERVER, 53)); s.sendto(query("changing.test", 2), (NAMESERVER, 53))
answers = [socket.inet_ntoa(wait(s)[0][-4:]) for _ in range(2)]
print(json.dumps([answers, [dial(answer) for answer in answers]]))
"""


@pytest.mark.parametrize("blocking", [True, False])
def test_an_unconnected_socket_with_two_questions_before_it_reads(wire: Wire, guarded: Guarded, blocking: bool) -> None:
    """As musl does it: the second answer lies behind the first."""
    answers, reached = run(wire, guarded, UNCONNECTED.format(blocking=blocking))  # type: ignore[misc]
    assert len(set(answers)) == 2
    assert reached == ["reached"] * 2


def test_without_the_layer_the_forbidden_name_is_asked(wire: Wire) -> None:
    code = "s = connected(); ip = ask(s, 'evil.test'); print(json.dumps([ip, dial(ip)]))"
    assert run(wire, lambda command: command, code) == [EVIL, "reached"]


@pytest.mark.parametrize("payload", [0, 1200, 1232])
def test_a_forbidden_name_does_not_exist_says_the_nameserver(wire: Wire, guarded: Guarded, payload: int) -> None:
    """Without EDNS, as glibc and as c-ares offer it."""
    code = f"print(json.dumps(ask(connected(), 'evil.test', payload={payload})))"
    started = time.monotonic()
    assert run(wire, guarded, code) == 3
    assert time.monotonic() - started < 3
    assert wire.events() == []


def test_an_answer_that_leads_to_this_machine_is_not_granted(wire: Wire, guarded: Guarded) -> None:
    code = """
told = ask(connected(), "rebind.test")
try:
    dial("127.0.0.1")
except PermissionError:
    print(json.dumps([told, "refused"]))
"""
    assert run(wire, guarded, code) == [3, "refused"]


FLOODED = """
import os, threading
s = connected()
stop = []
def flood():
    while not stop:
        for way in (lambda: os.write(s.fileno(), b"SECRET-" * 4), lambda: s.send(b"SECRET-" * 4),
                    lambda: s.send(b"SECRET-" * 4, socket.MSG_NOSIGNAL)):
            try: way()
            except OSError: pass
thread = threading.Thread(target=flood); thread.start()
for number in range(100):
    try:
        s.send(query("api.test", number), socket.MSG_NOSIGNAL)
        while True: s.recv(4096)
    except OSError: pass
stop.append(1); thread.join()
print(json.dumps("done"))
"""


def test_other_bytes_do_not_leave_by_the_socket(wire: Wire, guarded: Guarded) -> None:
    """The socket is connected to the stub, which reads what comes."""
    assert run(wire, lambda command: command, FLOODED) == "done"
    assert "SECRET" in json.dumps(wire.events())
    assert run(wire, guarded, FLOODED) == "done"
    events = wire.events()
    assert {event.get("name") for event in events} == {"api.test"}
    assert "SECRET" not in json.dumps(events)


CORK = """
import os
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
refused = []
for way in (
    lambda: s.setsockopt(17, 1, 1),
    lambda: s.sendto(query("api.test"), socket.MSG_MORE, (NAMESERVER, 53)),
    lambda: s.sendmsg([query("api.test")], [], socket.MSG_MORE, (NAMESERVER, 53)),
):
    try: way()
    except PermissionError: refused.append(True)
    else: refused.append(False)
try: os.write(s.fileno(), b"SECRET")
except OSError: pass
print(json.dumps(refused))
"""


def test_a_question_cannot_be_added_to(wire: Wire, guarded: Guarded) -> None:
    assert run(wire, lambda command: command, CORK) == [False] * 3
    wire.events()
    assert run(wire, guarded, CORK) == [True] * 3
    assert wire.events() == []


SOURCES = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
s = connected()

def receive(flags=0, size=512, room=16, buffer=None, source=None, descriptor=None):
    s.send(query("api.test", 7)); wait_readable(s)
    length = ctypes.c_int(room)
    data = ctypes.create_string_buffer(size) if buffer is None else buffer
    place = ctypes.create_string_buffer(32) if source is None else source
    got = libc.recvfrom(s.fileno(), data, ctypes.c_size_t(size), flags, place, ctypes.byref(length))
    if got < 0:
        return -ctypes.get_errno()
    return [got, data.raw[:2].hex() if size else "", length.value, place.raw[:min(room, 8)].hex()]

def wait_readable(s):
    assert select.select([s], [], [], 3)[0], "no answer"
"""
FROM_NAMESERVER = "020000350a580001"  # AF_INET, port 53, NAMESERVER


def test_the_source_is_written_as_recvfrom_does(wire: Wire, guarded: Guarded) -> None:
    """Cut to the room that there is, with its whole length; a peeked answer stays; MSG_TRUNC tells the whole size."""
    code = f"""{SOURCES}
whole = receive()
peeked = receive(socket.MSG_PEEK)
short = receive(socket.MSG_TRUNC, size=10)
small = receive(room=4)
nothing = receive(size=0)
print(json.dumps([peeked == whole, short[0] == whole[0], small[2:], nothing[0], nothing[3], whole[1:]]))
"""
    expected = [True, True, [16, FROM_NAMESERVER[:8]], 0, FROM_NAMESERVER, ["0007", 16, FROM_NAMESERVER]]
    assert run(wire, lambda command: command, code) == expected
    assert run(wire, guarded, code) == expected


def test_a_place_for_the_source_that_is_none_is_an_error(wire: Wire, guarded: Guarded) -> None:
    code = f"""{SOURCES}
one = receive(room=-1)
other = receive(source=ctypes.c_void_p(16))
third = receive(buffer=ctypes.c_void_p(16))
print(json.dumps([one, other, third]))
"""
    assert run(wire, lambda command: command, code) == [-22, -14, -14]
    assert run(wire, guarded, code) == [-22, -14, -14]


def test_receiving_on_other_sockets_is_as_without_the_layer(wire: Wire, guarded: Guarded) -> None:
    """After a look-up, when the supervisor looks at every socket that asks for a source."""
    code = """
ask(connected(), "api.test")
s = socket.create_connection(("203.0.113.10", 80), 3)
s.send(b"GET / HTTP/1.0\\r\\n\\r\\n", socket.MSG_NOSIGNAL)
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
left.send(b"x" * 20, socket.MSG_NOSIGNAL)
def error_of(call):
    try: return call()
    except OSError as error: return error.errno
empty = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); empty.setblocking(False)
late = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); late.setsockopt(1, 20, struct.pack("ll", 0, 50000))
print(json.dumps([
    s.recvfrom(15)[0].decode(), right.recvfrom(99)[0].decode(), error_of(lambda: empty.recvfrom(9)),
    error_of(lambda: late.recvfrom(9)), error_of(lambda: socket.socket().recvfrom(9)),
]))
"""
    connected: list[object] = ["HTTP/1.0 200 OK", "x" * 20, 11, 11, 107]
    assert run(wire, lambda command: command, code) == connected
    assert run(wire, guarded, code) == connected


TCP_WITH_ADDRESS = """
s = socket.create_connection((NAMESERVER, 53), 3)
message = query("api.test")
s.sendto(struct.pack("!H", len(message)) + message, (NAMESERVER, 53))
answer = s.recv(4096)
t = socket.create_connection(("203.0.113.10", 80), 3)
t.sendto(b"GET / HTTP/1.0\\r\\n\\r\\n", (EVIL, 443))
print(json.dumps([socket.inet_ntoa(answer[-4:]), t.recv(15).decode()]))
"""


def test_the_address_of_a_connected_stream_is_not_looked_at(wire: Wire, guarded: Guarded) -> None:
    """As c-ares sends its first bytes over TCP; the kernel sends on the connection, whatever the address says."""
    expected = [LISTED, "HTTP/1.0 200 OK"]
    assert run(wire, lambda command: command, TCP_WITH_ADDRESS) == expected
    wire.events()
    assert run(wire, guarded, TCP_WITH_ADDRESS) == expected
    assert EVIL not in {event.get("to") for event in wire.events()}


def test_the_environment_of_resolvers_stays_as_it_is(wire: Wire, guarded: Guarded) -> None:
    code = "import os; print(json.dumps([os.environ.get(name) for name in ('RES_OPTIONS', 'GEVENTARES_FLAGS')]))"
    assert run(wire, guarded, code) == [None, None]


def test_a_nameserver_that_is_silent_delays_no_longer_than_the_limit(wire: Wire, guarded: Guarded) -> None:
    """An unconnected socket's question is waited for, in the call that sent it; a connected socket's is not."""
    code = """
import time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setblocking(False)
started = time.monotonic(); sent = s.sendto(query("silent.test"), (NAMESERVER, 53))
c = connected(); middle = time.monotonic(); c.send(query("silent.test"), socket.MSG_NOSIGNAL)
print(json.dumps([sent == len(query("silent.test")), middle - started, time.monotonic() - middle]))
"""
    sent, unconnected, of_stub = run(wire, guarded, code)  # type: ignore[misc]
    assert sent
    assert 1 < unconnected < 5
    assert of_stub < 0.5


CUT = """
import struct
UDP_SEGMENT, UDP = 103, socket.IPPROTO_UDP
secret = query("secret.evil", payload=0)
first = query("api.test", more=struct.pack("!HH", 10, len(secret)))
first = first[:-6] + struct.pack("!HHH", 4 + len(secret), 10, len(secret))  # the second is the cookie of the first
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
segment = struct.pack("=H", len(first))
def attempt(call):
    try:
        return call()
    except OSError as error:
        return error.errno
"""
CUTS = {
    "by a control message": "s.sendmsg([first + secret], [(UDP, UDP_SEGMENT, segment)], 0, (NAMESERVER, 53))",
    "by a control message with bytes left behind it": (
        "libc_sendmsg(s, first + secret, struct.pack('=QiiH6x', 18, UDP, UDP_SEGMENT, len(first)) + struct.pack('=Q', 18))"
    ),
    "by an option": "s.setsockopt(UDP, UDP_SEGMENT, len(first)) or s.sendto(first + secret, (NAMESERVER, 53))",
    "by an option, connected": (
        "s.connect((NAMESERVER, 53)) or s.setsockopt(UDP, UDP_SEGMENT, len(first)) or "
        "s.send(first + secret, socket.MSG_NOSIGNAL)"
    ),
}
LIBC_SENDMSG = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def libc_sendmsg(s, data, control):
    name = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 53) + socket.inet_aton(NAMESERVER) + bytes(8)
    keep = [ctypes.create_string_buffer(part, len(part)) for part in (name, data, control)]
    at = [ctypes.addressof(part) for part in keep]
    vector = ctypes.create_string_buffer(struct.pack("=QQ", at[1], len(data)), 16)
    header = struct.pack("=QIIQQQQiI", at[0], 16, 0, ctypes.addressof(vector), 1, at[2], len(control), 0, 0)
    return libc.sendmsg(s.fileno(), ctypes.create_string_buffer(header, len(header)), 0)
"""


@pytest.mark.parametrize("cut", CUTS)
def test_a_question_is_not_cut_in_two(wire: Wire, guarded: Guarded, cut: str) -> None:
    """The kernel cuts a message where it is told to (UDP_SEGMENT), and the second half is a question for another name."""
    code = (
        f"{LIBC_SENDMSG}{CUT}sent = attempt(lambda: {CUTS[cut]})\nimport time; time.sleep(0.3)\nprint(json.dumps(sent))"
    )
    run(wire, lambda command: command, code)
    assert ("dns", "secret.evil") in [(event["kind"], event.get("name")) for event in wire.events()]
    assert run(wire, guarded, code) is not None
    events = [(event["kind"], event.get("name")) for event in wire.events()]
    # The stub hears the halves of a connected socket's message: neither is a question for a listed name.
    assert events == ([] if "connected" in cut else [("dns", "api.test")]), events


CORK_BY_LEVEL = """
told = []
for level in (socket.IPPROTO_UDP, 136):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.setsockopt(level, 1, 1)
    except OSError:
        pass
    told.append(s.getsockopt(socket.IPPROTO_UDP, 1))
print(json.dumps(told))
"""


def test_a_socket_is_not_corked_by_either_level(wire: Wire, guarded: Guarded) -> None:
    """Linux takes the level of UDP-Lite for UDP_CORK as well, on either kind of socket."""
    assert run(wire, lambda command: command, CORK_BY_LEVEL) == [1, 1]
    assert run(wire, guarded, CORK_BY_LEVEL) == [0, 0]
