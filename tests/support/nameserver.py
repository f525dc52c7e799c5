"""For children in a network of their own: whether a lookup would have left the machine.

The addresses of the machine's nameservers are put on `lo` there, so that every question of libc arrives here.
"""

from __future__ import annotations

import os
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


def name_in(question: bytes) -> str:
    """Return the name of a query's first question, as far as it can be read (RFC 1035, 4.1)."""
    labels, at = [], 12
    while at < len(question) and question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode("latin-1"))
        at += question[at] + 1
    return ".".join(labels)


def answer_no(question: bytes) -> bytes:
    """Return the answer that there is no such name."""
    return question[:2] + b"\x81\x83" + question[4:]


class Nameserver:
    """Notes each question and answers that there is no such name, in a process of its own: make it before install."""

    def __init__(self) -> None:
        sockets = []
        for address in addresses():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((address, 53))
            sockets.append(one)
        self.reading, writing = os.pipe()
        os.set_blocking(self.reading, False)
        if os.fork() == 0:
            for descriptor in (self.reading, 0, 1, 2):  # whoever reads what this child prints waits for us no longer
                os.close(descriptor)
            parent = os.getppid()
            while os.getppid() == parent:
                for one in select.select(sockets, [], [], 1)[0]:
                    question, peer = one.recvfrom(4096)
                    os.write(
                        writing, name_in(question).encode() + b"\n"
                    )  # before the answer, so that nothing is missed
                    one.sendto(answer_no(question), peer)
            os._exit(0)
        for one in sockets:
            one.close()

    def asked(self) -> list[str]:
        """Return the names asked for since the last call: whoever waited for an answer finds its question here.

        A question that nobody waits for is on its way no longer than `lo` takes; it is given a moment.
        """
        select.select([self.reading], [], [], 0.01)
        try:
            return os.read(self.reading, 65536).decode().splitlines()
        except BlockingIOError:
            return []
