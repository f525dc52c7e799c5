"""The cases and their budgets, as docs/performance.md lists them."""

from __future__ import annotations

from dataclasses import dataclass

OURS = "egressguard"
EVERY = ("unguarded", OURS, "tethered", "tethered-locked", "pytest-socket")
DIALS = EVERY  # pytest-socket replaces connect alone
GUARDS_SENDS = ("unguarded", OURS, "tethered", "tethered-locked")
REFUSERS = (OURS, "tethered", "tethered-locked", "pytest-socket")
ENTRIES = (1, 100, 10_000, 1_000_000)
PEER_ENTRIES = 10_000  # more take the others seconds to minutes to install
THREADS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Case:
    """One operation of `work` and who takes part in it."""

    operation: str
    title: str
    contenders: tuple[str, ...]
    budget: float | None = None  # a ratio to unguarded, or microseconds where nothing is unguarded
    weight: int = 1  # a case that needs more turns to settle

    @property
    def is_ratio(self) -> bool:
        """Whether the unguarded process takes part."""
        return "unguarded" in self.contenders


MICRO = (
    Case("udp_connect", "UDP connect, allowed", DIALS, 1.15, 2),
    Case("tcp_connect", "TCP connect and close, allowed", DIALS),
    Case("sendto", "sendto, allowed", GUARDS_SENDS, 1.1, 2),
    Case("getaddrinfo_number", "getaddrinfo of a number", GUARDS_SENDS, 1.1, 2),
    Case("getaddrinfo_listed", "getaddrinfo of a listed name in /etc/hosts", GUARDS_SENDS),
    Case("open_close", "os.open and os.close", GUARDS_SENDS, 1.08, 2),
    Case("refusal", "connect to what is not listed, refused", REFUSERS, 3.0),
    Case("refusal_name", "getaddrinfo of what is not listed, refused", REFUSERS[:-1], 3.0),
)
FRESH_BUDGETS = {("install", 1): 3.0, ("install", 100_000): 30.0}  # milliseconds
FLAT_BUDGET = 1.05  # the most entries, to one
WEB_BUDGET = 1.01  # instructions a request
