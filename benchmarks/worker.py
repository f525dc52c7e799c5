"""One contender in a process of its own: `python -S -m benchmarks.worker CONTENDER ENTRIES [--pinned]`.

Each line on standard input is a JSON list, `[operation, count]` or `[operation, count, threads]`; each line of the
answer is how many nanoseconds one call took. The processes of all contenders stay alive and are asked in turn, so that
whatever the machine does besides meets all of them.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from benchmarks.contenders import CONTENDERS, more_endpoints
from benchmarks.work import UNROLLED, WORK, Loop, udp_connect_random


def alone(loop: Loop, count: int) -> float:
    """Return the nanoseconds of one call."""
    started = time.perf_counter_ns()
    loop(count)
    return (time.perf_counter_ns() - started) / count / UNROLLED


def crowded(loops: list[Loop], count: int) -> float:
    """Run the loops in as many threads at once; return the nanoseconds until all are done, divided by all calls."""
    ready = threading.Barrier(len(loops) + 1)

    def run(loop: Loop) -> None:
        ready.wait()
        loop(count)

    threads = [threading.Thread(target=run, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter_ns()
    for thread in threads:
        thread.join()
    return (time.perf_counter_ns() - started) / count / UNROLLED / len(loops)


def main(contender: str, entries: int) -> None:
    """Put the contender in place, then answer until the input ends."""
    kind = CONTENDERS[contender](more_endpoints(entries - 1))()
    loops: dict[str, list[Loop]] = {}
    for line in sys.stdin:
        operation, count, *threads = json.loads(line)
        wanted = threads[0] if threads else 1
        known = loops.setdefault(operation, [])
        while len(known) < wanted:
            if operation == "udp_connect_random":
                known.append(udp_connect_random(kind, entries))
            else:
                known.append(WORK[operation](kind))
        answer = crowded(known[:wanted], count) if threads else alone(known[0], count)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    if "--pinned" in sys.argv:  # all turns run on the same processor
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    main(sys.argv[1], int(sys.argv[2]))
