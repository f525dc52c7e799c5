"""Whatever a program uses to reach a listed name, it reaches it: the page comes over TLS, and only from there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from labtools.addresses import API, API6, OTHER, OTHER6, SILENT, SILENT6, UNREACHABLE, UNREACHABLE6
from labtools.clients import CLIENTS, PAGE, Client
from labtools.lab import BY_DNSMASQ, BY_SCRIPT, Lab, Outcome

NAME = "api.anthropic.com"
THRICE = "\nresult = [once() for _ in range(3)]"


@dataclass(frozen=True)
class Mode:
    """How the name is answered, and which clients can be expected to get on with that."""

    name: str
    rules: dict[str, Any] = field(default_factory=dict)
    for_one_address: bool = True  # also for clients that try only the first
    for_own_resolvers: bool = True

    def fits(self, client: Client) -> bool:
        """Whether the client would work like this without the guard, and the guard can know what it was answered."""
        return (self.for_one_address or client.tries_all) and (self.for_own_resolvers or not client.own_resolver)


ALTERNATING = {
    "A": [[API], [OTHER], ["203.0.113.11"], ["203.0.113.12"]],
    "AAAA": [[API6], [OTHER6], ["2001:db8:a::11"], ["2001:db8:a::12"]],
}
MANY = {"A": [[API, OTHER, *(f"203.0.113.{number}" for number in range(100, 140))]], "AAAA": [[API6, OTHER6]]}
MODES = [
    Mode("answered by dnsmasq"),
    Mode("alternating single answers", {NAME: {**ALTERNATING, "ttl": 60}}, for_own_resolvers=False),
    Mode("alternating single answers, TTL 0", {NAME: {**ALTERNATING, "ttl": 0}}, for_own_resolvers=False),
    Mode("TTL 0", {NAME: {"A": [[API]], "AAAA": [[API6]], "ttl": 0}}),
    Mode("truncated by UDP", {NAME: {**MANY, "truncated": True}}),
    Mode("a CNAME chain", {
        NAME: {"cname": "one.cdn.test"}, "one.cdn.test": {"cname": "two.cdn.test"},
        "two.cdn.test": {"A": [[API]], "AAAA": [[API6]]},
    }),
    Mode("one unreachable address among three", {NAME: {"A": [[UNREACHABLE, API, OTHER]]}}, for_one_address=False),
    Mode("one unreachable IPv6 address among three", {NAME: {"AAAA": [[UNREACHABLE6, API6, OTHER6]]}},
         for_one_address=False, for_own_resolvers=False),
]  # fmt: skip
BY_IPV4_ONLY = ("gethostbyname_ex", "connect")


def run(lab: Lab, client: Client, mode: Mode, guard: bool) -> Outcome:
    """Fetch the page three times with a client."""
    resolv = BY_SCRIPT if mode.rules else BY_DNSMASQ
    return lab.run(client.code + THRICE, guard=guard, resolv=resolv, rules=mode.rules)


def assert_fetched(outcome: Outcome) -> None:
    """The page came every time, and nothing was asked or dialled but the listed name."""
    assert outcome.report["result"] == [PAGE] * 3, outcome
    assert outcome.wire.questions() <= {NAME}, outcome
    elsewhere = [
        line
        for line in outcome.wire.besides({NAME})
        if " to 203.0.113." not in line and " to 2001:db8:a::" not in line and " to 2001:db8:dead::25" not in line
    ]
    assert not elsewhere, outcome
    assert not outcome.loopback_wire.frames, outcome.loopback_wire.lines()
    assert not outcome.report["violations"], outcome


FITTING = [
    pytest.param(client, mode, id=f"{client}, {mode.name}")
    for mode in MODES
    for client in CLIENTS
    if mode.fits(client) and not ("AAAA" in mode.rules.get(NAME, ()) and "A" not in mode.rules[NAME]
                                  and any(word in client.name for word in BY_IPV4_ONLY))
]  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_works_without_the_guard(lab: Lab, client: Client) -> None:
    assert_fetched(run(lab, client, MODES[0], guard=False))


@pytest.mark.parametrize(("client", "mode"), FITTING)
def test_works(lab: Lab, client: Client, mode: Mode) -> None:
    assert_fetched(run(lab, client, mode, guard=True))
