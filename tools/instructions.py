"""Count the instructions of a guarded call, and hold them against the committed ones.

`python -m tools.instructions` fails where a count rose by more than 5 %, and shows what an unguarded call takes beside
it; `--guarded` leaves that out (`./dev test` does), `--write` takes the present counts as the new ones. Unlike times
they are the same on a busy machine. They belong to one build of CPython, one compiler and one C library:
benchmarks/instructions.json says which. With another build they are shown and not judged.
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
from tools.project import ROOT
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


def count(contender: str) -> dict[str, int]:
    """Return the instructions of each call; an unguarded one is never refused."""
    operations = [one for one in OPERATIONS if contender == "egressguard" or one != "refusal"]
    return dict(zip(operations, map(round, side_by_side([partial(of_a_call, contender, one) for one in operations]))))


def build() -> dict[str, Any]:
    """Return what the counts depend on besides the sources."""
    return {
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
        "libc": " ".join(platform.libc_ver()),
        "libpython": "shared" if sysconfig.get_config_var("Py_ENABLE_SHARED") else "static",
        "machine": platform.machine(),
    }


def judge(committed: dict[str, int], counts: dict[str, int], unguarded: dict[str, int]) -> list[str]:
    """Print the counts beside the committed ones and return what rose too far."""
    rose = []
    for name, now in counts.items():
        before = committed[name]
        beside = f", {unguarded[name]:,} unguarded" if name in unguarded else ""
        print(f"{name:20} {now:8,} instructions, {before:8,} committed, {now / before - 1:+7.1%}{beside}", flush=True)
        if now > before * ALLOWED_RISE:
            rose.append(f"{name}: {before} to {now}")
    return rose


def run(write: bool, guarded_only: bool) -> int:
    """Count inside the namespace."""
    minor = ".".join(platform.python_version_tuple()[:2])
    committed: dict[str, Any] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    with made():
        counts = count("egressguard")
        unguarded = {} if guarded_only else count("unguarded")
    if write:
        committed[minor] = {"build": build(), "guarded": counts, "unguarded": unguarded}
        BASELINE.write_text(json.dumps(committed, indent=2, sort_keys=True) + "\n")
        print(json.dumps(committed[minor]), flush=True)
        return 0
    known = committed.get(minor, {"build": None, "guarded": counts})
    rose = judge(known["guarded"], counts, unguarded)
    if known["build"] != build():
        print(f"not judged: counted with {known['build']}, this is {build()}", flush=True)
        return 0
    if rose:
        print(f"more than {ALLOWED_RISE - 1:.0%} above the committed count: {'; '.join(rose)}", file=sys.stderr)
    return 1 if rose else 0


def main(arguments: list[str]) -> int:
    """Enter the namespace, count there."""
    parser = argparse.ArgumentParser(prog="python -m tools.instructions", description=__doc__)
    parser.add_argument("--write", action="store_true", help="take the present counts as the new ones")
    parser.add_argument("--guarded", action="store_true", help="count guarded calls alone")
    parser.add_argument(INSIDE, action="store_true", dest="inside", help=argparse.SUPPRESS)
    wanted = parser.parse_args(arguments)
    if not available():
        print("valgrind is not here: apt-get install valgrind", file=sys.stderr)
        return 2
    return run(wanted.write, wanted.guarded) if wanted.inside else enter("tools.instructions", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
