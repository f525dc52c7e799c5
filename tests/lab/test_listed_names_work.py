"""Whatever a program uses to reach a listed name, it reaches it: the page comes over TLS, and only from there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from labtools.addresses import API, API6, CLOSED, CLOSED6, DNSMASQ, DNSMASQ6, OTHER, OTHER6, SCRIPTED, SILENT, SILENT6
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
    for_unseen_answers: bool = True
    by_tcp: bool = False
    shows: tuple[str, ...] = ("",)  # parts of lines on the wire: one of them tells that the mode is what it says

    def fits(self, client: Client) -> bool:
        """Whether the client would work like this without the guard, and the guard can know what it was answered."""
        return (
            (self.for_one_address or client.tries_all)
            and (self.for_own_resolvers or not client.own_resolver)
            and (self.for_unseen_answers or client.answers_seen)
            and (not self.by_tcp or client.asks_by_tcp)
        )


ALTERNATING = {
    "A": [[API], [OTHER], ["203.0.113.11"], ["203.0.113.12"]],
    "AAAA": [[API6], [OTHER6], ["2001:db8:a::11"], ["2001:db8:a::12"]],
}
ALTERNATED = (f" to {OTHER} ", f" to {OTHER6} ")
MANY = {"A": [[API, OTHER, *(f"203.0.113.{number}" for number in range(100, 140))]], "AAAA": [[API6, OTHER6]]}
MODES = [
    Mode("answered by dnsmasq"),
    Mode("alternating single answers", {NAME: {**ALTERNATING, "ttl": 60}}, for_unseen_answers=False,
         shows=ALTERNATED),
    Mode("alternating single answers, TTL 0", {NAME: {**ALTERNATING, "ttl": 0}}, for_unseen_answers=False,
         shows=ALTERNATED),
    Mode("TTL 0", {NAME: {"A": [[API]], "AAAA": [[API6]], "ttl": 0}}),
    Mode("truncated by UDP", {NAME: {**MANY, "truncated": True}}, by_tcp=True,
         shows=(f"TCP to {SCRIPTED} port 53 SYN",)),
    Mode("a CNAME chain", {
        NAME: {"cname": "one.cdn.test"}, "one.cdn.test": {"cname": "two.cdn.test"},
        "two.cdn.test": {"A": [[API]], "AAAA": [[API6]]},
    }),
    Mode("one closed address among three", {NAME: {"A": [[CLOSED, API, OTHER]]}}, for_one_address=False,
         shows=(f"TCP to {CLOSED} ",)),
    Mode("one closed IPv6 address among three", {NAME: {"AAAA": [[CLOSED6, API6, OTHER6]]}},
         for_one_address=False, for_own_resolvers=False, shows=(f"TCP to {CLOSED6} ",)),
]  # fmt: skip
BY_IPV4_ONLY = ("gethostbyname_ex", "connect")


def run(lab: Lab, client: Client, mode: Mode, guard: bool) -> Outcome:
    """Fetch the page three times with a client."""
    resolv = BY_SCRIPT if mode.rules else BY_DNSMASQ
    return lab.run(client.code + THRICE, guard=guard, resolv=resolv, rules=mode.rules)


def assert_fetched(outcome: Outcome, times: int = 3) -> None:
    """The page came every time, and nothing was asked or dialled but the listed name."""
    assert outcome.report["result"] == [PAGE] * times, outcome
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


# A silent host among three, the first to be tried: who starts the next attempt without waiting gets there in time.
SILENT_HOST = {
    "IPv4": {"A": [[SILENT, API, OTHER]]},
    "IPv6": {"AAAA": [[SILENT6, API6, OTHER6]]},
    "both": {"A": [[SILENT, API]], "AAAA": [[SILENT6, API6]]},
}
# aiohttp brings its own algorithm; create_connection waits as long as it is told, then goes on.
HAPPY_EYEBALLS = ("asyncio, happy eyeballs", "trio", "anyio", "httpx, async", "aiohttp", "create_connection")


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_works_without_the_guard(lab: Lab, client: Client) -> None:
    assert_fetched(run(lab, client, MODES[0], guard=False))


@pytest.mark.parametrize(("client", "mode"), FITTING)
def test_works(lab: Lab, client: Client, mode: Mode) -> None:
    outcome = run(lab, client, mode, guard=True)
    assert_fetched(outcome)
    assert any(map(outcome.wire.shows, mode.shows)), outcome


@pytest.mark.parametrize("version", SILENT_HOST)
@pytest.mark.parametrize("client", [one for one in CLIENTS if one.name in HAPPY_EYEBALLS], ids=str)
def test_works_with_a_silent_host_among_three(lab: Lab, client: Client, version: str) -> None:
    code = client.code.replace("(API, 443), 3)", "(API, 443), 0.3)")
    outcome = lab.run(f"{code}\nresult = [once()]", guard=True, resolv=BY_SCRIPT, rules={NAME: SILENT_HOST[version]})
    assert_fetched(outcome, 1)
    assert {address for address, _ in outcome.wire.dialled()} & {SILENT, SILENT6}, outcome


def test_works_from_the_hosts_file(lab: Lab) -> None:
    code = "result = [hello(socket.create_connection((API, 443), 3)) for _ in range(3)]"
    outcome = lab.run(code, guard=True, resolv="", hosts=f"{API} other.test {NAME.upper()}\n")
    assert_fetched(outcome)
    assert not outcome.wire.questions(), outcome


ASKING = ("create_connection", "connect to a name", "aiohttp", "dnspython", "pycares")


@pytest.mark.parametrize("client", [one for one in CLIENTS if one.name in ASKING], ids=str)
def test_works_with_a_name_server_reached_by_ipv6(lab: Lab, client: Client) -> None:
    outcome = lab.run(client.code + THRICE, guard=True, resolv=f"nameserver {DNSMASQ6}\n")
    assert_fetched(outcome)
    assert outcome.wire.shows(f"UDP to {DNSMASQ6} port 53 DNS {NAME}"), outcome


# What systemd-resolved is for most machines: a server on loopback, in another process, that asks the real one.
STUB = f"""
if os.fork() == 0:
    os.closerange(1, 3)  # the harness waits until nobody holds the case's output any more, then ends the group
    stub, real = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
    stub.bind(("127.0.0.53", 53))
    while True:
        message, asker = stub.recvfrom(4096)
        real.sendto(message, ("{DNSMASQ}", 53))
        stub.sendto(real.recv(4096), asker)
time.sleep(0.2)
"""


@pytest.mark.parametrize("client", [one for one in CLIENTS if one.name in ASKING], ids=str)
def test_works_with_a_name_server_on_loopback(lab: Lab, client: Client) -> None:
    outcome = lab.run(client.code + THRICE, guard=True, resolv="nameserver 127.0.0.53\n", before=STUB)
    assert outcome.report["result"] == [PAGE] * 3, outcome
    assert not outcome.report["violations"], outcome
    assert outcome.wire.questions() == {NAME}, outcome
    assert not outcome.loopback_wire.dialled(), outcome.loopback_wire.lines()
