"""Every route by every reach: what a patch in Python would miss is refused all the same, and nothing arrives."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import children
import pytest
from listeners import Endpoint

# Each dial sends one datagram or makes one connection where it is not refused.
DRIVER = """
import json, sys
from pathlib import Path
import _socket
import reaches
from inside import tell, word

mode, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
chosen = sys.argv[4]
TCP, UDP = (_socket.AF_INET, _socket.SOCK_STREAM), (_socket.AF_INET, _socket.SOCK_DGRAM)
here = ("127.0.0.1", port)

def connected_send(make):
    made, connect = make("connect", *UDP)
    connect(here)
    (made[1] if isinstance(made, tuple) else made).send(b"x")

ROUTES = {
    "connect": lambda make: make("connect", *TCP)[1](here),
    "connect_ex": lambda make: make("connect_ex", *TCP)[1](here),
    "connect, then send": connected_send,
    "sendto": lambda make: make("sendto", *UDP)[1](b"x", here),
    "sendto with flags": lambda make: make("sendto", *UDP)[1](b"x", 0, here),
    "sendmsg": lambda make: make("sendmsg", *UDP)[1]([b"x"], [], 0, here),
    "fast open by sendto": lambda make: make("sendto", *TCP)[1](b"x", _socket.MSG_FASTOPEN, here),
    "fast open by sendmsg": lambda make: make("sendmsg", *TCP)[1]([b"x"], [], _socket.MSG_FASTOPEN, here),
}
keep = []

def run(route, make):
    def make_and_keep(*spec):
        made = make(*spec)
        keep.append(made)  # a socket that is collected could close before it is counted
        return made
    return word(lambda: route(make_and_keep))

prepared = reaches.prepare()
if mode == "guarded":
    import egressguard
    egressguard.install(())
make = reaches.all_of(prepared, folder)[chosen]
tell({name: run(route, make) for name, route in ROUTES.items()})
"""
REACHES = (
    "socket.socket",
    "_socket.socket",
    "_socket.SocketType",
    "a subclass",
    "super()",
    "captured descriptors",
    "captured bound methods",
    "specialised bytecode",
    "operator.methodcaller",
    "another thread",
    "socket.fromfd",
    "_socket imported again",
    "_socket reloaded",
    "a copy of _socket",
)
EXPECTED = Counter({"tcp": 4, "udp": 4})


def skip_without_file(reach: str) -> None:
    """Skip copies where `_socket` is built into the interpreter."""
    if "copy" in reach and "_socket" in sys.builtin_module_names:
        pytest.skip("_socket is built into this interpreter: there is no file to copy")


@pytest.mark.parametrize("reach", REACHES)
def test_every_route_is_refused(reach: str, listener: Endpoint, tmp_path: Path) -> None:
    """First the attack: each route makes one arrival. Then the same under the guard: none."""
    skip_without_file(reach)
    told = children.python(DRIVER, "unguarded", listener.port, tmp_path, reach).last()
    assert set(told.values()) == {"done"}
    assert Counter(listener.seen()) == EXPECTED
    told = children.python(DRIVER, "guarded", listener.port, tmp_path, reach).last()
    assert set(told.values()) == {"copied-module" if "copy" in reach else "loopback"}, told
    assert listener.seen() == []
