"""No packet leaves for an address off the list, whatever the socket is and whoever says where it goes."""

from __future__ import annotations

import pytest

from labtools.addresses import API, API6, UNLISTED, UNLISTED6
from labtools.attack import Attack
from labtools.lab import Lab

# For an address that nothing covers the guard asks for the listed names of the same port: these questions may leave.
ASKED = ("api.anthropic.com",)
TCP, UDP = f"TCP to {UNLISTED} port ", f"UDP to {UNLISTED} port "

DIALS = [
    Attack("connect", "tcp().connect((RAW, 443))", TCP + "443 SYN", may_ask=ASKED),
    Attack("connect on a port without entries", "tcp().connect((RAW, 80))", TCP + "80 SYN"),
    Attack("connect_ex", "tcp().connect_ex((RAW, 443))", TCP + "443 SYN", may_ask=ASKED),
    Attack("connect without blocking", "tcp(timeout=0).connect_ex((RAW, 443))", TCP + "443 SYN", may_ask=ASKED),
    Attack("connect by IPv6", "tcp(socket.AF_INET6).connect((RAW6, 80))", f"TCP to {UNLISTED6} port 80 SYN"),
    Attack("connect by its class", "socket.socket.__mro__[1].connect(tcp(), (RAW, 80))", TCP + "80 SYN"),
    Attack("connect of MPTCP", "s = socket.socket(proto=262); s.settimeout(2); s.connect((RAW, 80))", TCP + "80 SYN"),
    Attack("connect, then send, of UDP", "s = udp(); s.connect((RAW, 80)); s.send(b'x')", UDP + "80"),
    Attack("sendto", "udp().sendto(b'x', (RAW, 443))", UDP + "443", may_ask=ASKED),
    Attack("sendto with flags", "udp().sendto(b'x', 0, (RAW, 80))", UDP + "80"),
    Attack("sendto by IPv6", "udp(socket.AF_INET6).sendto(b'x', (RAW6, 80))", f"UDP to {UNLISTED6} port 80"),
    Attack("sendmsg", "udp().sendmsg([b'x'], [], 0, (RAW, 80))", UDP + "80"),
    Attack("fast open", "tcp().sendto(b'x', socket.MSG_FASTOPEN, (RAW, 80))", TCP + "80 SYN"),
    Attack("fast open by an option", "s = tcp(); s.setsockopt(6, 30, 1); s.connect((RAW, 80)); s.send(b'x')",
           TCP + "80 SYN"),
    Attack("asyncio", "asyncio.run(asyncio.wait_for(asyncio.open_connection(RAW, 80), 9))", TCP + "80 SYN"),
    Attack("asyncio: datagrams", "asyncio.run(go())", UDP + "80", where={"before": """
async def go():
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("0.0.0.0", 0))
    await asyncio.get_running_loop().sock_sendto(
        (lambda s: (s.setblocking(False), s)[1])(udp()), b"x", (RAW, 80))
"""}),
    Attack("multiprocessing", "from multiprocessing.connection import Client; Client((RAW, 80))", TCP + "80 SYN"),
    Attack("TLS socket", "import ssl; ssl._create_unverified_context().wrap_socket(tcp()).connect((RAW, 443))",
           TCP + "443 SYN", may_ask=ASKED),
    Attack("neighbour on the link", "udp().sendto(b'x', ('10.77.0.99', 80))", "ARP who is 10.77.0.99"),
]  # fmt: skip

# What libc reads as a number is one, and is refused as that address.
NUMBERS = [
    Attack(f"number: {text}", f"tcp().connect(({text!r}, 80))", TCP + "80 SYN")
    for text in ("3325256770", "0xc6336442", "0306.063.0144.0102", "198.3368002")
]

# Each of these sends somewhere else than the endpoint of the call says.
SEGMENTS = f"""
def segment_route(*hops):
    packed = [socket.inet_pton(socket.AF_INET6, hop) for hop in hops]
    return bytes([0, 2 * len(hops), 4, len(hops) - 1, len(hops) - 1, 0, 0, 0]) + b"".join(packed)
def source_route(hop):
    return b"\\x83\\x07\\x04" + socket.inet_aton(hop) + b"\\0"
API4, API6 = "{API}", "{API6}"
"""
ROUTED = [
    Attack(f"source route: {title}", code, shows, where={"before": SEGMENTS, "allow": (f"{API}:443", f"[{API6}]:443")})
    for title, code, shows in (
        ("IPV6_RTHDR, UDP", "s = udp(10); s.setsockopt(41, 57, segment_route(API6, RAW6)); s.sendto(b'x', (API6, 443))",
         f"UDP to {UNLISTED6}"),
        ("IPV6_RTHDR, TCP", "s = tcp(10, 0.2); s.setsockopt(41, 57, segment_route(API6, RAW6)); s.connect((API6, 443))",
         f"TCP to {UNLISTED6}"),
        ("IP_OPTIONS, UDP", "s = udp(); s.setsockopt(0, 4, source_route(RAW)); s.sendto(b'x', (API4, 443))", UDP),
        ("IP_OPTIONS, TCP", "s = tcp(timeout=0.2); s.setsockopt(0, 4, source_route(RAW)); s.connect((API4, 443))", TCP),
        ("IP_OPTIONS of a connected socket",
         "s = udp(); s.connect((API4, 443)); s.setsockopt(0, 4, source_route(RAW)); s.send(b'x')", UDP),
        ("IP_OPTIONS with a length", ("s = udp(); s.setsockopt(0, 4, memoryview(source_route(RAW)));"
         " s.sendto(b'x', (API4, 443))"), UDP),
        ("a control message of sendmsg", "udp().sendmsg([b'x'], [(0, 7, source_route(RAW))], 0, (API4, 443))", UDP),
    )
]  # fmt: skip

# The address has an entry: what is wrong is the socket. Raw sockets do not know what a port is.
LISTED = {"allow": (f"{UNLISTED}:443", f"[{UNLISTED6}]:443")}
ECHO = "b'\\x08' + bytes(7)"
DATAGRAM = (
    "b'E\\0\\0\\x1c\\0\\0\\0\\0@\\x11\\0\\0' + socket.inet_aton('10.77.0.2') + socket.inet_aton(RAW)"
    " + struct.pack('!4H', 9, 80, 8, 0)"
)
SOCKETS = [
    Attack(f"socket: {title}", code, shows, where=LISTED)
    for title, code, shows in (
        ("ICMP", f"socket.socket(2, 3, 1).sendto({ECHO}, (RAW, 443))", f"ICMP to {UNLISTED} type 8"),
        ("ICMP, connected", f"s = socket.socket(2, 3, 1); s.connect((RAW, 443)); s.send({ECHO})",
         f"ICMP to {UNLISTED}"),
        ("ICMPv6", "socket.socket(10, 3, 58).sendto(b'\\x80' + bytes(7), (RAW6, 0))",
         f"ICMPv6 to {UNLISTED6} type 128"),
        ("ping", f"socket.socket(2, 2, 1).sendto({ECHO}, (RAW, 443))", f"ICMP to {UNLISTED} type 8"),
        ("UDP-Lite, another port", "socket.socket(2, 2, 136).sendto(b'x', (RAW, 80))", f"UDPLITE to {UNLISTED}"),
        ("header of one's own", f"socket.socket(2, 3, 255).sendto({DATAGRAM}, (RAW, 443))", UDP + "80"),
        ("header of one's own, by sendmsg", f"socket.socket(2, 3, 255).sendmsg([{DATAGRAM}], [], 0, (RAW, 443))",
         UDP + "80"),
        ("raw, passed off as UDP", (f"a = socket.socket(2, 3, 1); s = socket.socket(2, 2, 17, fileno=a.detach());"
         f" s.sendto({ECHO}, (RAW, 443))"), f"ICMP to {UNLISTED} type 8"),
        ("raw, put behind a UDP socket", (f"a = socket.socket(2, 3, 1); s = udp(); os.dup2(a.fileno(), s.fileno());"
         f" s.sendto({ECHO}, (RAW, 443))"), f"ICMP to {UNLISTED} type 8"),
        ("packet, bound", "s = socket.socket(17, 3, 0); s.bind(('wire0', 0)); s.send(bytes(12) + b'\\x88\\xb5hello')",
         "ethertype 0x88b5"),
        ("packet, with an address", "socket.socket(17, 2, 0).sendto(b'x', ('wire0', 0x88b5, 0, 0, b'\\xff' * 6))",
         "ethertype 0x88b5"),
    )
]  # fmt: skip
LIES = [
    Attack("family: IPv4 address on an IPv6 socket",
           "a = udp(10); s = socket.socket(2, 2, fileno=a.detach()); s.sendto(b'x', (RAW, 80))", UDP + "80"),
    Attack("family: IPv4 address on an IPv6 socket, connected",
           "a = udp(10); s = socket.socket(2, 2, fileno=a.detach()); s.connect((RAW, 80)); s.send(b'x')", UDP + "80"),
]  # fmt: skip

# The IPv4 address is listed. Its forms inside IPv6 are other addresses, and lead wherever a relay takes them.
EMBEDDED = [
    Attack(f"embedded: {title}", f"tcp(10).connect(({address!r}, 443))", f"TCP to {seen} port 443 SYN", where=LISTED)
    for title, address, seen in (
        ("NAT64", "64:ff9b::198.51.100.66", "64:ff9b::c633:6442"),
        ("NAT64 of a local network", "64:ff9b:1::198.51.100.66", "64:ff9b:1::c633:6442"),
        ("6to4", "2002:c633:6442::1", "2002:c633:6442::1"),
        ("compatible", "::198.51.100.66", "::c633:6442"),
        ("Teredo", "2001::39cc:9bbd", "2001::39cc:9bbd"),
    )
]

TO_MANY = [
    Attack(f"to many: {title}", code, f"UDP to {seen}")
    for title, code, seen in (
        ("multicast", "udp().sendto(b'x', ('224.0.0.251', 5353))", "224.0.0.251"),
        ("multicast, connected", "s = udp(); s.connect(('239.1.2.3', 80)); s.send(b'x')", "239.1.2.3"),
        ("multicast by IPv6", "udp(10).sendto(b'x', ('ff02::fb', 53, 0, socket.if_nametoindex('wire0')))", "ff02::fb"),
        ("multicast by IPv6, far", "udp(10).sendto(b'x', ('ff1e::1', 80))", "ff1e::1"),
        ("broadcast", "udp().sendto(b'x', ('255.255.255.255', 80))", "255.255.255.255"),
        ("broadcast of CPython's name", "udp().sendto(b'x', ('<broadcast>', 80))", "255.255.255.255"),
        ("broadcast of the network", "udp().sendto(b'x', ('10.77.0.255', 80))", "10.77.0.255"),
        ("link-local", "udp(10).sendto(b'x', ('fe80::ff:fe00:1', 80, 0, socket.if_nametoindex('wire0')))",
         "fe80::ff:fe00:1"),
        ("metadata service", "udp().sendto(b'x', ('169.254.169.254', 80))", "169.254.169.254"),
    )
]  # fmt: skip

# The kernel tells the neighbours which groups somebody wants to hear: the group is the program's to choose.
MEMBERSHIP = Attack(
    "membership of a multicast group",
    """
group = socket.inet_aton("239.1.2.3") + socket.inet_aton("10.77.0.2")
s = udp()
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
time.sleep(0.1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, group)
time.sleep(0.1)
""",
    "IGMP to 224.0.0.22",
)

OTHER_PORTS = [
    Attack("port: of a listed name", "tcp().connect(('api.anthropic.com', 80))", "DNS api.anthropic.com"),
    Attack("port: of a listed name, two steps", "socket.getaddrinfo('api.anthropic.com', 80)", "DNS api.anthropic.com"),
    Attack("port: service of the name", "socket.getaddrinfo('api.anthropic.com', 'http')", "DNS api.anthropic.com"),
    Attack("port: of a granted address", f"socket.getaddrinfo('api.anthropic.com', 443); tcp().connect(('{API}', 80))",
           f"TCP to {API} port 80", may_ask=ASKED),
    Attack("port: UDP, granted for another name",
           "socket.getaddrinfo('one.test', 443); udp().sendto(b'x', ('203.0.113.11', 8443))",
           "UDP to 203.0.113.11 port 8443", may_ask=("one.test", "two.test"),
           where={"allow": ("one.test:443", "two.test:8443")}),
    Attack("port: TCP, granted for another name",
           "socket.getaddrinfo('one.test', 443); tcp().connect(('203.0.113.11', 8443))",
           "TCP to 203.0.113.11 port 8443", may_ask=("one.test", "two.test"),
           where={"allow": ("one.test:443", "two.test:8443")}),
    Attack("port: beside a range", f"tcp().connect(('{API}', 8443))", f"TCP to {API} port 8443",
           where={"allow": ("203.0.113.0/24:8000-8442",)}),
    Attack("address: beside a network", "tcp().connect(('203.0.114.1', 443))", "TCP to 203.0.114.1",
           where={"allow": ("203.0.113.0/24:443",)}),
    Attack("name: the parent of a wildcard", "tcp().connect(('wild.test', 443))", "DNS wild.test",
           where={"allow": ("*.wild.test:443",)}),
    Attack("name: whose end is a wildcard's", "tcp().connect(('notwild.test', 443))", "DNS notwild.test",
           where={"allow": ("*.wild.test:443",)}),
]  # fmt: skip

# What changes between two reads: judged and dialled must be one and the same.
CHANGING = [
    Attack("changing: the bytes of a name", """
name = bytearray(b"one.test")
def change():
    while True:
        for word in (b"bad", b"one"):
            name[:3] = word
            time.sleep(0)
threading.Thread(target=change, daemon=True).start()
sys.setswitchinterval(1e-6)
for _ in range(300):
    attempts(lambda: udp().sendto(b"x", (name, 443)))
""", "DNS bad.test", raises="", may_ask=("one.test",), may_dial=(" to 203.0.113.11 ",),
           where={"allow": ("one.test:443",)}),
    Attack("changing: the number of a port", """
class Port(int):
    calls = 0
    def __index__(self):
        Port.calls += 1
        return (443, 80)[Port.calls % 2]
class Plain:
    __index__ = Port.__index__
for _ in range(6):
    for kind in (Plain, Port):
        attempts(lambda: udp().sendto(b"x", ("203.0.113.11", kind())))
""", "UDP to 203.0.113.11 port 80", raises="", may_dial=(" to 203.0.113.11 ",),
           where={"allow": ("203.0.113.11:443",)}),
    Attack("changing: a tuple that lies", """
class Liar(tuple):
    def __getitem__(self, at): return ("203.0.113.11", 443)[at]
    def __iter__(self): return iter(("203.0.113.11", 443))
udp().sendto(b"x", Liar((RAW, 80)))
""", UDP + "80", where={"allow": ("203.0.113.11:443",)}),
]  # fmt: skip

# Not every kernel carries these out, so there may be nothing to see without the guard. It refuses them all the same.
HOP = "bytes([0, 2, 2, 1, 0, 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, RAW6)"
REFUSED = {
    "IPV6_2292RTHDR": f"udp(10).setsockopt(41, 5, {HOP})",
    "IPV6_2292PKTOPTIONS": f"tcp(10).setsockopt(41, 6, struct.pack('QII', 40, 41, 57) + {HOP})",
    "IPV6_RTHDR as a control message": f"udp(10).sendmsg([b'x'], [(41, 57, {HOP})], 0, (API6, 443))",
    "IPV6_2292RTHDR as a control message": f"udp(10).sendmsg([b'x'], [(41, 5, {HOP})], 0, (API6, 443))",
    "SCTP_SOCKOPT_CONNECTX": "tcp().setsockopt(132, 110, bytes(16))",
}

ATTACKS = [
    *DIALS, *NUMBERS, *ROUTED, *SOCKETS, *LIES, *EMBEDDED, *TO_MANY, *OTHER_PORTS, *CHANGING
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_reaches_the_wire_without_the_guard(lab: Lab, attack: Attack) -> None:
    attack.unguarded(lab)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_nothing_leaves(lab: Lab, attack: Attack) -> None:
    attack.guarded(lab)


def test_membership_is_announced_without_the_guard(lab_of_its_own: Lab) -> None:
    MEMBERSHIP.unguarded(lab_of_its_own)


def test_no_membership_is_announced(lab_of_its_own: Lab) -> None:
    MEMBERSHIP.guarded(lab_of_its_own)


@pytest.mark.parametrize("title", REFUSED)
def test_routing_options_are_refused(lab: Lab, title: str) -> None:
    outcome = lab.run(REFUSED[title], guard=True, before=SEGMENTS, allow=(f"[{API6}]:443",))
    assert (outcome.report["raised"], outcome.report["reason"]) == ("EgressViolation", "routing"), outcome
    assert not outcome.wire.lines(), outcome
