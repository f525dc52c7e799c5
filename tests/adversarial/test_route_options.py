"""Socket options and control messages that send elsewhere than the address says."""

from __future__ import annotations

from typing import Any

import children
import pytest

# Numbers of linux/in.h, linux/in6.h and RFC 2292: the `socket` module lacks some of the names.
OPTIONS = {
    "IP_OPTIONS": ("AF_INET", 0, 4, "b'\\x83\\x07\\x04' + bytes([203, 0, 113, 5]) + b'\\0'"),  # loose source route
    "IPV6_RTHDR": ("AF_INET6", 41, 57, "rthdr"),
    "IPV6_2292RTHDR": ("AF_INET6", 41, 5, "1"),
    "IPV6_2292PKTOPTIONS": ("AF_INET6", 41, 6, "cmsg"),
}
# Without privileges the kernel refuses some of these by itself; those then are no attack.
WORKS_UNGUARDED = {"IP_OPTIONS", "IPV6_RTHDR"}
PREAMBLE = """
import socket, struct, sys
from inside import tell, word
if sys.argv[1] == "guarded":
    import egressguard
    egressguard.install(())
# A segment route (RFC 8754) of two hops, which Linux lets everybody set.
hops = [socket.inet_pton(socket.AF_INET6, hop) for hop in ("2001:db8::66", "2001:db8::67")]
rthdr = bytes([0, 4, 4, 1, 1, 0, 0, 0]) + b"".join(hops)
cmsg = struct.pack("=QII", 16 + len(rthdr), 41, 57) + rthdr
"""


def guarded_and_not(source: str) -> tuple[Any, Any]:
    """Return what the source told without and with the guard. It sets options; it sends nothing."""
    return tuple(children.python(PREAMBLE + source, mode).last() for mode in ("unguarded", "guarded"))  # type: ignore[return-value]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_routing_option_is_refused(option: str) -> None:
    """By every way to write level, option and value."""
    family, level, number, value = OPTIONS[option]
    free, held = guarded_and_not(f"""
class Index:
    def __init__(self, value): self.value = value
    def __index__(self): return self.value
one = socket.socket(socket.{family})
value = {value}
data = value if isinstance(value, int) else bytearray(value)
words = [word(lambda: one.setsockopt({level}, {number}, value)), word(lambda: one.setsockopt({level}, {number}, data)),
         word(lambda: one.setsockopt(Index({level}), Index({number}), value)),
         word(lambda: one.setsockopt({level}, {number}, None, 24)),
         word(lambda: socket.socket.setsockopt(one, {level}, {number}, value)),
         word(lambda: super(socket.socket, one).setsockopt({level}, {number}, value))]
tell(words)
""")
    assert set(held) == {"routing"}
    if option in WORKS_UNGUARDED:
        assert free[0] == "done"


def test_an_index_that_changes_its_mind_is_asked_once() -> None:
    """The number that was judged is the number that is set: the second answer would be IP_OPTIONS."""
    _, held = guarded_and_not("""
class Fickle:
    def __init__(self, *values): self.values = list(values)
    def __index__(self): return self.values.pop(0)
one = socket.socket()
route = b"\\x83\\x07\\x04" + bytes([203, 0, 113, 5]) + b"\\0"
tell([word(lambda: one.setsockopt(Fickle(0, 0), Fickle(1, 4), 0)), one.getsockopt(0, 4, 64).hex(),
      word(lambda: one.setsockopt(0, Fickle(4, 1), route))])
""")
    assert held == ["done", "", "routing"]


def test_other_options_pass() -> None:
    """What servers and clients set every day."""
    free, held = guarded_and_not("""
one, six = socket.socket(), socket.socket(socket.AF_INET6)
S = socket
tell([word(lambda: one.setsockopt(S.SOL_SOCKET, S.SO_REUSEADDR, 1)), word(lambda: one.setsockopt(S.IPPROTO_TCP, 1, True)),
      word(lambda: one.setsockopt(S.SOL_SOCKET, S.SO_LINGER, struct.pack("ii", 1, 0))),
      word(lambda: six.setsockopt(S.IPPROTO_IPV6, S.IPV6_V6ONLY, 0)), word(lambda: one.setsockopt(0, 1, 16)),
      word(lambda: one.setsockopt(S.SOL_SOCKET, S.SO_BINDTODEVICE, None, 0)),
      one.getsockopt(S.SOL_SOCKET, S.SO_REUSEADDR), one.getsockopt(S.SOL_SOCKET, S.SO_LINGER, 8).hex()])
""")
    assert held == free
    assert set(held[:6]) == {"done"}


GROUPS = {
    "IP_ADD_MEMBERSHIP": ("AF_INET", 0, 35, "group + bytes(4)"),
    "IP_ADD_SOURCE_MEMBERSHIP": ("AF_INET", 0, 39, "group + bytes(8)"),
    "MCAST_JOIN_GROUP": ("AF_INET", 0, 42, "bytes(8) + struct.pack('=HH', 2, 0) + group + bytes(120)"),
    "IPV6_JOIN_GROUP": ("AF_INET6", 41, 20, "group6 + bytes(4)"),
}


@pytest.mark.parametrize("option", GROUPS)
@pytest.mark.usefixtures("own_network")
def test_a_multicast_group_is_not_joined(option: str) -> None:
    """The kernel would announce it to the network: ADR-0020. `/proc/net/igmp` and `igmp6` hold what was joined."""
    family, level, number, value = GROUPS[option]
    source = f"""
group, group6 = bytes([239, 1, 2, 3]), socket.inet_pton(socket.AF_INET6, "ff0e::239.1.2.3")
one = socket.socket(socket.{family}, socket.SOCK_DGRAM)
told = word(lambda: one.setsockopt({level}, {number}, {value}))
joined = open("/proc/net/igmp").read() + open("/proc/net/igmp6").read()
tell([told, "030201EF" in joined or "ff0e00000000000000000000ef010203" in joined])
"""
    before = (
        PREAMBLE + "import subprocess\nsubprocess.run(['ip', 'route', 'add', 'default', 'dev', 'lo'], check=True)\n"
    )
    before += "subprocess.run(['ip', 'link', 'set', 'lo', 'multicast', 'on'], check=True)\n"
    before += "subprocess.run(['ip', '-6', 'route', 'add', 'ff00::/8', 'dev', 'lo', 'table', 'local'], check=False)\n"
    assert children.python_alone(before + source, "unguarded").last() == ["done", True]
    assert children.python_alone(before + source, "guarded").last() == ["multicast-membership", False]


MESSAGES = {
    "IP_RETOPTS": (0, 7),
    "IP_OPTIONS": (0, 4),
    "IPV6_RTHDR": (41, 57),
    "IPV6_2292RTHDR": (41, 5),
}


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("shape", ["list", "tuple", "iterator", "connected"])
def test_a_routing_control_message_is_refused(message: str, shape: str) -> None:
    """With an address that passes otherwise: no address on a connected socket, or none at all."""
    level, number = MESSAGES[message]
    item = f"({level}, {number}, rthdr)"
    messages = {"list": f"[[{level}, {number}, rthdr]]", "tuple": f"({item},)", "iterator": f"iter([{item}])"}
    _, held = guarded_and_not(f"""
one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
tell(word(lambda: one.sendmsg([b"x"], {messages.get(shape, f"[{item}]")})))
""")
    assert held == "routing"


ANY_SEQUENCE = """
import collections, select, socket, sys
from inside import tell, word
class Sequence:
    def __init__(self, items): self.items = items
    def __len__(self): return len(self.items)
    def __getitem__(self, at): return self.items[at]
class Changing(Sequence):
    def __getitem__(self, at): return [0, 1, b"1234"][at] if self.asked() else self.items[at]
    def asked(self):
        self.times = getattr(self, "times", 0) + 1
        return self.times <= 4  # harmless the first time it is read
LISTED, HOP = "203.0.113.5", "203.0.113.66"
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
tap.bind(("lo", 0x0800))
if sys.argv[1] == "guarded":
    import egressguard
    egressguard.install((f"{LISTED}:9",))
one = socket.socket(type=socket.SOCK_DGRAM)
route = bytes([131, 7, 4]) + socket.inet_aton(HOP) + bytes(1)  # a loose source route, RFC 791
told = word(lambda: one.sendmsg([b"attack"], [MAKE((0, 7, route))], 0, (LISTED, 9)))
seen = []
while select.select([tap], [], [], 0.05)[0]:
    frame = tap.recv(4096)
    seen += [socket.inet_ntoa(frame[30:34])] if b"attack" in frame else []
tell([told, HOP in seen])
"""


@pytest.mark.parametrize("make", ["collections.UserList", "collections.deque", "Sequence"])
@pytest.mark.usefixtures("own_network")
def test_a_routing_control_message_in_any_sequence_is_refused(make: str) -> None:
    """CPython takes whatever has three items for a control message, not only tuples and lists."""
    source = ANY_SEQUENCE.replace("MAKE", make)
    addresses = ["203.0.113.5/32", "203.0.113.66/32"]
    assert children.python_alone(source, "unguarded", addresses=addresses).last() == ["done", True]
    assert children.python_alone(source, "guarded", addresses=addresses).last() == ["routing", False]


@pytest.mark.usefixtures("own_network")
def test_a_sequence_that_changes_its_mind_is_read_once() -> None:
    """What was judged is what is sent."""
    source = ANY_SEQUENCE.replace("MAKE", "Changing")
    told, routed = children.python_alone(source, "guarded", addresses=["203.0.113.5/32", "203.0.113.66/32"]).last()
    assert not routed, told


def test_descriptors_still_pass_in_control_messages() -> None:
    """SCM_RIGHTS over a socket pair: what multiprocessing does."""
    free, held = guarded_and_not("""
import array, os
ours, theirs = socket.socketpair()
reading, writing = os.pipe()
socket.send_fds(ours, [b"one"], [writing])
ours.sendmsg([b"two"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writing]))])
ours.sendmsg([b"three"], ((socket.SOL_SOCKET, socket.SCM_RIGHTS, memoryview(array.array("i", [writing]))),), 0, None)
told = []
for _ in range(3):
    data, descriptors, _, _ = socket.recv_fds(theirs, 5, 1)
    os.write(descriptors[0], data)
    told.append([data.decode()[:3], os.read(reading, 10).decode()[:3]])
tell(told)
""")
    assert held == free == [["one", "one"], ["two", "two"], ["thr", "thr"]]
