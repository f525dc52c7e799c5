"""Every spelling of this machine that CPython and libc understand is dialled as loopback, so it is refused as loopback."""

from __future__ import annotations

import children
import pytest
from listeners import Endpoint, have_ipv6

DRIVER = """
import socket, sys
from inside import tell, word

mode, port, family = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
SPELLINGS = {
    socket.AF_INET: [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "localhost",
        "LocalHost", "localhost.", "", "0.0.0.0", "0", b"127.0.0.1", b"localhost", bytearray(b"127.0.0.1"),
        "\\uff11\\uff12\\uff17.\\uff10.\\uff10.\\uff11", "127\\u30020\\u30020\\u30021", "\\u217cocalhost",
    ],
    socket.AF_INET6: [
        "::1", "0:0:0:0:0:0:0:1", "0000::0001", "::ffff:127.0.0.1", "::ffff:7f00:1", "::", "", b"::1",
        bytearray(b"::1"), "::1%1",
    ],
}[family]
if mode == "guarded":
    import egressguard
    egressguard.install(())
for host in SPELLINGS:
    for extra in ((), (0,), (0, 0)) if family == socket.AF_INET6 else ((),):
        for route in ("connect", "connect_ex"):
            with socket.socket(family) as one:
                one.settimeout(5)
                tell([repr((host, *extra)), route, word(lambda: getattr(one, route)((host, port, *extra)))])
"""
FAMILIES = [pytest.param(2, id="IPv4"), *([pytest.param(10, id="IPv6")] if have_ipv6() else [])]


@pytest.mark.parametrize("family", FAMILIES)
def test_spellings_of_this_machine(family: int, listener: Endpoint) -> None:
    """Shown to reach the listener without the guard, or to fail there too; never refused for another reason."""
    reaching = children.python(DRIVER, "unguarded", listener.port, family).told()
    arrived = len(listener.seen())
    assert arrived == sum(word == "done" for _, _, word in reaching)
    assert arrived >= 38
    told = children.python(DRIVER, "guarded", listener.port, family).told()
    assert listener.seen() == []
    assert [one for one in told if one[2] not in ("loopback", "unspecified")] == []
