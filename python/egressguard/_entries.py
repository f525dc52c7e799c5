"""Canonical entries taken apart, for those who hand them on. What an entry is, the extension alone decides."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from egressguard import _egressguard

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Entry(NamedTuple):
    """One canonical entry.

    ``kind`` is ``name``, ``wildcard``, ``address`` (a network of one or more) or ``unix``; ``host`` is the name, the
    name behind ``*.``, the network's text, or the UNIX path with its ``@`` where it is abstract; ``low`` and ``high``
    are ports, 0 and 65535 for every port.
    """

    text: str
    kind: str
    host: str
    low: int
    high: int
    network: Network | None = None

    @classmethod
    def of(cls, text: str) -> Entry:
        """Take one canonical entry apart."""
        if text.startswith("unix:"):
            return cls(text, "unix", text.removeprefix("unix:"), 0, 65535)
        host, _, port = text.rpartition(":")
        low, _, high = port.partition("-")
        ports = (0, 65535) if port == "*" else (int(low), int(high or low))
        if host.startswith("*."):
            return cls(text, "wildcard", host[2:], *ports)
        bare = host.strip("[]")
        try:
            network = ipaddress.ip_network(bare)
        except ValueError:
            return cls(text, "name", host, *ports)
        return cls(text, "address", str(network), *ports, network)

    @property
    def every_port(self) -> bool:
        """Whether the entry opens every port."""
        return (self.low, self.high) == (0, 65535)

    @property
    def endpoint(self) -> str | None:
        """What the entry opens, where that is exactly one endpoint."""
        single = self.network is None or self.network.num_addresses == 1
        if self.kind == "unix":
            return self.text
        return self.text if self.kind != "wildcard" and single and self.low == self.high else None


def of_list(entries: tuple[str, ...]) -> list[Entry]:
    """Return the entries of a list, canonical: ports of one host merged and sorted. Raises ValueError."""
    return [Entry.of(text) for text in _egressguard.parse(entries)]
