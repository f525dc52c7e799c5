"""Every way to name a peer to the kernel: it works unguarded, sends nothing guarded, and listed peers are reached."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from kernellab.wire import EVIL, LISTED, Wire

from conftest import Guarded

ABSENT = 77
# Those with a peer on the list reach it; for the others there is no entry, whatever the peer.
OPEN = "connect nonblocking sendto udp-connect udplite sendmsg sendmmsg fastopen-connect mapped".split()
CLOSED = "fastopen unspec raw ping packet options control int80 socketcall x32 io_uring".split()


@pytest.mark.parametrize("route", [*OPEN, *CLOSED])
def test_route_to_an_unlisted_host_sends_nothing(wire: Wire, programs: Path, guarded: Guarded, route: str) -> None:
    attack = [str(programs / "dial"), route, EVIL, "80"]
    unguarded = wire.run(attack)
    wire.events()
    if unguarded.stdout.strip() != "through":
        pytest.skip(f"not here, unguarded: {unguarded.stdout.strip()}")
    done = wire.run(guarded(attack))
    assert "through" not in done.stdout, done
    assert any(word in done.stdout for word in ("EACCES", "ENOSYS", "EOPNOTSUPP")), done
    assert wire.events() == []


@pytest.mark.parametrize("route", OPEN)
def test_route_to_a_listed_address_works(wire: Wire, programs: Path, guarded: Guarded, route: str) -> None:
    done = wire.run(guarded([str(programs / "dial"), route, LISTED, "80"]))
    assert done.stdout == "through\n", done
    assert {event["to"] for event in wire.events()} == {LISTED}


def test_fast_open_to_a_listed_address_makes_the_caller_connect(wire: Wire, programs: Path, guarded: Guarded) -> None:
    done = wire.run(guarded([str(programs / "dial"), "fastopen", LISTED, "80"]))
    assert done.stdout == "sendto: EOPNOTSUPP\n"
    assert wire.events() == []


CTYPES = """
import ctypes, errno, json, os, socket, struct, sys
{before}
libc = ctypes.CDLL(None, use_errno=True)
where = sys.argv[2]
address = struct.pack("=H", 2) + struct.pack("!H", 80) + socket.inet_aton(where) + bytes(8)
def fd(kind): return socket.socket(2, kind).detach()
attempts = dict(
    connect=lambda: libc.connect(fd(1), address, 16),
    sendto=lambda: libc.sendto(fd(2), b"x", 1, 0, address, 16),
    syscall=lambda: libc.syscall(42 if os.uname().machine == "x86_64" else 203, fd(1), address, 16),
)
result = attempts[sys.argv[1]]()
print("through" if result >= 0 else errno.errorcode[ctypes.get_errno()])
"""
IN_FORCE = """
import egressguard
egressguard.install(("203.0.113.10:80",))
egressguard.install_kernel()
"""


@pytest.mark.parametrize("route", ["connect", "sendto", "syscall"])
def test_native_code_in_the_process_itself(wire: Wire, route: str) -> None:
    attack = [sys.executable, "-c", CTYPES.format(before=""), route, EVIL]
    assert wire.run(attack).stdout == "through\n"
    assert len(wire.events()) == 1
    guarded = [sys.executable, "-c", CTYPES.format(before=IN_FORCE), route]
    assert wire.run([*guarded, EVIL]).stdout == "EACCES\n"
    assert wire.events() == []
    assert wire.run([*guarded, LISTED]).stdout == "through\n"
    assert [event["to"] for event in wire.events()] == [LISTED]


CLIENTS = {
    "bash": ["bash", "-c", "exec 3<>/dev/tcp/{0}/80"],
    "curl": ["curl", "-sS", "-m", "5", "http://{0}:80/"],
    "node": [
        "node",
        "-e",
        "require('net').connect(80,'{0}',()=>process.exit(0)).on('error',e=>{{console.error(e.code);process.exit(1)}})",
    ],
    "python": [sys.executable, "-c", "import socket; socket.create_connection(('{0}', 80), 5)"],
    "grandchild": ["sh", "-c", "sh -c 'exec bash -c \"exec 3<>/dev/tcp/{0}/80\"'"],
    "namespaced": ["unshare", "--user", "--pid", "--fork", "bash", "-c", "exec 3<>/dev/tcp/{0}/80"],
}


@pytest.mark.parametrize("client", CLIENTS)
def test_programs(wire: Wire, guarded: Guarded, client: str) -> None:
    if shutil.which(CLIENTS[client][0]) is None:
        pytest.skip(f"no {client} here")

    def command(address: str) -> list[str]:
        return [word.format(address) for word in CLIENTS[client]]

    unguarded = wire.run(command(EVIL))
    if unguarded.returncode:
        pytest.skip(f"not here, unguarded: {unguarded.stderr}")
    assert [event["to"] for event in wire.events()] == [EVIL]
    assert wire.run(guarded(command(EVIL))).returncode != 0
    assert wire.events() == []
    done = wire.run(guarded(command(LISTED)))
    assert done.returncode == 0, done
    assert [event["to"] for event in wire.events()] == [LISTED]


OPTIONS = """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
families = {0: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 41: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)}
print([[level, option] for level, s in families.items() for option in range(80)
       if libc.setsockopt(s.fileno(), level, option, None, 0) != 0 and ctypes.get_errno() == errno.EACCES])
"""
# The numbers of linux/in.h and linux/in6.h that eg_verdict_for_option refuses: routing, and multicast groups.
REFUSED_OPTIONS = [
    *([0, option] for option in (4, 35, 39, 41, 42, 46, 48)),
    *([41, option] for option in (5, 6, 20, 27, 32, 42, 46, 48, 57)),
]


def test_the_filter_refuses_the_options_that_the_core_refuses(wire: Wire, guarded: Guarded) -> None:
    """A filter cannot call the core; this is what keeps its list the same."""
    command = [sys.executable, "-c", OPTIONS]
    assert wire.run(command).stdout == "[]\n"
    assert wire.run(guarded(command)).stdout == f"{REFUSED_OPTIONS}\n"
