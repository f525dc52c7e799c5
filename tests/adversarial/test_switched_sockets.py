"""Python code that runs between the verdict and the system call puts another socket under the descriptor.

What was judged is a UDP socket and a listed endpoint; what would send is a raw socket, which ignores the port: the
datagram in its payload is for port 10, which is not listed.
"""

from __future__ import annotations

import sys

import children
import pytest
from nameserver import on_lo

pytestmark = pytest.mark.usefixtures("own_network")

PREAMBLE = """
import os, select, socket, struct, sys
import _socket
from inside import tell, word
LISTED = "203.0.113.5"
target = socket.socket(type=socket.SOCK_DGRAM)
target.bind((LISTED, 10))
packet = struct.pack("!HHHH", 9, 10, 14, 0) + b"attack"
one = socket.socket(type=socket.SOCK_DGRAM)
if sys.argv[1] == "guarded":
    import egressguard
    egressguard.install((f"{LISTED}:9",))
raws = []
def by_dup2():
    raws.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP))
    os.dup2(raws[0].fileno(), one.fileno())
def by_init():
    descriptor = one.detach()
    _socket.socket.__init__(one, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
switch = by_init if sys.argv[2] == "by_init" else by_dup2
class Buffer:
    def __buffer__(self, flags):
        switch()
        return memoryview(packet)
def generator():
    switch()
    yield packet
class Flags:
    def __index__(self):
        switch()
        return 0
def hook(event, arguments):
    if event in ("socket.sendto", "socket.sendmsg") and not raws:
        raws.append(None)
        raws.clear()
        switch()
"""
MOMENTS = {
    "a generator of buffers": "one.sendmsg(generator(), [], 0, (LISTED, 9))",
    "a list of buffers": "one.sendmsg([Buffer()], [], 0, (LISTED, 9))",
    "a buffer of sendto": "one.sendto(Buffer(), (LISTED, 9))",
    "a buffer of sendto with flags": "one.sendto(Buffer(), 0, (LISTED, 9))",
    "flags of sendto": "one.sendto(packet, Flags(), (LISTED, 9))",
    "flags of sendmsg": "one.sendmsg([packet], [], Flags(), (LISTED, 9))",
    "an audit hook of sendto": "sys.addaudithook(hook) or one.sendto(packet, (LISTED, 9))",
    "an audit hook of sendmsg": "sys.addaudithook(hook) or one.sendmsg([packet], [], 0, (LISTED, 9))",
}
NEEDS_BUFFER = {moment for moment in MOMENTS if "Buffer()" in MOMENTS[moment]}


@pytest.mark.parametrize("switch", ["by_dup2", "by_init"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_socket_that_is_switched_after_the_verdict(moment: str, switch: str) -> None:
    """The attack works without the guard; with it nothing arrives at the port that is not listed."""
    if moment in NEEDS_BUFFER and sys.version_info < (3, 12):
        pytest.skip("__buffer__ came with 3.12 (PEP 688)")
    source = f"{PREAMBLE}\ntold = word(lambda: {MOMENTS[moment]})\ntell([told, len(select.select([target], [], [], 0.05)[0])])"
    assert children.python_alone(source, "unguarded", switch, addresses=["203.0.113.5/32"]).last() == ["done", 1]
    told, arrived = children.python_alone(source, "guarded", switch, addresses=["203.0.113.5/32"]).last()
    assert arrived == 0, told


SECOND_LOOK = """
import os, select, socket, struct, sys, threading, time
from inside import tell, word
from nameserver import Nameserver
server = Nameserver({"listed.example": ["198.51.100.9"]}, 0.3)
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
tap.bind(("lo", 0x0800))
import egressguard
egressguard.install(("listed.example:9",))
one = socket.socket(type=socket.SOCK_DGRAM)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
packet = struct.pack("!HHHH", 9, 10, 14, 0) + b"attack"
switch = threading.Timer(0.15, lambda: os.dup2(raw.fileno(), one.fileno()))
if sys.argv[1] == "switched":
    switch.start()
told = word(lambda: one.sendto(packet, ("198.51.100.9", 9)))
seen = b""
while select.select([tap], [], [], 0.05)[0]:
    frame = tap.recv(4096)
    if b"attack" in frame:
        seen = frame[34:38]  # the ports of the UDP header, after 14 bytes of Ethernet and 20 of IPv4
tell([told, list(struct.unpack("!HH", seen))[1:] if seen else []])
"""


def test_a_socket_that_is_switched_while_the_guard_looks_again() -> None:
    """The second look waits for a nameserver, with the GIL released: another thread has all that time."""
    # A route to the granted address, so that what is sent can be seen: out of `lo`, where nobody answers.
    addresses = [*on_lo(), "203.0.113.5/32"]
    route = "import subprocess\nsubprocess.run(['ip', 'route', 'add', '198.51.100.0/24', 'dev', 'lo'], check=True)\n"
    assert children.python_alone(route + SECOND_LOOK, "plain", addresses=addresses).last()[1] == [9]
    told, ports = children.python_alone(route + SECOND_LOOK, "switched", addresses=addresses).last()
    assert (told, ports) == ("socket-type", [])


CONNECTED = """
one = socket.socket(type=socket.{kind})
def on_connect(event, arguments):
    if event == "socket.connect" and not raws:
        raws.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP))
        os.dup2(raws[0].fileno(), one.fileno())
sys.addaudithook(on_connect)
told = word(lambda: one.connect((LISTED, 9)))
word(lambda: one.send(packet))
tell([told, len(select.select([target], [], [], 0.05)[0])])
"""


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_a_socket_that_is_switched_while_it_connects(kind: str) -> None:
    """A raw socket that was connected sends without an address: it is not left so."""
    source = PREAMBLE + CONNECTED.format(kind=kind)
    assert children.python_alone(source, "unguarded", "by_dup2", addresses=["203.0.113.5/32"]).last() == ["done", 1]
    held = children.python_alone(source, "guarded", "by_dup2", addresses=["203.0.113.5/32"]).last()
    assert held == ["socket-type", 0]
