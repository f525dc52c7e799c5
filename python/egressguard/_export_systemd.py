"""The list as a drop-in for a systemd service (systemd.resource-control(5), systemd.exec(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressguard import _export
from egressguard._export import Exported, Order

if TYPE_CHECKING:
    from egressguard._entries import Entry

NO_NAMES = "IPAddressAllow= takes addresses"
NO_PORTS = "IPAddressAllow= knows no port: every port and protocol of this address is open to the unit"
REMARKS = (
    "it holds for every process of the unit, for what comes in as well as for what goes out",
    "loopback is closed, and with it a local nameserver such as 127.0.0.53",
    "UNIX sockets are open: IP address filtering does not see them",
)


def _allowed(entry: Entry) -> str:
    assert entry.network is not None  # noqa: S101  `export` passes addresses alone
    single = entry.network.num_addresses == 1
    return str(entry.network.network_address) if single else entry.host


def export(order: Order) -> Exported:
    """Return the drop-in: put it in ``UNIT.service.d/``, then ``systemctl daemon-reload``."""
    addresses = [entry for entry in order.entries if entry.kind == "address"]
    allowed = dict.fromkeys(_allowed(entry) for entry in addresses)
    lines = ["[Service]", "IPAddressDeny=any", *(f"IPAddressAllow={address}" for address in allowed)]
    lines += ["RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"]
    left_out = _export.without(
        order.entries, name=NO_NAMES, wildcard=NO_NAMES, unix="a unit's IP filter does not see UNIX sockets"
    )
    widened = tuple((entry.text, NO_PORTS) for entry in addresses if not entry.every_port)
    return Exported("\n".join(lines) + "\n", REMARKS, left_out, widened)
