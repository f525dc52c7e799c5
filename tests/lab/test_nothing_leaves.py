"""No name off the list leaves, by any route that looks names up, in any form that CPython takes a name."""

from __future__ import annotations

import pytest

from labtools.addresses import UNLISTED
from labtools.attack import Attack
from labtools.lab import Lab

# Every route that looks a name up; {host} is the name in one of the forms below.
ROUTES = {
    "getaddrinfo": "socket.getaddrinfo({host}, 80)",
    "gethostbyname": "socket.gethostbyname({host})",
    "gethostbyname_ex": "socket.gethostbyname_ex({host})",
    "gethostbyaddr": "socket.gethostbyaddr({host})",
    "getfqdn": "socket.getfqdn({host})",
    "create_connection": "socket.create_connection(({host}, 80), 2)",
    "connect": "tcp().connect(({host}, 80))",
    "connect by IPv6": "tcp(socket.AF_INET6).connect(({host}, 80))",
    "connect_ex": "tcp().connect_ex(({host}, 80))",
    "connect of UDP": "udp().connect(({host}, 80))",
    "sendto": "udp().sendto(b'x', ({host}, 80))",
    "sendto with flags": "udp().sendto(b'x', 0, ({host}, 80))",
    "sendmsg": "udp().sendmsg([b'x'], [], 0, ({host}, 80))",
    "bind": "tcp().bind(({host}, 0))",
}
FORMS = {
    "str": "'evil.test'",
    "bytes": "b'evil.test'",
    "bytearray": "bytearray(b'evil.test')",
}
# getaddrinfo takes str and bytes only.
NO_SUCH_CALL = {("getaddrinfo", "bytearray"), ("create_connection", "bytearray")}

# CPython calls the method, so what the object says is not what is asked.
# The guard may read the name that it spells: that one is listed, and then so is the way back from its address.
MAY_ASK = ("api.anthropic.com", "10.113.0.203.in-addr.arpa")
LIAR = "type('S', (str,), {'encode': lambda *_: b'evil.test'})('api.anthropic.com')"

IN_EVERY_FORM = [
    *(
        Attack(f"{route}: {form}", code.format(host=host), "DNS evil.test")
        for route, code in ROUTES.items()
        for form, host in FORMS.items()
        if (route, form) not in NO_SUCH_CALL
    ),
    *(
        Attack(f"{route}: str that lies", code.format(host=LIAR), "DNS evil.test", raises=None, may_ask=MAY_ASK)
        for route, code in ROUTES.items()
        if route != "getfqdn"  # makes a plain str of it
    ),
]

# Names that look like a listed one, or like one name and are another.
SPELLINGS = [
    Attack(f"spelling: {title}", f"socket.getaddrinfo({host!r}, 443)", f"DNS {asked}")
    for title, host, asked in (
        ("subdomain of a listed name", "x.api.anthropic.com", "x.api.anthropic.com"),
        ("listed name as a prefix", "api.anthropic.com.evil.test", "api.anthropic.com.evil.test"),
        ("listed name as a suffix", "xapi.anthropic.com", "xapi.anthropic.com"),
        ("parent of a listed name", "anthropic.com", "anthropic.com"),
        ("upper case", "EVIL.TEST", "evil.test"),
        ("trailing dot", "evil.test.", "evil.test"),
        ("beyond ASCII", "\xe9vil.test", "xn--vil-9la.test"),
        ("ideographic full stop", "evil\u3002test", "evil.test"),
        ("full width letters", "\uff45vil.test", "evil.test"),
        ("one label", "evil", "evil"),
        ("underscore", "_tcp.evil.test", "_tcp.evil.test"),
        ("below localhost", "x.localhost", "x.localhost"),
    )
]

REVERSE = [
    Attack("reverse: gethostbyaddr", f"socket.gethostbyaddr('{UNLISTED}')", "DNS 66.100.51.198.in-addr.arpa PTR"),
    Attack("reverse: getnameinfo", f"socket.getnameinfo(('{UNLISTED}', 80), 0)", "DNS 66.100.51.198.in-addr.arpa PTR"),
    Attack("reverse: getnameinfo by IPv6", "socket.getnameinfo((RAW6, 80, 0, 0), 0)", "ip6.arpa PTR"),
    Attack(
        "reverse: getnameinfo of a mapped address", f"socket.getnameinfo(('::ffff:{UNLISTED}', 80, 0, 0), 0)", "PTR"
    ),
    Attack("reverse: getfqdn", f"socket.getfqdn('{UNLISTED}')", "DNS 66.100.51.198.in-addr.arpa PTR"),
]

CLIENTS = [
    Attack("asyncio: getaddrinfo", "asyncio.run(asyncio.wait_for(look(), 9))", "DNS evil.test", where={"before": """
async def look():
    await asyncio.get_running_loop().getaddrinfo(EVIL, 80)
"""}),
    Attack("asyncio: open_connection", "asyncio.run(asyncio.wait_for(asyncio.open_connection(EVIL, 443), 9))",
           "DNS evil.test"),
    Attack("asyncio: datagram endpoint", "asyncio.run(go())", "DNS evil.test", where={"before": """
async def go():
    await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(EVIL, 80))
"""}),
    Attack("asyncio: sock_connect", "asyncio.run(go())", "DNS evil.test", where={"before": """
async def go():
    sock = tcp()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (EVIL, 80))
"""}),
    Attack("trio: getaddrinfo", "import trio; trio.run(trio.socket.getaddrinfo, EVIL, 80)", "DNS evil.test"),
    Attack("trio: open_tcp_stream", "import trio; trio.run(trio.open_tcp_stream, EVIL, 80)", "DNS evil.test"),
    Attack("anyio: connect_tcp", "import anyio; anyio.run(anyio.connect_tcp, EVIL, 80)", "DNS evil.test"),
    Attack("gevent: getaddrinfo", "import gevent.socket as g; g.getaddrinfo(EVIL, 80)", "DNS evil.test"),
    Attack("gevent: create_connection", "import gevent.socket as g; g.create_connection((EVIL, 80), 2)",
           "DNS evil.test"),
    Attack("gevent: patched before the guard", "socket.create_connection((EVIL, 80), 2)", "DNS evil.test",
           where={"before": "import gevent.monkey; gevent.monkey.patch_all()"}),
    Attack("gevent: resolver written in Python", "import gevent.socket as g; g.gethostbyname(EVIL)", "DNS evil.test",
           raises="gaierror", where={"environment": {"GEVENT_RESOLVER": "dnspython", "GEVENT_RESOLVER_TIMEOUT": "1"}}),
    Attack("dnspython by UDP", "import dns.resolver; dns.resolver.resolve(EVIL, lifetime=0.5)", "DNS evil.test",
           raises="LifetimeTimeout"),
    Attack("dnspython by TCP", "import dns.resolver; dns.resolver.resolve(EVIL, tcp=True, lifetime=0.5)",
           "DNS evil.test", raises="LifetimeTimeout"),
    Attack("a copy of getaddrinfo taken early", "look(EVIL, 80)", "DNS evil.test",
           where={"before": "import _socket; look = _socket.getaddrinfo"}),
    Attack("a bound method taken early", "dial((EVIL, 80))", "DNS evil.test", where={"before": "dial = tcp().connect"}),
    Attack("in another thread", "outcome = []\n"
           "thread = threading.Thread(target=lambda: outcome.extend(attempts(lambda: socket.gethostbyname(EVIL))))\n"
           "thread.start(); thread.join(); assert outcome == ['EgressViolation'], outcome; raise RuntimeError",
           "DNS evil.test", raises="RuntimeError"),
    Attack("in a forked child", "if os.fork() == 0:\n    attempts(lambda: socket.gethostbyname(EVIL)); os._exit(0)\n"
           "os.wait(); socket.gethostbyname('x.' + EVIL)", "DNS evil.test"),
]  # fmt: skip

# The call fails, or succeeds, by itself: there is nothing to refuse, and the name must not leave on the way.
MALFORMED = [
    Attack(f"malformed: {title}", code, "DNS evil.test", raises=None)
    for title, code in (
        ("a flow label, connect", "udp(10).connect((EVIL, 80, 1 << 20))"),
        ("a flow label, bind", "udp(10).bind((EVIL, 80, -1))"),
        ("a flow label, sendto", "udp(10).sendto(b'x', (EVIL, 80, 1 << 20, 0))"),
        ("a flow label, sendmsg", "udp(10).sendmsg([b'x'], [], 0, (EVIL, 80, 1 << 20))"),
        ("a port", "udp().connect((EVIL, 65536))"),
    )
]

# The lookups put every str through a codec that is Python code.
CODEC = """
import encodings.idna
def evil(self, input, errors="strict"):
    return b"evil.test", len(input)
encodings.idna.Codec.encode.__code__ = evil.__code__
"""
CHANGED_CODEC = [
    Attack(f"changed codec: {title}", code, "DNS evil.test", raises=None, may_ask=MAY_ASK,
           may_dial=(" to 203.0.113.10 ", " to 2001:db8:a::"), where={"before": CODEC})
    for title, code in (
        ("a number", "socket.getaddrinfo('203.0.113.10', 443)"),
        ("a listed name", "socket.getaddrinfo('api.anthropic.com', 443)"),
        ("localhost", "socket.getaddrinfo('localhost', 443)"),
        ("gethostbyname", "socket.gethostbyname('203.0.113.10')"),
        ("gethostbyname_ex", "socket.gethostbyname_ex('api.anthropic.com')"),
        ("gethostbyaddr", "socket.gethostbyaddr('api.anthropic.com')"),
        ("create_connection", "socket.create_connection(('api.anthropic.com', 443), 2)"),
    )
]  # fmt: skip

ATTACKS = [*IN_EVERY_FORM, *SPELLINGS, *REVERSE, *CLIENTS, *MALFORMED, *CHANGED_CODEC]


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_reaches_the_wire_without_the_guard(lab: Lab, attack: Attack) -> None:
    attack.unguarded(lab)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_nothing_leaves(lab: Lab, attack: Attack) -> None:
    attack.guarded(lab)
