"""Address families beside IPv4 and IPv6. Each child that dials without the guard has a network of its own."""

from __future__ import annotations

from pathlib import Path

import children
import pytest

PREAMBLE = """
import os, select, socket, struct, sys
from inside import tell, word
guarded = sys.argv[1] == "guarded"

def install(*allow):
    if guarded:
        import egressguard
        egressguard.install(allow)

def arrived(*receivers):
    return len(select.select(receivers, [], [], 0.05)[0])
"""

UNIX = """
kind, where = getattr(socket, sys.argv[2]), sys.argv[3]
address = where if where.startswith("/") else "\\0" + where
# A process of its own holds the listener; it was there before the guard, and says how many connected.
ours, theirs = os.pipe(), os.pipe()
if os.fork() == 0:
    if os.fork():
        os._exit(0)
    for descriptor in (ours[1], theirs[0]):
        os.set_inheritable(descriptor, True)
    os.execv(sys.executable, [sys.executable, "-c", '''
import select, socket, sys
kind, address, ready, go = int(sys.argv[1]), bytes.fromhex(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
import os
one = socket.socket(socket.AF_UNIX, kind)
one.bind(address)
if kind != socket.SOCK_DGRAM:
    one.listen()
os.write(ready, b".")
os.read(go, 1)
os.write(ready, str(len(select.select([one], [], [], 0.05)[0])).encode())
''', str(int(kind)), address.encode().hex(), str(ours[1]), str(theirs[0])])
os.read(ours[0], 1)
install(*sys.argv[4:])
one = socket.socket(socket.AF_UNIX, kind)
calls = {
    "connect": lambda: one.connect(address),
    "connect_ex": lambda: one.connect_ex(address),
    "bytes": lambda: one.connect(address.encode()),
    "bytearray": lambda: one.connect(bytearray(address.encode())),
    "memoryview": lambda: one.connect(memoryview(address.encode())),
}
if kind == socket.SOCK_DGRAM:
    calls = {"sendto": lambda: one.sendto(b"x", address), "sendto with flags": lambda: one.sendto(b"x", 0, address),
             "sendmsg": lambda: one.sendmsg([b"x"], [], 0, address), "connect": lambda: one.connect(address)}
if not guarded or len(sys.argv) > 4:
    calls = dict([next(iter(calls.items()))])
told = {name: word(call) for name, call in calls.items()}
os.write(theirs[1], b".")
tell([sorted(set(told.values())), int(os.read(ours[0], 10))])
os.wait()
"""
KINDS = ["SOCK_STREAM", "SOCK_SEQPACKET", "SOCK_DGRAM"]


@pytest.mark.parametrize("place", ["path", "abstract"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_unix_listener_is_refused(kind: str, place: str, tmp_path: Path) -> None:
    """The process that holds it does not run under the guard's installer, so it could relay to anywhere.

    It even runs the same executable; the double fork makes it nobody's descendant. The program's own listeners are in
    `tests/unit/test_unix.py`.
    """
    where = str(tmp_path / "s") if place == "path" else f"egressguard-test-{tmp_path.name}-{kind}"
    assert children.python(PREAMBLE + UNIX, "unguarded", kind, where).last() == [["done"], 1]
    Path(where).unlink(missing_ok=True)
    assert children.python(PREAMBLE + UNIX, "guarded", kind, where).last() == [["unix"], 0]


@pytest.mark.parametrize("place", ["path", "abstract"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_opens_a_unix_listener(kind: str, place: str, tmp_path: Path) -> None:
    where = str(tmp_path / "s") if place == "path" else f"egressguard-test-{tmp_path.name}-{kind}"
    entry = f"unix:{where}" if place == "path" else f"unix:@{where}"
    assert children.python(PREAMBLE + UNIX, "guarded", kind, where, entry).last() == [["done"], 1]


def test_netlink_reaches_the_kernel_and_no_process(own_network: None) -> None:
    """NETLINK_USERSOCK carries messages between processes, and so do multicast groups."""
    source = """
install()
kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
question = struct.pack("=IHHIIBxHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0)  # RTM_GETLINK, dump
asked = word(lambda: kernel.sendto(question, (0, 0)))
answered = arrived(kernel)
peer = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2)  # NETLINK_USERSOCK
peer.bind((4242, 1))
one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2)
words = [word(lambda: one.sendto(b"x" * 32, (4242, 0))), word(lambda: one.sendmsg([b"x" * 32], [], 0, (4242, 0))),
         word(lambda: one.sendto(b"x" * 32, (0, 1))), word(lambda: one.connect((4242, 0)) or one.send(b"x" * 32))]
tell([asked, answered, words, arrived(peer)])
"""
    unguarded = children.python_alone(PREAMBLE + source, "unguarded").last()
    # A group gets its copy before the kernel itself refuses a protocol that it does not take.
    assert unguarded == ["done", 1, ["done", "done", "ConnectionRefusedError", "done"], 1]
    assert children.python_alone(PREAMBLE + source, "guarded").last() == ["done", 1, ["netlink"] * 4, 0]


def test_a_route_socket_cannot_reach_a_process(own_network: None) -> None:
    """Another port id than the kernel's 0, or a group: refused on every netlink protocol."""
    source = """
install()
one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
tell([word(lambda: one.sendto(b"x" * 32, (4242, 0))), word(lambda: one.sendto(b"x" * 32, (0, 1))),
      word(lambda: one.connect((4242, 0))), word(lambda: one.connect((2**32, 0))), word(lambda: one.connect((0, 0)))])
"""
    assert children.python_alone(PREAMBLE + source, "guarded").last() == ["netlink"] * 3 + ["done"] * 2


def test_families_without_an_entry_are_refused(own_network: None) -> None:
    """Whatever address they take: where the kernel lacks the family there is nothing to refuse."""
    source = """
install()
words = {}
tries = [("AF_VSOCK", socket.SOCK_STREAM, 0, (1, 9)), ("AF_VSOCK", socket.SOCK_STREAM, 0, (2, 9)),
         ("AF_TIPC", socket.SOCK_SEQPACKET, 0, (1, 1, 1, 1)), ("AF_CAN", socket.SOCK_RAW, 1, ("lo",)),
         ("AF_QIPCRTR", socket.SOCK_DGRAM, 0, (1, 1)), ("AF_BLUETOOTH", socket.SOCK_STREAM, 3, ("00:00:00:00:00:01", 1)),
         ("AF_PACKET", socket.SOCK_DGRAM, 0, ("lo", 0x0800))]
for name, kind, protocol, address in tries:
    try:
        one = socket.socket(getattr(socket, name), kind, protocol)
    except (OSError, AttributeError):
        continue
    words[name] = [word(lambda: one.connect(address)), word(lambda: one.connect_ex(address)),
                   word(lambda: one.sendto(b"x", address)), word(lambda: one.sendmsg([b"x"], [], 0, address))]
tell(words)
"""
    told = children.python_alone(PREAMBLE + source, "guarded").last()
    assert "AF_PACKET" in told
    assert {word for words in told.values() for word in words} == {"family"}


def test_kernel_crypto_passes() -> None:
    """AF_ALG dials nobody: what it is bound to are names of algorithms."""
    source = """
install()
try:
    one = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0)
    one.bind(("hash", "sha256"))
except (OSError, AttributeError):
    tell("none")
else:
    operation, _ = one.accept()
    operation.sendall(b"abc")
    tell(operation.recv(64).hex())
"""
    told = children.python(PREAMBLE + source, "guarded").last()
    if told == "none":
        pytest.skip("this kernel offers no AF_ALG")
    assert told == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


CLAIMS = """
install()
host = ("127.0.0.1", 9)
claims = [(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 9)), (socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 9)),
          (socket.AF_UNIX, socket.SOCK_STREAM, "/nowhere"), (socket.AF_UNIX, socket.SOCK_DGRAM, b"\\0abstract"),
          (socket.AF_NETLINK, socket.SOCK_RAW, (4242, 0)), (socket.AF_PACKET, socket.SOCK_RAW, ("lo", 3))]
words = []
for real in (socket.socket(socket.AF_INET), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
             socket.socket(socket.AF_UNIX), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2),
             socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)):
    for family, kind, address in claims:
        for route in ("connect", "connect_ex"):
            one = socket.socket(family, kind, 0, fileno=os.dup(real.fileno()))
            words.append(word(lambda: getattr(one, route)(address)))
tell(words)
"""


def test_an_object_that_lies_about_its_family_is_refused(own_network: None) -> None:
    """`fileno=` with another family: nothing passes, whichever of the two the verdict looks at."""
    told = children.python_alone(PREAMBLE + CLAIMS, "guarded").last()
    assert "done" not in told
    assert set(told) <= {"loopback", "unix", "netlink", "family", "socket-type"}
