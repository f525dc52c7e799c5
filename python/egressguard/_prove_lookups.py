"""The routes by which code looks names up, for `egressguard prove`.

The names come from /etc/hosts, so that even the unguarded run asks no name server. Where that file has none to spare,
the unguarded run is left out, and the guarded one asks for a name that RFC 6761 keeps for nobody.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from egressguard._prove_routes import Absent, Guard, Target, route, tcp

NOBODY = "egressguard-prove.invalid"
NOBODYS_ADDRESS = "192.0.2.1"  # RFC 5737: documentation


def _spare(known: str | None, nobodys: str, target: Target) -> str:
    """Return what to look up, or leave the attempt out where that would ask somebody."""
    if known is None and not target.guarded:
        raise Absent("not tried unguarded: it would ask a name server")
    return known or nobodys


def _lookup(name: str, call: Callable[[str], object]) -> None:
    @route(name, "returned")
    def attempt(target: Target, guard: Guard) -> None:
        host = _spare(target.name, NOBODY, target)
        guard()
        call(host)


def _reverse(name: str, call: Callable[[str], object]) -> None:
    @route(name, "returned")
    def attempt(target: Target, guard: Guard) -> None:
        address = _spare(target.address, NOBODYS_ADDRESS, target)
        guard()
        call(address)


_lookup("getaddrinfo", lambda name: socket.getaddrinfo(name, 443))
_lookup("gethostbyname", socket.gethostbyname)
_lookup("gethostbyname_ex", socket.gethostbyname_ex)
_reverse("gethostbyaddr", socket.gethostbyaddr)
_reverse("getnameinfo", lambda address: socket.getnameinfo((address, 0), socket.NI_NAMEREQD))


@route("bind to a name", "returned")
def bind(target: Target, guard: Guard) -> None:
    """Binding looks the name up first; that the address may then not be ours does not matter."""
    name = _spare(target.name, NOBODY, target)
    guard()
    try:
        tcp().bind((name, 0))
    except socket.gaierror:
        raise
    except OSError:
        return
