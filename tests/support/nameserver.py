"""For children in a network of their own: whether a lookup would have left the machine.

The addresses of the machine's nameservers are put on `lo` there, so that every question of libc arrives here.
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
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


def answer(question: bytes, records: Mapping[str, Sequence[str]]) -> bytes:
    """Return the answer to an A or AAAA question from `name: addresses`; for another name that there is none."""
    end = question.index(b"\0", 12) + 5
    (kind,) = struct.unpack("!H", question[end - 4 : end - 2])
    known = records.get(name_in(question).lower())
    if known is None:
        return question[:2] + b"\x81\x83" + question[4:]
    family, size = (socket.AF_INET6, 16) if kind == 28 else (socket.AF_INET, 4)
    packed = [socket.inet_pton(family, one) for one in known if kind in (1, 28) and (":" in one) == (kind == 28)]
    answers = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, size) + one for one in packed)
    return question[:2] + b"\x81\x80\0\1" + struct.pack("!HHH", len(packed), 0, 0) + question[12:end] + answers


class Nameserver:
    """Notes each question and answers from the records after some seconds, in a process of its own: make it before install."""

    def __init__(self, records: Mapping[str, Sequence[str]] | None = None, seconds: float = 0) -> None:
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
                    # Before the answer, so that nothing is missed.
                    os.write(writing, name_in(question).encode() + b"\n")
                    time.sleep(seconds)
                    one.sendto(answer(question, records or {}), peer)
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
