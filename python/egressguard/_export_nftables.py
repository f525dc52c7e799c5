"""The list as an nftables table (nft(8)): for the network namespace of one container or host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressguard import _export
from egressguard._export import Exported, Order

if TYPE_CHECKING:
    from egressguard._entries import Entry

NO_NAMES = "nftables matches addresses: a name would be looked up once, when the rules are loaded"
REMARKS = (
    "it holds for every process of the network namespace, and loopback stays open there",
    "without a nameserver among the entries, nobody there can look a name up",
)


def _rule(entry: Entry) -> str:
    assert entry.network is not None  # noqa: S101  `export` passes addresses alone
    family = "ip" if entry.network.version == 4 else "ip6"
    single = entry.network.num_addresses == 1
    host = str(entry.network.network_address) if single else str(entry.network)
    low, high = _export.ports_of(entry)
    port = str(low) if low == high else f"{low}-{high}"
    return f"{family} daddr {host} meta l4proto {{ tcp, udp }} th dport {port} accept"


def export(order: Order) -> Exported:
    """Return a table that drops what no entry covers. Loading it again replaces it."""
    rules = [_rule(entry) for entry in order.entries if entry.kind == "address"]
    name = order.name.replace("-", "_")
    body = [
        "type filter hook output priority filter; policy drop;",
        'oifname "lo" accept',
        "ct state established,related accept",
        "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept",
        *rules,
        "counter reject with icmpx type admin-prohibited",
    ]
    text = f"table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n\tchain output {{\n"
    text += "".join(f"\t\t{line}\n" for line in body) + "\t}\n}\n"
    left_out = _export.without(
        order.entries, name=NO_NAMES, wildcard=NO_NAMES, unix="nftables does not see UNIX sockets"
    )
    return Exported(text, REMARKS, left_out)
