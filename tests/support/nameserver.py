"""For children in a network of their own: whether a lookup would have left the machine.

The addresses of the machine's nameservers are put on `lo` there, so that every question of libc arrives here.
"""

from __future__ import annotations

import re
import select
import socket
from pathlib import Path


def addresses() -> list[str]:
    """Return the nameservers of /etc/resolv.conf; without one libc asks 127.0.0.1 (resolv.conf(5))."""
    try:
        text = Path("/etc/resolv.conf").read_text()
    except OSError:
        text = ""
    return re.findall(r"^\s*nameserver\s+([0-9.]+)\s*$", text, re.MULTILINE) or ["127.0.0.1"]


def on_lo() -> list[str]:
    """Return the addresses as `ip addr add` takes them, without those that `lo` has anyway."""
    return [f"{address}/32" for address in addresses() if not address.startswith("127.")]


class Nameserver:
    """Takes questions and answers none."""

    def __init__(self) -> None:
        self.sockets = []
        for address in addresses():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((address, 53))
            one.setblocking(False)
            self.sockets.append(one)

    def asked(self) -> list[str]:
        """Return the names asked for since the last call, as far as they can be read.

        On `lo` a datagram is in the queue when the sender's call returns (one kernel, one queue): no fence is needed.
        """
        names = []
        while select.select(self.sockets, [], [], 0)[0]:
            for one in self.sockets:
                try:
                    question = one.recv(4096)
                except BlockingIOError:
                    continue
                labels, at = [], 12
                while at < len(question) and question[at]:
                    labels.append(question[at + 1 : at + 1 + question[at]].decode("latin-1"))
                    at += question[at] + 1
                names.append(".".join(labels))
        return names
