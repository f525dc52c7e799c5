"""Each place of each route where the caller's code runs, and each deed that such code can do there.

A place is a method of something that is handed over (`__index__`, `encode`, `__buffer__`, an iterator, `__del__` of what
dies meanwhile, `__eq__` and `__hash__`), a deed is what it does in the middle of the call. Every call asks for an
endpoint or a name that is refused, and what would be sent has a receiver. One child does all places for one deed.
"""

from __future__ import annotations

import sys
from typing import Any

import children
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

PREAMBLE = """
import gc, os, select, socket, sys, threading
import _socket
from inside import tell, word
import egressguard, logging

deed, mode = sys.argv[1:]
ALLOW = ("203.0.113.5:9",)
getaddrinfo, gethostbyname, gethostbyname_ex = _socket.getaddrinfo, _socket.gethostbyname, _socket.gethostbyname_ex
gethostbyaddr, getnameinfo, new_socket = _socket.gethostbyaddr, _socket.getnameinfo, _socket.socket
install = egressguard.install
forbidden = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
for one in forbidden:
    one.bind(("127.0.0.1", 10))
    if one.type == socket.SOCK_STREAM:
        one.listen(1000)
logging.getLogger("egressguard").addHandler(logging.NullHandler())
# A refusal goes on where its log line cannot be told any more: that is what these would say.
sys.unraisablehook = lambda *_: None
if mode == "guarded":
    install(ALLOW)

done, inner = 0, []

def dial():
    one = new_socket(socket.AF_INET, socket.SOCK_DGRAM)
    return word(lambda: one.sendto(b"x", ("127.0.0.1", 10)))

def delete_modules():
    for name in [name for name in sys.modules if "egressguard" in name]:
        sys.modules.pop(name).__dict__.clear()
    for name in ("_socket", "socket", "logging"):
        sys.modules.pop(name, None)
    gc.collect()

def elsewhere():
    others = []
    thread = threading.Thread(target=lambda: others.extend([dial(), word(lambda: gethostbyname("unlisted.test"))]))
    thread.start()
    thread.join(20)  # a lock that the call holds would let neither go on
    return "blocked" if thread.is_alive() else others[0]

DEEDS = {
    "raises": lambda: 1 / 0,
    "blocks": lambda: inner.append(elsewhere()),
    "dials": lambda: inner.append(dial()),
    "installs": lambda: inner.append([word(lambda: install(("127.0.0.2:*",))), word(lambda: install(("192.0.2.7:*",)))]),
    "deletes the guard's modules": delete_modules,
    "collects and forks": lambda: (gc.collect(), os.waitpid(os.fork() or os._exit(0), 0)),
}

def act():
    global done
    done += 1
    DEEDS[deed]()

class Index:
    def __init__(self, number): self.number = number
    def __index__(self):
        act()
        return self.number

class Dying:
    def __del__(self): act()

class Dropping:
    "Its __index__ lets go of the last reference to something with a finalizer."
    def __init__(self, number): self.number, self.kept = number, [Dying()]
    def __index__(self):
        self.kept.clear()
        return self.number

class Encoding(str):
    def __new__(cls, text):
        self = super().__new__(cls, "\\xe9")  # what is not ASCII is encoded by the codec, which asks the object
        self.text = text
        return self
    def encode(self, *_):
        act()
        return self.text.encode()

class Compared(str):
    def __eq__(self, other):
        act()
        return True
    def __hash__(self):
        act()
        return hash("203.0.113.5")

class Buffer:
    def __buffer__(self, flags):
        act()
        return memoryview(b"x")

def iterator(*items):
    act()
    yield from items

BUFFERS = sys.version_info >= (3, 12)  # __buffer__ came with PEP 688
HOST = "127.0.0.1"

def udp():
    return new_socket(socket.AF_INET, socket.SOCK_DGRAM)

def tcp():
    return new_socket(socket.AF_INET, socket.SOCK_STREAM)

def addresses(host=HOST, port=10):
    return {
        "__index__": lambda: (host, Index(port)),
        "__del__": lambda: (host, Dropping(port)),
        "encode": lambda: (Encoding(host), port),
        "__eq__, __hash__": lambda: (Compared(host), port),
    }

def with_addresses(call, **where):
    return {place: (lambda make=make: call(make())) for place, make in addresses(**where).items()}

def hosts(call, host):
    return {
        "encode": lambda: call(Encoding(host)),
        "__eq__, __hash__": lambda: call(Compared(host)),
    }

LOOSE_ROUTE = b"\\x83\\x03\\x04"
CALLS = {
    "connect": with_addresses(lambda address: tcp().connect(address)),
    "connect_ex": with_addresses(lambda address: tcp().connect_ex(address)),
    "bind": with_addresses(lambda address: udp().bind(address), host="unlisted.test"),
    "sendto": {
        **with_addresses(lambda address: udp().sendto(b"x", address)),
        "flags": lambda: udp().sendto(b"x", Index(0), (HOST, 10)),
        "buffer": lambda: udp().sendto(Buffer(), (HOST, 10)),
    },
    "sendmsg": {
        **with_addresses(lambda address: udp().sendmsg([b"x"], [], 0, address)),
        "flags": lambda: udp().sendmsg([b"x"], [], Index(0), (HOST, 10)),
        "buffer": lambda: udp().sendmsg([Buffer()], [], 0, (HOST, 10)),
        "iterator": lambda: udp().sendmsg(iterator(b"x"), [], 0, (HOST, 10)),
        "control iterator": lambda: udp().sendmsg([b"x"], iterator(), 0, (HOST, 10)),
        "control __index__": lambda: udp().sendmsg([b"x"], [(Index(0), Index(2), b"\\1\\0\\0\\0")], 0, (HOST, 10)),
        "control buffer": lambda: udp().sendmsg([b"x"], [(0, 2, Buffer())], 0, (HOST, 10)),
    },
    "setsockopt": {
        "__index__": lambda: udp().setsockopt(Index(0), Index(4), LOOSE_ROUTE),
        "__del__": lambda: udp().setsockopt(Dropping(0), 4, LOOSE_ROUTE),
    },
    "getaddrinfo": {
        **hosts(lambda host: getaddrinfo(host, 10), "unlisted.test"),
        "__index__": lambda: getaddrinfo("unlisted.test", 10, Index(0), Index(0), Index(0), Index(0)),
        "__eq__, __hash__ of the port": lambda: getaddrinfo("unlisted.test", Compared("10")),
    },
    "gethostbyname": hosts(lambda host: gethostbyname(host), "unlisted.test"),
    "gethostbyname_ex": hosts(lambda host: gethostbyname_ex(host), "unlisted.test"),
    "gethostbyaddr": hosts(lambda host: gethostbyaddr(host), "192.0.2.7"),
    "getnameinfo": {
        "__index__": lambda: getnameinfo(("192.0.2.7", Index(10)), Index(0)),
        "__del__": lambda: getnameinfo(("192.0.2.7", Dropping(10)), 0),
    },
}

if mode == "unguarded":  # those that dial; what a look-up sends is the laboratory's matter
    CALLS = {route: CALLS[route] for route in ("connect", "connect_ex", "sendto", "sendmsg")}
rows = []
for route, places in CALLS.items():
    for place, call in places.items():
        if "buffer" in place and not BUFFERS:
            continue
        done, inner[:] = 0, []
        rows.append([route, place, word(call), done > 0, inner[0] if inner else []])
tell([rows, len(select.select(forbidden, [], [], 0.05)[0])])
os._exit(0)
"""
# What each deed leads to in the middle of a call, itself; whatever it is, the call is refused.
INNER = {
    "raises": [],
    "blocks": "loopback",
    "dials": "loopback",
    "installs": ["ValueError", "RuntimeError"],
    "deletes the guard's modules": [],
    "collects and forks": [],
}
REASONS = {
    **dict.fromkeys(("connect", "connect_ex", "sendto", "sendmsg"), "loopback"),
    **dict.fromkeys(
        ("bind", "getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"), "not-listed"
    ),
    "setsockopt": "routing",
}


def told(deed: str, mode: str) -> Any:
    """Run the child; return its rows and how many of the forbidden receivers got something."""
    return children.python_alone(PREAMBLE, deed, mode).last()


@pytest.mark.parametrize("deed", INNER)
def test_code_of_the_callers_in_the_middle_of_each_route(deed: str) -> None:
    rows, reached = told(deed, "guarded")
    assert reached == 0
    assert {row[0] for row in rows} == set(REASONS)
    for route, place, came_of_it, happened, inner in rows:
        # Nobody asks a text whether it equals another, or for its hash: its letters are read.
        assert happened == ("__eq__" not in place), (route, place)
        # What a finalizer raises has nowhere to go.
        raised = deed == "raises" and happened and place != "__del__"
        assert came_of_it == ("ZeroDivisionError" if raised else REASONS[route]), (route, place)
        assert inner == (INNER[deed] if happened else []), (route, place)


def test_without_the_guard_these_calls_arrive() -> None:
    rows, reached = told("dials", "unguarded")
    assert reached == 2
    buffers = sys.version_info >= (3, 12)
    assert len(rows) == 4 + 4 + (6 if buffers else 5) + (10 if buffers else 8)
    refused_by_the_kernel = {("sendmsg", "control buffer"): "OSError"}  # one byte is no time to live
    assert {(route, place): came for route, place, came, *_ in rows if came != "done"} == {
        place: word for place, word in refused_by_the_kernel.items() if buffers
    }
