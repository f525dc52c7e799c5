"""A listed name whose answer leads back to this machine, or to nobody in particular, is not dialled there.

Where a good address comes with the bad one, the good one alone is dialled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from labtools.addresses import API, API6, INSIDE, INSIDE6
from labtools.lab import BY_SCRIPT, HOSTS_FILE, Lab, Outcome

NAME = "api.anthropic.com"
GOOD = {4: API, 6: API6}

# Bad addresses, and where a dial to them shows: on loopback (also for own addresses) or on the wire.
BAD = {
    "loopback": ("127.0.0.1", "127.0.0.1"),
    "loopback, another": ("127.7.7.7", "127.7.7.7"),
    "unspecified": ("0.0.0.0", "127.0.0.1"),
    "link-local": ("169.254.169.254", "169.254.169.254"),
    "multicast": ("224.0.0.251", "224.0.0.251"),
    "broadcast": ("255.255.255.255", "255.255.255.255"),
    "broadcast of the network": ("10.77.0.255", "10.77.0.255"),
    "own": (INSIDE, INSIDE),
    "loopback by IPv6": ("::1", "::1"),
    "unspecified by IPv6": ("::", "::1"),
    "multicast by IPv6": ("ff1e::1", "ff1e::1"),
    "own by IPv6": (INSIDE6, INSIDE6),
    "mapped loopback": ("::ffff:127.0.0.1", "127.0.0.1"),
    "mapped link-local": ("::ffff:169.254.169.254", "169.254.169.254"),
    "compatible loopback": ("::127.0.0.1", "::7f00:1"),
    "NAT64 loopback": ("64:ff9b::127.0.0.1", "64:ff9b::7f00:1"),
    "6to4 loopback": ("2002:7f00:1::1", "2002:7f00:1::1"),
    "6to4 link-local": ("2002:a9fe:a9fe::1", "2002:a9fe:a9fe::1"),
}

# By TCP and by UDP, by one step and by two, in both families. `result` is what was raised.
DIAL = """
def two_steps(kind):
    for family, kind, protocol, _, address in socket.getaddrinfo(API, 443, 0, kind):
        s = socket.socket(family, kind, protocol)
        s.settimeout(0.3)
        if kind == socket.SOCK_DGRAM:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            s.sendto(b"x", address)
        else:
            attempts(lambda: s.connect(address))
result = attempts(
    lambda: socket.create_connection((API, 443), 0.3),
    lambda: tcp(FAMILY, 0.3).connect((API, 443)),
    lambda: udp(FAMILY).sendto(b"x", (API, 443)),
    lambda: two_steps(socket.SOCK_STREAM),
    lambda: two_steps(socket.SOCK_DGRAM),
    lambda: asyncio.run(asyncio.wait_for(asyncio.open_connection(API, 443), 0.5)),
)
"""


@dataclass(frozen=True)
class Lie:
    """A listed name, what it resolves to, and how it comes to that."""

    title: str
    way: str  # dns, cname or hosts
    bad: str
    shows: str
    mixed: bool

    @property
    def version(self) -> int:
        """The IP version of the bad address."""
        return 6 if ":" in self.bad else 4

    def run(self, lab: Lab, guard: bool) -> Outcome:
        """Dial the name."""
        addresses = [self.bad, GOOD[self.version]] if self.mixed else [self.bad]
        answer: dict[str, Any] = {"A" if self.version == 4 else "AAAA": [addresses]}
        rules: dict[str, dict[str, Any]] = {}
        hosts = HOSTS_FILE
        if self.way == "dns":
            rules = {NAME: answer}
        elif self.way == "cname":
            rules = {NAME: {"cname": "alias.evil.test"}, "alias.evil.test": {"cname": "localhost"}, "localhost": answer}
        else:
            hosts += "".join(f"{address} {NAME}\n" for address in addresses)
        family = "AF_INET6" if self.version == 6 else "AF_INET"
        code = DIAL.replace("FAMILY", f"socket.{family}")
        return lab.run(code, guard=guard, resolv=BY_SCRIPT, rules=rules, hosts=hosts)

    def __str__(self) -> str:
        """Name the row in pytest's output."""
        return f"{self.title}, by {self.way}{', mixed with a good one' if self.mixed else ''}"


LIES = [
    Lie(title, way, bad, shows, mixed)
    for title, (bad, shows) in BAD.items()
    for way in ("dns", "cname", "hosts")
    for mixed in (False, True)
    # Every address by DNS; by the other ways those that an attacker gains most by.
    if way == "dns" or title in ("loopback", "unspecified", "link-local", "own", "loopback by IPv6", "mapped loopback")
]


def seen(outcome: Outcome) -> set[str]:
    """Return every destination of TCP and UDP, on the wire and on loopback, name servers left out."""
    frames = outcome.wire.frames + outcome.loopback_wire.frames
    # On loopback the answers of this machine are seen too: they come from the port that was dialled.
    return {frame.destination for frame in frames if frame.port not in (0, 53) and frame.source_port != 443}


@pytest.mark.parametrize("lie", [lie for lie in LIES if not lie.mixed], ids=str)
def test_is_dialled_without_the_guard(lab: Lab, lie: Lie) -> None:
    outcome = lie.run(lab, guard=False)
    assert lie.shows in seen(outcome), f"{seen(outcome)}\n{outcome}"


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_is_not_dialled(lab: Lab, lie: Lie) -> None:
    outcome = lie.run(lab, guard=True)
    assert seen(outcome) == ({GOOD[lie.version]} if lie.mixed else set()), outcome
    assert outcome.wire.questions() <= {NAME}, outcome
    if lie.mixed:
        assert "EgressViolation" not in outcome.report["result"], outcome
    else:
        # A mapped address of /etc/hosts is an IPv4 one: asked for IPv6, the name has none.
        assert set(outcome.report["result"]) - {"gaierror"} == {"EgressViolation"}, outcome
        assert {reason for _, _, reason in outcome.report["violations"]} == {"resolved"}, outcome


REBINDING = {NAME: {"A": [[API], ["127.0.0.1"]], "ttl": 0}}
REBOUND = """
first = attempts(lambda: socket.create_connection((API, 443), 1))
result = first + attempts(lambda: socket.create_connection((API, 443), 1))
result.append("EgressViolation" if violations() else "")
"""


def test_rebinding_is_dialled_without_the_guard(lab: Lab) -> None:
    outcome = lab.run(REBOUND, guard=False, resolv=BY_SCRIPT, rules=REBINDING)
    assert seen(outcome) == {API, "127.0.0.1"}, outcome


def test_rebinding_is_refused(lab: Lab) -> None:
    outcome = lab.run(REBOUND, guard=True, resolv=BY_SCRIPT, rules=REBINDING)
    assert seen(outcome) == {API}, outcome
    assert outcome.report["result"] == ["", "EgressViolation", "EgressViolation"], outcome


@pytest.mark.parametrize("guard", [False, True], ids=["without the guard", "guarded"])
def test_network_entry_does_not_open_this_machine(lab: Lab, guard: bool) -> None:
    code = f"result = attempts(lambda: tcp().connect(('{INSIDE}', 443)), lambda: tcp().connect(('10.77.0.1', 443)))"
    outcome = lab.run(code, guard=guard, allow=("10.77.0.0/24:443",))
    assert seen(outcome) == {"10.77.0.1"} | (set() if guard else {INSIDE}), outcome
    assert outcome.report["result"] == ["EgressViolation" if guard else "ConnectionRefusedError", ""], outcome
