"""From journals to the shortest allowlist that would have let the recorded processes work.

Nothing wider than what was seen is suggested: no wildcard, no network, no port that nobody used. What a person should
decide about (`_unsuggested`) is told instead, with its reason.
"""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
import re
from typing import TYPE_CHECKING, Any

from egressguard import _egressguard, _entries, _fields, _journal_read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

LOOPBACK = frozenset({"loopback", "unspecified", "embedded", "own-address"})
OPENABLE = frozenset({"not-listed", "port", "unix"})
# Where clouds hand out credentials to whoever can reach them: AWS (three), Google, Azure, Alibaba, Oracle.
METADATA_ADDRESSES = frozenset(
    "169.254.169.254 169.254.170.2 169.254.170.23 fd00:ec2::254 fd00:ec2::23 168.63.129.16 100.100.100.200 "
    "192.0.0.192 fd20:ce::254".split()
)
METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
MACHINE_SOCKETS = re.compile(
    r"/(docker|containerd|crio|podman|cri-dockerd|dockershim|systemd/private|dbus/system_bus_socket)\b"
)


@dataclasses.dataclass
class Seen:
    """What was recorded about one endpoint."""

    endpoint: str
    count: int = 0
    last_ns: int = 0
    distributions: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    sites: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    why: str = ""  # for what is not suggested

    def add(self, record: dict[str, Any]) -> None:
        """Count one record."""
        self.count += 1
        self.last_ns = max(self.last_ns, record["wall_ns"])
        self.distributions[record.get("distribution") or record.get("program") or "the application"] += 1
        if record.get("site"):
            self.sites[record["site"]] += 1


@dataclasses.dataclass
class Suggestion:
    """The entries, what each was seen doing, names that lack a port, what is not suggested and why, what was read."""

    entries: dict[str, list[Seen]]
    unsuggested: list[Seen]
    portless: list[Seen] = dataclasses.field(default_factory=list)  # `endpoint` is the name
    records: int = 0
    unreadable: int = 0
    processes: int = 0
    files: int = 0
    first_ns: int = 0
    last_ns: int = 0


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _unsuggested(record: dict[str, Any]) -> str:
    """Return why no entry is suggested for a record, or "" where one is."""
    host, reason = record["host"], record["reason"]
    address = _address(host)
    is_metadata = str(address or host) in METADATA_ADDRESSES or host.rstrip(".").lower() in METADATA_NAMES
    why = ""
    if reason in LOOPBACK:
        why = "this machine: no entry opens loopback, and an own address needs a decision"
    elif is_metadata:
        why = "a cloud metadata service: it hands out this machine's credentials"
    elif reason == "unix" and MACHINE_SOCKETS.search(host):
        why = "a socket that controls this machine"
    elif reason not in OPENABLE:
        why = f"no entry opens it ({reason})"
    elif address is not None:
        why = "a bare address: find out whose it is, and list the name where there is one"
    return why


def _plain(host: str) -> str:
    return host.rstrip(".").lower()


def _with_ports(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop lookups that name no port, of names that the same journals show with one."""
    every = list(records)
    known = {_plain(record["host"]) for record in every if record["port"] is not None}
    return [record for record in every if record["port"] is not None or _plain(record["host"]) not in known]


def suggest(paths: Iterable[str | PathLike[str]], base: tuple[str, ...] = ()) -> Suggestion:
    """Read journals and suggest what to add to ``base``. Raises OSError, and ValueError for a bad ``base``."""
    result = Suggestion({}, [])
    found: list[dict[str, Any]] = []
    for path in paths:
        result.files += 1
        for record in _journal_read.records(path):
            if record is None:
                result.unreadable += 1
            else:
                found.append(record)
    result.records = len(found)
    result.processes = len({(record.get("machine"), record["pid"]) for record in found})
    result.first_ns = min((record["wall_ns"] for record in found), default=0)
    result.last_ns = max((record["wall_ns"] for record in found), default=0)
    open_to, portless, closed = _sort_out(_with_ports(found))
    result.portless = _by_count(one for one in portless.values() if not _opens_a_port(base, one.endpoint))
    result.unsuggested = _by_count(closed.values())
    result.entries = _shortest(open_to, base)
    return result


def _by_count(seen: Iterable[Seen]) -> list[Seen]:
    return sorted(seen, key=lambda one: (-one.count, one.endpoint))


def _opens_a_port(base: tuple[str, ...], name: str) -> bool:
    """Whether an entry of the list covers the name: then it may be looked up as it is."""
    entries = _entries.of_list(base)
    return any(_egressguard.explain((one.text,), f"{name}:{one.low}")["allowed"] for one in entries)


def _sort_out(records: list[dict[str, Any]]) -> tuple[dict[str, Seen], dict[str, Seen], dict[str, Seen]]:
    """Return what can be an entry, names that lack a port to be one, and what is not suggested."""
    open_to: dict[str, Seen] = {}
    portless: dict[str, Seen] = {}
    closed: dict[str, Seen] = {}
    for record in records:
        endpoint, why, target = record["endpoint"], _unsuggested(record), open_to
        if not why:
            lacks_port = record["port"] is None and record["reason"] != "unix"
            try:
                [entry] = _egressguard.parse((f"{endpoint}:1" if lacks_port else endpoint,))
            except ValueError as error:
                why = str(error).rpartition(": ")[2]
            else:
                if lacks_port:
                    endpoint, target = entry.removesuffix(":1"), portless
        target = closed if why else target
        target.setdefault(endpoint, Seen(endpoint, why=why)).add(record)
    return open_to, portless, closed


def _shortest(open_to: dict[str, Seen], base: tuple[str, ...]) -> dict[str, list[Seen]]:
    """Merge what was seen into entries, and give each endpoint to the entry that opens it."""
    wanted = [one for one in open_to if not (base and _egressguard.explain(base, one)["allowed"])]
    entries: dict[str, list[Seen]] = {entry: [] for entry in sorted(_egressguard.parse(wanted))}
    for endpoint in wanted:
        deciding = _egressguard.explain(tuple(entries), endpoint)["entry"]
        entries.get(deciding, []).append(open_to[endpoint])
    return {entry: seen for entry, seen in entries.items() if seen}


def period(result: Suggestion) -> str:
    """Return from when to when was recorded, or "nothing"."""
    if not result.records:
        return "nothing"
    return f"{_fields.utc(result.first_ns)[:16]}Z to {_fields.utc(result.last_ns)[:16]}Z"
