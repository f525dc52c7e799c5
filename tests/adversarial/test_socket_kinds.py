"""Sockets that are no plain TCP or UDP sockets, and objects that lie about which they are.

These need no listener on loopback of the test: each child has a network of its own, where it may make raw sockets, and
where `203.0.113.5` is an address of `lo` that the list opens on port 9. What arrives is counted there.
"""

from __future__ import annotations

from typing import Any

import children
import nameserver
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

PREAMBLE = """
import os, select, socket, struct, sys
from inside import tell, word

LISTED = "203.0.113.5"
guarded = sys.argv[1] == "guarded"

def receiver(port, kind=socket.SOCK_DGRAM, host=LISTED):
    one = socket.socket(socket.AF_INET, kind)
    one.bind((host, port))
    if kind == socket.SOCK_STREAM:
        one.listen()
    return one

def arrived(*receivers):
    # One kernel, one queue: on `lo` what was sent is there when the sender's call returns.
    return len(select.select(receivers, [], [], 0.05)[0])

def tap():
    # Sees every frame on `lo`.
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    one.bind(("lo", 0x0800))
    return one

def install():
    if guarded:
        import egressguard
        egressguard.install((f"{LISTED}:9",))

def udp_packet(port, payload=b"attack"):
    return struct.pack("!HHHH", 9, port, 8 + len(payload), 0) + payload

def ip_packet(host, protocol, payload):
    source = destination = socket.inet_aton(host)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, source, destination)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    return head[:10] + struct.pack("!H", ~total & 0xffff) + head[12:] + payload
"""


def alone(mode: str, source: str) -> Any:
    """Run it and return what it told last."""
    return children.python_alone(PREAMBLE + source, mode, addresses=["203.0.113.5/32"]).last()


def assert_refused(source: str, reason: str) -> None:
    """The attack arrives without the guard; with it the word is the reason and nothing arrives."""
    assert alone("unguarded", source) == ["done", 1]
    assert alone("guarded", source) == [reason, 0]


def test_the_listed_endpoint_itself_is_reached() -> None:
    """An exact entry opens an own address, and only its port: what the attacks below stand beside."""
    source = """
target, other = receiver(9), receiver(10)
install()
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tell([word(lambda: one.sendto(b"x", (LISTED, 9))), arrived(target), word(lambda: one.sendto(b"x", (LISTED, 10))),
      arrived(other)])
"""
    assert alone("unguarded", source) == ["done", 1, "done", 1]
    assert alone("guarded", source) == ["done", 1, "port", 0]


RAW = {
    "raw UDP": "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)",
    "raw, header included": "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)",
}
PACKETS = {"raw UDP": "udp_packet(10)", "raw, header included": "ip_packet(LISTED, 17, udp_packet(10))"}


@pytest.mark.parametrize("kind", RAW)
def test_a_raw_socket_is_refused_at_a_listed_address(kind: str) -> None:
    """It ignores the port of the address: the packet says another one."""
    assert_refused(
        f"""
target = receiver(10)
install()
one = {RAW[kind]}
tell([word(lambda: one.sendto({PACKETS[kind]}, (LISTED, 9))), arrived(target)])
""",
        "socket-type",
    )


@pytest.mark.parametrize("when", ["before install", "after install"])
@pytest.mark.parametrize("kind", RAW)
def test_a_raw_socket_under_a_plain_socket_object(kind: str, when: str) -> None:
    """dup2 puts it under the descriptor of an object that says UDP."""
    make = f"raw = {RAW[kind]}\n"
    assert_refused(
        f"""
target = receiver(10)
{make if when == "before install" else ""}
install()
{make if when == "after install" else ""}
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
os.dup2(raw.fileno(), one.fileno())
tell([word(lambda: one.sendto({PACKETS[kind]}, (LISTED, 9))), arrived(target)])
""",
        "socket-type",
    )


@pytest.mark.parametrize("how", ["this process", "a forked child"])
def test_a_raw_socket_behind_an_object_that_lies(how: str) -> None:
    """`fileno=` with a family and a type is believed by CPython; the socket itself can come from a forked child."""
    make = f"raw = {RAW['raw UDP']}"
    by = {
        "this process": f"{make}\nfd = raw.fileno()",
        "a forked child": f"""
ours, theirs = socket.socketpair(socket.AF_UNIX)
if os.fork() == 0:
    {make}
    socket.send_fds(theirs, [b"x"], [raw.fileno()])
    os._exit(0)
fd = socket.recv_fds(ours, 1, 1)[1][0]
""",
    }[how]
    assert_refused(
        f"""
target = receiver(10)
install()
{by}
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0, fileno=fd)
tell([word(lambda: one.sendto(udp_packet(10), (LISTED, 9))), arrived(target)])
""",
        "socket-type",
    )


FRAME = 'b"\\0" * 12 + b"\\x08\\x00" + ip_packet("127.0.0.1", 17, udp_packet(10))'


def test_a_packet_socket_cannot_be_bound() -> None:
    """Bound to an interface it sends without an address from then on, so bind is its route."""
    assert_refused(
        f"""
target = tap()
install()
one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
def attack():
    one.bind(("lo", 0x0800))
    one.send({FRAME})
tell([word(attack), arrived(target)])
""",
        "socket-type",
    )


def test_a_packet_socket_cannot_send_to() -> None:
    assert_refused(
        f"""
target = tap()
install()
one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
tell([word(lambda: one.sendto({FRAME}, ("lo", 0x0800))), arrived(target)])
""",
        "family",
    )


def test_multipath_tcp_is_judged_like_tcp() -> None:
    """MPTCP dials the address it is given: a listed one passes, another port does not."""
    source = """
target, other = receiver(9, socket.SOCK_STREAM), receiver(10, socket.SOCK_STREAM)
install()
try:
    one, two = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262), socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError:
    tell("no MPTCP")
else:
    tell([word(lambda: one.connect((LISTED, 9))), arrived(target), word(lambda: two.connect((LISTED, 10))), arrived(other)])
"""
    told = alone("unguarded", source)
    if told == "no MPTCP":
        pytest.skip("this kernel has no MPTCP")
    assert told == ["done", 1, "done", 1]
    assert alone("guarded", source) == ["done", 1, "port", 0]


def test_sctp_and_dccp_are_refused_at_a_listed_address() -> None:
    """Other protocols than TCP, UDP, UDP-Lite and MPTCP have no entry; where the kernel lacks them there is nothing to refuse."""
    source = """
install()
words = []
for kind, protocol in ((socket.SOCK_STREAM, 132), (socket.SOCK_SEQPACKET, 132), (6, 33)):
    try:
        one = socket.socket(socket.AF_INET, kind, protocol)
    except OSError:
        continue
    words.append(word(lambda: one.connect((LISTED, 9))))
tell(words)
"""
    assert set(alone("guarded", source)) <= {"socket-type"}


UDPLITE = """
L = 136  # IPPROTO_UDPLITE
try:
    sink, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM, L) for _ in range(2))
except OSError as error:
    tell(str(error))
    sys.exit()
for one, port in ((sink, 9), (other, 10)):
    one.bind((LISTED, port))
install()
def lite(): return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, L)
def connected(port):
    one = lite()
    one.connect((LISTED, port))
    one.send(b"x")
calls = [lambda port: lite().sendto(b"x", (LISTED, port)), lambda port: lite().sendto(b"x", 0, (LISTED, port)),
         lambda port: lite().sendmsg([b"x"], [], 0, (LISTED, port)), connected]
told = []
for call in calls:
    told.append([word(lambda: call(9)), arrived(sink), word(lambda: call(10)), arrived(other)])
    for one in (sink, other):
        one.setblocking(False)
        try: one.recv(9)
        except BlockingIOError: pass
tell(told)
tell([word(lambda: lite().connect_ex((LISTED, 10))), word(lambda: lite().connect(("127.0.0.1", 9))),
      word(lambda: lite().sendto(b"x", (NAMESERVER, 53)))])
"""


def test_udp_lite_reaches_what_udp_reaches() -> None:
    """It has UDP's addresses and ports (RFC 3828, ADR-0018): the listed port, and no other one."""
    source = UDPLITE.replace("NAMESERVER", repr(nameserver.addresses()[0]))
    free = children.python_alone(PREAMBLE + source, "unguarded", addresses=["203.0.113.5/32"]).told()
    if isinstance(free[0], str):
        pytest.skip(f"this kernel has no UDP-Lite: {free[0]}")
    assert free[0] == [["done", 1, "done", 1]] * 4
    held = children.python_alone(PREAMBLE + source, "guarded", addresses=["203.0.113.5/32"]).told()
    assert held == [[["done", 1, "port", 0]] * 4, ["port", "loopback", "nameserver"]]


def test_a_tcp_connect_that_fails_says_so_where_sockets_are_distrusted() -> None:
    """The kernel is asked again after the connect then: what the connect raised stands."""
    source = """
install()
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
def dial(timeout):
    one = socket.socket()
    one.settimeout(timeout)
    one.connect((LISTED, 9))
told = [word(lambda: dial(timeout)) for timeout in (None, 5, 0)]
tell([*told, word(lambda: socket.socket().connect_ex((LISTED, 9)))])
"""
    expected = ["ConnectionRefusedError", "ConnectionRefusedError", "BlockingIOError", "done"]
    assert alone("unguarded", source) == expected
    assert alone("guarded", source) == expected
