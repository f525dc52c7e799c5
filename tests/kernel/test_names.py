"""Names looked up by native code: judged before a question leaves, and the answers become grants."""

from __future__ import annotations

import shutil
import sys
import time

import pytest
from kernellab.wire import EVIL, LISTED, NAMESERVER, Wire, besides_listed_names

from conftest import Guarded

RESOLVERS = {
    "glibc": {},
    "glibc over TCP": {"RES_OPTIONS": "use-vc"},
    "glibc, one question at a time": {"RES_OPTIONS": "single-request"},
}


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_listed_name_is_looked_up_and_dialled(wire: Wire, guarded: Guarded, resolver: str) -> None:
    done = wire.run(guarded(["curl", "-sS", "-m", "5", "http://api.test:443/"]), env=RESOLVERS[resolver])
    assert done.stdout == "ok\n", done
    events = wire.events()
    assert {event["name"] for event in events if event["kind"] == "dns"} == {"api.test"}
    assert [event["to"] for event in events if event["kind"] == "tcp"] == [LISTED]


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_unlisted_name_is_refused_at_once_and_never_asked(wire: Wire, guarded: Guarded, resolver: str) -> None:
    lookup = ["getent", "ahosts", "evil.test"]
    assert EVIL in wire.run(lookup, env=RESOLVERS[resolver]).stdout
    wire.events()
    started = time.monotonic()
    done = wire.run(guarded(lookup), env=RESOLVERS[resolver])
    assert time.monotonic() - started < 2
    assert done.returncode == 2, done
    assert EVIL not in done.stdout
    assert wire.events() == []


def test_alias_is_followed(wire: Wire, guarded: Guarded) -> None:
    done = wire.run(guarded(["curl", "-sS", "-m", "5", "http://alias.test:443/"]))
    assert done.stdout == "ok\n", done


def test_name_of_the_hosts_file_is_granted(wire: Wire, guarded: Guarded) -> None:
    done = wire.run(guarded(["curl", "-sS", "-m", "5", "http://many.test:443/"]))
    assert done.stdout == "ok\n", done


@pytest.mark.parametrize("name", ["rebind.test", "metadata.test"])
def test_listed_name_that_leads_to_loopback_or_metadata_is_refused(wire: Wire, guarded: Guarded, name: str) -> None:
    lookup = ["getent", "ahosts", name]
    assert wire.run(lookup).returncode == 0
    assert wire.run(guarded(lookup)).returncode == 2


def test_granted_address_on_another_port_is_refused(wire: Wire, guarded: Guarded) -> None:
    command = ["curl", "-sS", "-m", "5", "http://many.test:80/"]
    assert wire.run(guarded(command)).returncode == 7
    assert "tcp" not in {event["kind"] for event in wire.events()}


# As musl and dnspython do it: an unconnected socket, one sendto for each question.
UNCONNECTED = """
import ctypes, socket, struct, sys
name, port = sys.argv[1], int(sys.argv[2])
labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0"
query = struct.pack("!HHHHHH", 4711, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", 1, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.sendto(query, (sys.argv[3], 53))
answer, source = s.recvfrom(4096)
assert source[0] == sys.argv[3], source
ip = socket.inet_ntoa(answer[-4:])
t = socket.create_connection((ip, port), 5)
print(ip)
"""


def test_question_by_an_unconnected_socket(wire: Wire, guarded: Guarded) -> None:
    def ask(name: str) -> list[str]:
        return [sys.executable, "-c", UNCONNECTED, name, "443", NAMESERVER]

    assert wire.run(ask("evil.test")).stdout == f"{EVIL}\n"
    wire.events()
    done = wire.run(guarded(ask("api.test")))
    assert done.stdout == f"{LISTED}\n", done
    wire.events()
    done = wire.run(guarded(ask("evil.test")))
    assert "PermissionError" in done.stderr
    assert wire.events() == []


# As Go does it: a connected UDP socket, written and read.
CONNECTED = UNCONNECTED.replace("s.sendto(query, (sys.argv[3], 53))", "s.connect((sys.argv[3], 53)); s.send(query)")
CONNECTED = CONNECTED.replace("assert source[0] == sys.argv[3], source\n", "")


def test_question_by_a_connected_socket(wire: Wire, guarded: Guarded) -> None:
    done = wire.run(guarded([sys.executable, "-c", CONNECTED, "api.test", "443", NAMESERVER]))
    assert done.stdout == f"{LISTED}\n", done
    wire.events()
    done = wire.run(guarded([sys.executable, "-c", CONNECTED, "evil.test", "443", NAMESERVER]))
    assert done.returncode == 1
    assert besides_listed_names(wire.events()) == []  # it dials what it takes for an address


SMUGGLE = """
import socket, sys
s = socket.socket(socket.AF_INET, int(sys.argv[2])); s.settimeout(2)
s.connect((sys.argv[1], 53)); s.send(b"\\0\\40secret secret secret secret secret")
s.recv(100)
"""


@pytest.mark.parametrize("kind", ["1", "2"])
def test_what_is_no_question_does_not_leave(wire: Wire, guarded: Guarded, kind: str) -> None:
    wire.run(guarded([sys.executable, "-c", SMUGGLE, NAMESERVER, kind]))
    assert wire.events() == []


def test_c_ares(wire: Wire, guarded: Guarded) -> None:
    if shutil.which("node") is None:
        pytest.skip("no node here")

    def ask(name: str) -> list[str]:
        return ["node", "-e", f"require('dns').resolve4('{name}',(e,a)=>console.log(e?e.code:a.join()))"]

    assert wire.run(guarded(ask("api.test"))).stdout == f"{LISTED}\n"
    assert wire.run(guarded(ask("evil.test"))).stdout == "ENOTFOUND\n"


SORTING = """
import json, socket, sys
{before}
print(json.dumps([a[4][0] for a in socket.getaddrinfo("api.test", None, type=1)]))
print(json.dumps(sorted({{a[4][0] for a in socket.getaddrinfo("localhost", 80, type=1)}})))
{after}
"""


def test_sorting_of_addresses_is_no_violation(wire: Wire) -> None:
    from conftest import under_run

    command = [sys.executable, "-c", SORTING.format(before="", after="")]
    unguarded, guarded = wire.run(command), wire.run(under_run(command))
    assert guarded.stdout == unguarded.stdout
    assert guarded.stderr == ""
