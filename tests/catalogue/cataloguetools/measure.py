"""Measure a row: what came on the wire of the laboratory, without the guard, and with one layer or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cataloguetools.row import Row

from labtools.addresses import OTHER, OTHER6, SCRIPTED, UNLISTED, UNLISTED6
from labtools.lab import BY_DNSMASQ, Lab, Outcome
from labtools.wire import Wire

LAYERS = ("none", "python", "kernel")
ALLOWED, FORBIDDEN = "cgr.dev", "evil.test"
FORBIDDEN_ADDRESS = "198.51.100.77"
CHANGING = [f"203.0.113.{last}" for last in range(40, 72)]
RULES: dict[str, dict[str, Any]] = {ALLOWED: {"A": [[address] for address in CHANGING], "ttl": 0}}
TCP_ACK, TCP_SYN = 0x10, 0x02
PAGE = "hello from outside"

PREAMBLE = """
import egressguard
LAYER, PORT = {layer!r}, {port}
if LAYER == "kernel":
    try:
        egressguard.install_kernel()
    except egressguard.KernelLayerUnavailable as error:
        result = "unavailable: " + str(error)
        raise SystemExit from None

def url(host, port, scheme="http"):
    return scheme + "://" + host + ":" + str(port) + "/"

def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 5))

REQUEST = b"GET / HTTP/1.0\\r\\nHost: lab\\r\\n\\r\\n"

def exchange(connection):
    with connection:
        connection.sendall(REQUEST)
        return connection.recv(4096)

def attempt(host):
    try:
        return str(dial(host, PORT))[:4000]
    except BaseException as error:
        return type(error).__name__ + ": " + str(error)[:160]
"""


class KernelLayerMissing(Exception):
    """This machine cannot have the kernel layer; the text says why."""


@dataclass(frozen=True)
class Measurement:
    """What one row did under one layer."""

    layer: str
    asked: bool  # the forbidden name went to a name server
    name_dialled: bool
    address_dialled: bool
    steady: bool  # the allowed name was reached
    changing: bool  # also where every question is answered with another address
    told: dict[str, str]
    loopback: bool = False  # something was dialled on the loopback interface
    journal: tuple[str, ...] = ()  # what the guard refused, each thing once

    @property
    def verdict(self) -> str:
        """One word; each is explained on the page."""
        if self.name_dialled or self.address_dialled:
            return "leaks"
        if self.asked:
            return "asks" if self.steady else "asks, and refuses"
        if not self.steady:
            return "refuses"
        return "enforced" if self.changing else "steady"


def measure(lab: Lab, row: Row, layer: str) -> Measurement:
    """Run a row: the forbidden name and address and the allowed name with steady DNS, then with changing answers."""
    steady = run(lab, row, layer, (FORBIDDEN, FORBIDDEN_ADDRESS, ALLOWED), changing=False)
    changing = run(lab, row, layer, (ALLOWED,), changing=True) if layer != "none" else steady
    wire = steady.wire
    told = {**_result(changing), **_result(steady)}
    return Measurement(
        layer=layer,
        asked=any(name == FORBIDDEN or name.endswith("." + FORBIDDEN) for name in wire.questions()),
        name_dialled=_sent_to(wire, {UNLISTED, UNLISTED6}),
        address_dialled=_sent_to(wire, {FORBIDDEN_ADDRESS}),
        steady=_reached(steady, row, {OTHER, OTHER6}),
        changing=_reached(changing, row, set(CHANGING) if layer != "none" else {OTHER, OTHER6}),
        told=told,
        loopback=any(frame.is_dial for one in (steady, changing) for frame in one.loopback_wire.frames),
        journal=tuple(dict.fromkeys(_refused(steady) + _refused(changing))),
    )


def run(lab: Lab, row: Row, layer: str, hosts: tuple[str, ...], *, changing: bool) -> Outcome:
    """Run the attempts of a row in one process."""
    calls = f"\nresult = {{host: attempt(host) for host in {hosts!r}}}\n"
    return lab.run(
        PREAMBLE.format(layer=layer, port=row.port) + row.code + calls,
        guard=layer != "none",
        allow=(f"{ALLOWED}:{row.port}",),
        before=row.preparation(),
        resolv=f"nameserver {SCRIPTED}\n" if changing else BY_DNSMASQ,
        rules=RULES if changing else None,
        environment=row.variables(),
        timeout=40,
    )


def _result(outcome: Outcome) -> dict[str, str]:
    result = outcome.report["result"]
    if isinstance(result, str) and result.startswith("unavailable"):
        raise KernelLayerMissing(result)
    if not isinstance(result, dict):
        raise TypeError(f"the row did not run: {outcome}")
    return result


def _refused(outcome: Outcome) -> list[str]:
    return [f"{route} {host}: {reason}" for route, host, reason in outcome.report["violations"]]


def _sent_to(wire: Wire, addresses: set[str]) -> bool:
    return any(frame.destination in addresses for frame in wire.frames)


def _reached(outcome: Outcome, row: Row, addresses: set[str]) -> bool:
    """Whether a handshake with an allowed address was completed, or a datagram got there; and the page came back."""
    for frame in outcome.wire.frames:
        if frame.destination in addresses and frame.port == row.port:
            there = frame.protocol == "UDP" or (frame.flags & TCP_ACK and not frame.flags & TCP_SYN)
            if there:
                return not row.answers or PAGE in _result(outcome)[ALLOWED]
    return False
