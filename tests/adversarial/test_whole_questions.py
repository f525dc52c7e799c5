"""A question to a nameserver that was judged leaves alone, whole and once, by UDP: what could cut it in two, add to it or
change it on its way would carry a second question, for any name.
"""

from __future__ import annotations

import children
import pytest
from nameserver import addresses, on_lo

pytestmark = pytest.mark.usefixtures("own_network")

PREAMBLE = """
import os, select, socket, struct, sys
from inside import tell, word
NAMESERVER = sys.argv[2]
SOL_UDP, UDP_CORK, UDP_SEGMENT = socket.IPPROTO_UDP, 1, 103
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind((NAMESERVER, 53))
open("/proc/sys/net/ipv4/tcp_fastopen", "w").write("519")
tcp = socket.socket()
tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
tcp.bind((NAMESERVER, 53))
tcp.listen()

def query(name, more=b"", additional=0):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, additional) + labels + b"\\0" + struct.pack("!HH", 1, 1) + more

plain = query("listed.example")
secret = query("secret.evil")
# The second question is the cookie of the first one (RFC 7873: up to 40 bytes).
opt = b"\\0" + struct.pack("!HHIHHH", 41, 1232, 0, 4 + len(secret), 10, len(secret))
first = query("listed.example", opt, 1)
assert 16 <= len(secret) <= 40 and len(first) >= len(secret)
if sys.argv[1] == "guarded":
    import egressguard
    egressguard.install(("listed.example:443",))
one = socket.socket(type=socket.SOCK_DGRAM)

def at_the_event(call):
    def hook(event, arguments):
        if event in ("socket.sendto", "socket.sendmsg") and waiting:
            waiting.pop()()
    waiting = [call]
    sys.addaudithook(hook)

def switch():
    stream = socket.socket()
    os.dup2(stream.fileno(), one.fileno())

def told(call):
    outcome = word(call)
    seen = []
    while select.select([udp], [], [], 0.05)[0]:
        seen.append(udp.recv(4096))
    while select.select([tcp], [], [], 0.05)[0]:
        connection = tcp.accept()[0]
        while select.select([connection], [], [], 0.05)[0]:
            data = connection.recv(4096)
            if not data:
                break
            seen.append(data)
    tell([outcome, [len(data) for data in seen], any(data not in (plain, first + secret) for data in seen)])
"""
ATTACKS = {
    "a control message cuts it": (
        "told(lambda: one.sendmsg([first + secret], [(SOL_UDP, UDP_SEGMENT, struct.pack('=H', len(first)))], 0, (NAMESERVER, 53)))"
    ),
    "an option cuts it": (
        "one.setsockopt(SOL_UDP, UDP_SEGMENT, len(first))\ntold(lambda: one.sendto(first + secret, (NAMESERVER, 53)))"
    ),
    "an audit hook cuts it": (
        "at_the_event(lambda: one.setsockopt(SOL_UDP, UDP_SEGMENT, len(first)))\n"
        "told(lambda: one.sendto(first + secret, (NAMESERVER, 53)))"
    ),
    "an audit hook corks it": (
        "at_the_event(lambda: word(lambda: one.setsockopt(SOL_UDP, UDP_CORK, 1)))\n"
        "def attack():\n"
        "    one.sendto(plain, (NAMESERVER, 53))\n"
        "    word(lambda: one.send(secret))\n"
        "    word(lambda: one.setsockopt(SOL_UDP, UDP_CORK, 0))\n"
        "told(attack)"
    ),
    "an audit hook puts a TCP socket under it": (
        "at_the_event(switch)\n"
        "def attack():\n"
        "    one.sendto(plain, socket.MSG_FASTOPEN, (NAMESERVER, 53))\n"
        "    one.send(secret)\n"
        "told(attack)"
    ),
}


def run(mode: str, attack: str) -> list[object]:
    child = children.python_alone(PREAMBLE + attack, mode, addresses()[0], addresses=on_lo())
    return child.last()  # type: ignore[no-any-return]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_judged_question_leaves_as_it_was_judged(attack: str) -> None:
    """Unguarded the nameserver gets another question as well."""
    outcome, _, other = run("unguarded", ATTACKS[attack])
    assert (outcome, other) == ("done", True)
    outcome, lengths, other = run("guarded", ATTACKS[attack])
    assert not other, (outcome, lengths)
    if attack.endswith("cuts it"):
        assert (outcome, len(lengths)) == ("done", 1)  # type: ignore[arg-type]  # the question itself is a listed one


def test_the_memory_of_a_question_is_not_lent_to_the_kernel() -> None:
    """MSG_ZEROCOPY would let it change between the verdict and the wire."""
    attack = "told(lambda: one.sendto(plain, 0x4000000, (NAMESERVER, 53)))"
    assert run("unguarded", attack)[0] == "done"
    assert run("guarded", attack)[:2] == ["nameserver", []]


@pytest.mark.parametrize("level", ["SOL_UDP", "136"])
def test_a_cork_is_refused_by_its_name(level: str) -> None:
    """Linux takes the level of UDP-Lite for it as well, on either kind of socket."""
    source = f"{PREAMBLE}tell([word(lambda: one.setsockopt({level}, UDP_CORK, 1)), one.getsockopt(SOL_UDP, UDP_CORK)])"
    told = [
        children.python_alone(source, mode, addresses()[0], addresses=on_lo()).last() for mode in ("free", "guarded")
    ]
    assert told == [["done", 1], ["nameserver", 0]]


@pytest.mark.parametrize("control", ["[]", "[(socket.IPPROTO_IP, socket.IP_TTL, struct.pack('=I', 9))]"])
@pytest.mark.parametrize("mode", ["unguarded", "guarded"])
def test_a_question_with_control_messages_arrives(mode: str, control: str) -> None:
    """They and what keeps the question whole are sent together: a header, a name of 16 bytes, type and class."""
    attack = f"told(lambda: one.sendmsg([plain], {control}, 0, (NAMESERVER, 53)))"
    assert run(mode, attack) == ["done", [12 + 16 + 4], False]
