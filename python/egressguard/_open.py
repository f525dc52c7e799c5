"""What is open beside the guard in this process: sockets, native code, programs. Read from /proc, nothing is opened."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import struct
import sys
from pathlib import Path
from typing import Any

from egressguard import _before, _distributions, _elf
from egressguard._machine import PROC, text_of

ESTABLISHED = "01"
# What a shared object calls to dial or to look a name up; whatever imports one of these can do so past CPython.
DIALLING = frozenset(
    "connect sendto sendmsg sendmmsg getaddrinfo getnameinfo gethostbyname gethostbyname2 gethostbyname_r "
    "gethostbyname2_r gethostbyaddr gethostbyaddr_r res_query res_search res_send __res_nquery __res_nsearch "
    "getaddrinfo_a io_uring_setup io_uring_queue_init".split()
)
# The C library, the interpreter (whose own routes the guard holds), the guard.
NOT_TOLD = re.compile(
    r"/(libc|ld-linux[^/]*|libpthread|libresolv|libanl|libnss_[^/]*)[.-][^/]*so|/_egressguard\.|/_socket\."
)


def _inodes() -> dict[int, int]:
    """Return the inode of each open socket, by descriptor."""
    found = {}
    try:
        links = list((PROC / "self/fd").iterdir())
    except OSError:
        return {}
    for link in links:
        try:
            target = str(link.readlink())
        except OSError:  # the descriptor of the listing itself, or closed meanwhile
            continue
        if target.startswith("socket:["):
            found[int(link.name)] = int(target[8:-1])
    return found


def _address(text: str, *, ipv6: bool) -> str:
    """Read ``0100007F:1F90`` as /proc/net writes it: 32-bit words in the machine's own byte order."""
    host, _, port = text.partition(":")
    words = [int(host[i : i + 8], 16) for i in range(0, len(host), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    shown = f"[{ipaddress.IPv6Address(packed)}]" if ipv6 else str(ipaddress.IPv4Address(packed))
    return f"{shown}:{int(port, 16)}"


def connected_sockets() -> list[dict[str, Any]]:
    """Return the sockets of this process that have a peer on a network. Whatever they send, nobody judges.

    ``before_install`` says whether the socket was open when `egressguard.install` began; None where that is not known.
    """
    mine = {inode: descriptor for descriptor, inode in _inodes().items()}
    found = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        for line in (text_of(PROC / "self/net" / name) or "").splitlines()[1:]:
            fields = line.split()
            if fields[3] == ESTABLISHED and int(fields[9]) in mine:
                peer = _address(fields[2], ipv6=name.endswith("6"))
                before = None if _before.inodes is None else f"socket:[{fields[9]}]" in _before.inodes
                one = {"descriptor": mine[int(fields[9])], "protocol": name, "peer": peer, "before_install": before}
                found.append(one)
    return sorted(found, key=lambda one: one["descriptor"])


@functools.cache
def _dialled_by(file: str, _stamp: tuple[int, int]) -> tuple[str, ...]:
    return tuple(sorted(DIALLING & _elf.undefined(file)))


def native_code() -> list[dict[str, Any]]:
    """Return the shared objects mapped here that import a dialling function themselves: the guard does not see those.

    Code that makes the system call itself (Go, or assembly) imports nothing and is not found this way.
    """
    maps = text_of(PROC / "self/maps") or ""
    files = {line.split(maxsplit=5)[5] for line in maps.splitlines() if len(line.split(maxsplit=5)) == 6}
    interpreter = os.path.realpath(sys.executable)
    told = []
    for file in sorted(files):
        if not file.startswith("/") or NOT_TOLD.search(file) or file == interpreter or "/libpython" in file:
            continue
        try:
            status = Path(file).stat()
            names = _dialled_by(file, (status.st_ino, status.st_mtime_ns))
        except OSError:  # deleted, or not readable
            continue
        if names:
            told.append({"file": file, "distribution": _distributions.of_file(file), "imports": list(names)})
    return told


def programs() -> list[dict[str, Any]]:
    """Return the children of this process that run now. The Python layer guards none that runs another program."""
    told = []
    for task in (PROC / "self/task").iterdir():
        for pid in (text_of(task / "children") or "").split():
            folder = PROC / pid
            try:
                program = str((folder / "exe").readlink())
            except OSError:
                program = text_of(folder / "comm") or "ended"
            forked = program == os.path.realpath(sys.executable) and _same_command(folder)
            told.append({"pid": int(pid), "program": program, "forked": forked})
    return told


def _same_command(folder: Path) -> bool:
    """Whether the child still has this process's own command line, so that it was forked and not started anew."""
    return text_of(folder / "cmdline") == text_of(PROC / "self/cmdline")


def of_process() -> dict[str, Any]:
    """Return all of it."""
    return {"connected_sockets": connected_sockets(), "native_code": native_code(), "programs": programs()}
