"""What the kernel layer costs: the same C loop unfiltered, in a guarded process, in its child, and under `run`.

`python benchmarks/kernel.py` (root: it makes a network namespace of its own, in which 10.9.9.9 is an address of `lo`).
Ratios are of medians, each round unfiltered and guarded one after the other. `--sandlock` measures that sandbox beside it
(`pip install sandlock`), with the same two hosts: it answers ECONNREFUSED where we answer EACCES.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ADDRESS, UNLISTED, PORT = "10.9.9.9", "10.9.9.10", 4433
CALLS = {"connect": 3000, "refusal": 3000, "send_recv": 20000, "sendto": 3000, "sendmsg": 3000, "getppid": 20000}
ALLOW = (f"{ADDRESS}:{PORT}",)
IN_PROCESS = """
import ctypes, json, sys, time
library = ctypes.CDLL(sys.argv[1])
library.measure.restype = ctypes.c_long
took = None
if sys.argv[2] == "guarded":
    import egressguard
    egressguard.install(json.loads(sys.argv[3]))
    started = time.perf_counter()
    egressguard.install_kernel()
    took = time.perf_counter() - started
print(library.measure(sys.argv[4].encode(), sys.argv[5].encode(), int(sys.argv[6]), int(sys.argv[7])), took)
"""
SANDLOCK = f"""
import sys, sandlock
box = sandlock.Sandbox(fs_readable=["/"], fs_writable=["/dev/null"], net_allow_bind=["*"],
                       net_allow=["{ADDRESS}:{PORT}", "udp://{ADDRESS}:{PORT}"])
done = box.run(sys.argv[1:], timeout=120)
sys.stderr.buffer.write(done.stderr)
sys.stdout.buffer.write(done.stdout)
"""
CHILD = """
import json, subprocess, sys, egressguard
egressguard.install(json.loads(sys.argv[1]))
egressguard.install_kernel()
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""


def arguments(call: str) -> list[str]:
    """Return what the C loop is told for a call."""
    return [call, UNLISTED if call == "refusal" else ADDRESS, str(PORT), str(CALLS[call])]


class Bench:
    def __init__(self, folder: Path, sandlock: bool) -> None:
        self.program, self.library = folder / "calls", folder / "calls.so"
        source = str(HERE / "kernel_calls.c")
        compile_ = [os.environ.get("CC", "gcc"), "-O2", "-D_GNU_SOURCE", source, "-o"]
        subprocess.run([*compile_, str(self.program)], check=True)
        subprocess.run([*compile_, str(self.library), "-shared", "-fPIC"], check=True)
        self.activations: list[float] = []
        entries = [word for entry in ALLOW for word in ("--allow", entry)]
        self.prefixes = {
            "child": [sys.executable, "-c", CHILD, json.dumps(ALLOW)],
            "run": [sys.executable, "-m", "egressguard.cli", "run", *entries, "--"],
        }
        if sandlock:
            self.prefixes["sandlock"] = [sys.executable, "-c", SANDLOCK]

    def output(self, command: list[str]) -> list[str]:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split()

    def measure(self, how: str, call: str) -> float:
        """Return the median of one run in nanoseconds."""
        if how in ("process", "process unfiltered"):
            mode = "guarded" if how == "process" else "plain"
            words = [str(self.library), mode, json.dumps(ALLOW), *arguments(call)]
            median, took = self.output([sys.executable, "-c", IN_PROCESS, *words])
            if mode == "guarded":
                self.activations.append(float(took))
        else:
            median = self.output([*self.prefixes.get(how, []), str(self.program), *arguments(call)])[0]
        if int(median) < 0:
            raise SystemExit(f"{how} {call}: errno {-int(median)}")
        return float(median)

    def pair(self, how: str, call: str, rounds: int) -> tuple[float, float]:
        """Return the medians unfiltered and guarded, rounds interleaved."""
        base = "process unfiltered" if how == "process" else "unfiltered"
        both = [(self.measure(base, call), self.measure(how, call)) for _ in range(rounds)]
        return statistics.median(one for one, _ in both), statistics.median(other for _, other in both)


def inside(rounds: int, sandlock: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), sandlock)
        print(f"{'call':10} {'where':9} {'unfiltered':>11} {'guarded':>9} {'ratio':>6}")
        for call in CALLS:
            for how in ("process", *bench.prefixes):
                before, after = bench.pair(how, call, rounds)
                print(f"{call:10} {how:9} {before:8.0f} ns {after:6.0f} ns {after / before:6.2f}", flush=True)
        if sandlock:
            print(f"sandlock {importlib.metadata.version('sandlock')}")
        print(f"activation: {statistics.median(bench.activations) * 1000:.2f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sandlock", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.inside:
        inside(words.rounds, words.sandlock)
        return 0
    if shutil.which("unshare") is None:
        print("unshare is not here", file=sys.stderr)
        return 1
    links = f"ip link set lo up && ip addr add {ADDRESS}/32 dev lo && ip addr add {UNLISTED}/32 dev lo"
    again = [sys.executable, __file__, "--inside", f"--rounds={words.rounds}", *(["--sandlock"] * words.sandlock)]
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", f'{links} && exec "$@"', "sh", *again], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
