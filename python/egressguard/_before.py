"""Which sockets were open before the guard: what was connected then stays so, and nobody judges what it sends."""

from __future__ import annotations

import os

DESCRIPTORS_MAX = 4096  # reading a link costs a microsecond; a process with more is told as not known

inodes: frozenset[str] | None = None
"""The sockets at the time of `install` as /proc names them, or None where that is not known."""


def look() -> None:
    """Note the sockets that are open now. Called once, by the `install` that is about to enforce."""
    global inodes  # noqa: PLW0603  one guard for the process
    try:
        names = os.listdir("/proc/self/fd")  # noqa: PTH208  pathlib costs more than all of install()
    except OSError:
        return
    if len(names) > DESCRIPTORS_MAX:
        return
    found = set()
    for name in names:
        try:
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:  # the descriptor of the listing itself
            continue
        # No generator: CPython 3.12 and 3.13 crash in the next call where memory for one lacked (tests/strength).
        if target.startswith("socket:"):
            found.add(target)
    inodes = frozenset(found)
