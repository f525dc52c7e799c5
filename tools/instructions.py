"""Count the instructions that the guard adds to a call, and hold them against the committed ones.

`python -m tools.instructions` fails where a count rose by more than 5 %; `--write` takes the present counts as the new
ones. Unlike times they are the same on a busy machine. They belong to one build of CPython, one compiler and one C
library: benchmarks/instructions.json says which, and on another one the first thing to do is `--write`.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import sysconfig
from functools import partial
from typing import Any

from benchmarks.callgrind import available, counted
from benchmarks.network import INSIDE, enter, made
from tools.project import ROOT, Problem
from tools.steps import side_by_side

BASELINE = ROOT / "benchmarks" / "instructions.json"
OPERATIONS = ("udp_connect", "sendto", "getaddrinfo_number", "refusal")
SHORT, LONG = 2000, 22_000  # calls; a refusal costs as much as twenty others
LONG_REFUSAL = 6000
ALLOWED_RISE = 1.05


def of_a_call(contender: str, operation: str) -> float:
    """Return the instructions of one call: what a longer run has more than a shorter one, start and end left out."""
    calls = (SHORT, LONG_REFUSAL if operation == "refusal" else LONG)
    short, long = (counted(["-m", "benchmarks.calls", contender, operation, str(count)]) for count in calls)
    return (long - short) / (calls[1] - calls[0])


def count() -> dict[str, int]:
    """Return for each operation what the guard adds; a refusal has nothing to be compared with and counts whole."""
    jobs = [(name, operation) for operation in OPERATIONS for name in ("egressguard", "unguarded")]
    jobs.remove(("unguarded", "refusal"))
    with made():
        counts = dict(zip(jobs, side_by_side([partial(of_a_call, *job) for job in jobs])))
    return {one: round(counts["egressguard", one] - counts.get(("unguarded", one), 0)) for one in OPERATIONS}


def build() -> dict[str, Any]:
    """Return what the counts depend on besides the sources."""
    return {
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
        "libc": " ".join(platform.libc_ver()),
        "libpython": "shared" if sysconfig.get_config_var("Py_ENABLE_SHARED") else "static",
        "machine": platform.machine(),
    }


def judge(known: dict[str, Any], counts: dict[str, int]) -> list[str]:
    """Print the counts beside the committed ones and return what rose too far."""
    rose = []
    for name, now in counts.items():
        before = known["added"][name]
        print(f"{name:20} {now:8,} instructions, {before:8,} committed, {now / before - 1:+7.1%}", flush=True)
        if now > before * ALLOWED_RISE:
            rose.append(f"{name}: {before} to {now}")
    return rose


def run(write: bool) -> int:
    """Count inside the namespace."""
    minor = ".".join(platform.python_version_tuple()[:2])
    committed: dict[str, Any] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    counts = count()
    if write:
        committed[minor] = {"build": build(), "added": counts}
        BASELINE.write_text(json.dumps(committed, indent=2, sort_keys=True) + "\n")
        print(json.dumps(counts), flush=True)
        return 0
    if minor not in committed:
        raise Problem(f"no counts for CPython {minor} are committed: python -m tools.instructions --write")
    if committed[minor]["build"] != build():
        print(f"counted with another build: {committed[minor]['build']}, here {build()}", flush=True)
    rose = judge(committed[minor], counts)
    if rose:
        print(f"more than {ALLOWED_RISE - 1:.0%} above the committed count: {'; '.join(rose)}", file=sys.stderr)
    return 1 if rose else 0


def main(arguments: list[str]) -> int:
    """Enter the namespace, count there."""
    parser = argparse.ArgumentParser(prog="python -m tools.instructions", description=__doc__)
    parser.add_argument("--write", action="store_true", help="take the present counts as the new ones")
    parser.add_argument(INSIDE, action="store_true", dest="inside", help=argparse.SUPPRESS)
    wanted = parser.parse_args(arguments)
    if not available():
        print("valgrind is not here: apt-get install valgrind", file=sys.stderr)
        return 2
    return run(wanted.write) if wanted.inside else enter("tools.instructions", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
