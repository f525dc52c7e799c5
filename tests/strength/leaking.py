"""The child of `test_leaks.py`: `leaking.py GROUP CALLS` makes the calls and tells what grew."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import egressguard
from inside import tell

sys.path.insert(0, str(Path(__file__).parent))

SECONDS = 1.0  # for one case: those that ask the C library make fewer calls
WARM_UP = 3000  # beyond a lap of the journal's ring


class Heap(ctypes.Structure):
    """struct mallinfo2 of glibc."""

    _fields_ = [(name, ctypes.c_size_t) for name in "a b c d e f g uordblks i j".split()]  # noqa: RUF012


def heap() -> int:
    """Return the bytes that malloc(3) has handed out."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Heap
    return int(libc.mallinfo2().uordblks)


def state() -> dict[str, int]:
    """Return what a leak would show in: Python's blocks, the heap, resident memory, mappings and descriptors."""
    gc.collect()
    return {
        "blocks": sys.getallocatedblocks(),
        "heap": heap(),
        "resident": int(Path("/proc/self/statm").read_text().split()[1]) * 4096,
        "mappings": len(Path("/proc/self/maps").read_text().splitlines()),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


# How much may be there by chance: caches of the interpreter and of the C library, arenas that are touched for the
# first time. A leak of one object in a hundred calls is beyond it in an ordinary run.
SLACK = {"blocks": 40, "heap": 16_384, "resident": 1 << 20, "mappings": 3, "descriptors": 0}


def repeat(call: Callable[[], object], count: int) -> int:
    """Make the calls, whatever they raise, for so long at most; return how many there were."""
    end = time.monotonic() + SECONDS * max(1, count / 5000)
    done = 0
    while done < count and (done % 16 or time.monotonic() < end):
        try:
            call()
        except Exception:
            pass
        done += 1
    return done


def measured(call: Callable[[], object], calls: int) -> tuple[int, dict[str, int]]:
    """Make the calls; return how many there were and what grew more than by chance."""
    before = state()
    made = repeat(call, calls)
    after = state()
    return made, {what: after[what] - before[what] for what in SLACK if after[what] - before[what] > SLACK[what]}


def main(group: str, calls: int) -> None:
    """Run the cases of a group."""
    logging.getLogger("egressguard").addHandler(logging.NullHandler())
    logging.getLogger("egressguard").propagate = False
    import leak_cases

    egressguard.install(leak_cases.ALLOW)
    tell(sorted(leak_cases.cases()) if group == "names" else None)
    if group == "names":
        return
    for name, call in leak_cases.cases()[group].items():
        repeat(call, WARM_UP)
        counts = [sys.getrefcount(one) for one in leak_cases.ARGUMENTS]
        made, grown = measured(call, calls)
        for _ in range(2):  # a cache fills once, a leak goes on
            made, grown = measured(call, calls) if grown else (made, grown)
        now = [sys.getrefcount(one) for one in leak_cases.ARGUMENTS]
        moved = [
            [repr(one)[:80], new - old]
            for one, old, new in zip(leak_cases.ARGUMENTS, counts, now, strict=True)
            if new != old
        ]
        tell({"case": name, "calls": made, "grown": grown, "references": moved})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
