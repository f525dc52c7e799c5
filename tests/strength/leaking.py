"""The child of `test_leaks.py`: `leaking.py GROUP CALLS` makes the calls and tells what grew."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from inside import tell

import egressguard

sys.path.insert(0, str(Path(__file__).parent))

SECONDS = 0.3  # for one case: those that ask the C library make fewer calls
SLOW = {"posture": 3, "posture_to": 3}  # times as long: so much passes through them that free lists grow for long
WINDOWS = 12  # a cache fills once, and ever more slowly; a leak goes on
FEW = 1000  # with fewer calls than that, half a block a call is chance
WARM_UP = 3000  # beyond a lap of the journal's ring


class Heap(ctypes.Structure):
    """struct mallinfo2 of glibc."""

    _fields_ = [(name, ctypes.c_size_t) for name in "a b c d e f g uordblks i j".split()]


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


def repeat(call: Callable[[], object], count: int, seconds: float) -> int:
    """Make the calls, whatever they raise, for so long at most; return how many there were."""
    end = time.monotonic() + seconds * max(1, count / 5000)
    done = 0
    while done < count and (done % 16 or time.monotonic() < end):
        with contextlib.suppress(Exception):
            call()
        done += 1
    return done


def measured(call: Callable[[], object], calls: int, seconds: float) -> tuple[int, dict[str, int]]:
    """Make the calls; return how many there were and what grew more than by chance."""
    before = state()
    made = repeat(call, calls, seconds)
    after = state()
    slack = {**SLACK, "blocks": max(SLACK["blocks"], made // 2)} if made < FEW else SLACK
    return made, {what: after[what] - before[what] for what in slack if after[what] - before[what] > slack[what]}


def main(group: str, calls: int) -> None:
    """Run the cases of a group."""
    logging.getLogger("egressguard").addHandler(logging.NullHandler())
    logging.getLogger("egressguard").propagate = False
    import leak_cases

    egressguard.install(leak_cases.ALLOW)
    tell(sorted(leak_cases.cases()) if group == "names" else None)
    if group == "names":
        return
    seconds = SECONDS * SLOW.get(group, 1)
    for name, call in leak_cases.cases()[group].items():
        repeat(call, WARM_UP, seconds)
        counts = [sys.getrefcount(one) for one in leak_cases.ARGUMENTS]
        made, grown = measured(call, calls, seconds)
        for _ in range(WINDOWS):
            made, grown = measured(call, calls, seconds) if grown else (made, grown)
        now = [sys.getrefcount(one) for one in leak_cases.ARGUMENTS]
        moved = [
            [repr(one)[:80], new - old]
            for one, old, new in zip(leak_cases.ARGUMENTS, counts, now, strict=True)
            if new != old
        ]
        told = {"case": name, "calls": made, "grown": grown, "references": moved}
        tell(told)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
    os._exit(0)  # fail_on_exit would give another status: thousands of attempts were refused
