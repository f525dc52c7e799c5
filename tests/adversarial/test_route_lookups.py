"""Lookups of names that are not listed: refused before a question leaves, by every reach. Questions are counted at the
machine's own nameserver addresses, in a network of the child's own.
"""

from __future__ import annotations

import children
import nameserver
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

DRIVER = """
import importlib, socket, sys, threading
import _socket
import interpreters, reaches
from inside import tell, word
from nameserver import Nameserver

guarded, reach, name = sys.argv[1] == "guarded", sys.argv[2], sys.argv[3]
FUNCTIONS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
captured = {one: getattr(_socket, one) for one in FUNCTIONS}
warm = {}
for one in FUNCTIONS:
    scope = {"socket": socket}
    exec(f"def call(*arguments): return socket.{one}(*arguments)", scope)
    warm[one] = scope["call"]
    for _ in range(200):
        warm[one](*{"getaddrinfo": ("127.0.0.1", 9), "getnameinfo": (("127.0.0.1", 9), socket.NI_NUMERICHOST)}.get(
            one, ("127.0.0.1",)) if one != "gethostbyaddr" else ("127.0.0.1",))
server = Nameserver()
if guarded:
    import egressguard
    egressguard.install(("listed.example:9",))
namespace = {
    "socket": lambda: socket, "_socket": lambda: _socket, "captured": lambda: type("Captured", (), captured),
    "specialised": lambda: type("Warm", (), {key: staticmethod(value) for key, value in warm.items()}),
    "imported again": reaches.reimported, "reloaded": reaches.reloaded,
}[reach]()

def udp():
    return _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)

calls = {
    "getaddrinfo": lambda: namespace.getaddrinfo(name, 9),
    "getaddrinfo, no port": lambda: namespace.getaddrinfo(name, None),
    "getaddrinfo, bytes": lambda: namespace.getaddrinfo(name.encode(), "9"),
    "gethostbyname": lambda: namespace.gethostbyname(name),
    "gethostbyname_ex": lambda: namespace.gethostbyname_ex(name),
    "gethostbyaddr": lambda: namespace.gethostbyaddr(name),
    "gethostbyaddr, an address": lambda: namespace.gethostbyaddr("203.0.113.9"),
    "getnameinfo, an address": lambda: namespace.getnameinfo(("203.0.113.9", 9), 0),
}
if reach == "socket":
    calls.update({
        "connect": lambda: udp().connect((name, 9)), "connect_ex": lambda: udp().connect_ex((name, 9)),
        "sendto": lambda: udp().sendto(b"x", (name, 9)), "sendto with flags": lambda: udp().sendto(b"x", 0, (name, 9)),
        "sendmsg": lambda: udp().sendmsg([b"x"], [], 0, (name, 9)), "bind": lambda: udp().bind((name, 0)),
        "bytearray": lambda: udp().connect((bytearray(name.encode()), 9)),
        "getfqdn": lambda: socket.getfqdn(name) and 1 / 0,
        "create_connection": lambda: socket.create_connection((name, 9)),
        "create_server": lambda: socket.create_server((name, 0)),
    })
told = {}
for key, call in calls.items():
    told[key] = [word(call), len(server.asked())]
tell(told)
"""
REACHES = ["socket", "_socket", "captured", "specialised", "imported again", "reloaded"]


@pytest.mark.parametrize("reach", REACHES)
def test_an_unlisted_name_is_never_asked_for(reach: str) -> None:
    told = children.python_alone(DRIVER, "guarded", reach, "forbidden.example", addresses=nameserver.on_lo()).last()
    assert {key: asked for key, (_, asked) in told.items() if asked} == {}
    words = {key: word for key, (word, _) in told.items() if word != "not-listed"}
    # getfqdn swallows OSError only; what it may do is return its argument.
    assert words == {}


def test_without_the_guard_a_question_leaves() -> None:
    """The attack works, by every function; with a search domain the listed name would have another asked for."""
    told = children.python_alone(
        DRIVER, "unguarded", "socket", "forbidden.example", addresses=nameserver.on_lo()
    ).last()
    assert all(asked for _, asked in told.values())


ABSOLUTE = """
import socket, sys
from inside import tell, word
from nameserver import Nameserver
server = Nameserver()
import egressguard
egressguard.install(("listed.example:9",))
calls = [lambda: socket.getaddrinfo("listed.example", 9), lambda: socket.gethostbyname("LISTED.example."),
         lambda: socket.gethostbyname_ex("listed.example"), lambda: socket.gethostbyaddr("listed.example"),
         lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("listed.example", 9)),
         lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("listed.example", 9))]
for call in calls:
    tell([word(call), sorted(set(server.asked()))])
"""


@pytest.mark.parametrize("variables", [{"LOCALDOMAIN": "evil.test"}, {"RES_OPTIONS": "ndots:15"}])
def test_only_the_absolute_listed_name_is_asked_for(variables: dict[str, str]) -> None:
    """No search domain, no resolver variable of the environment changes the question."""
    told = children.python_alone(ABSOLUTE, addresses=nameserver.on_lo(), env=variables).told()
    assert [names for _, names in told] == [["listed.example"]] * 6
