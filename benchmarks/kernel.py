"""What the kernel layer costs: the same C loop unfiltered, in a guarded process, in its child, under `run`, under sandlock.

A turn is a process of its own that makes some thousands of calls and tells the median. The contenders take turns in
rotating order. In the namespace of the benchmark 10.9.9.9 and 10.9.9.10 are addresses of `lo`, one of them listed.
sandlock is told the same two hosts; it answers ECONNREFUSED where we answer EACCES. The empty notifier, which looks at
nothing, is the floor of a refusal on this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.network import run
from benchmarks.paired import Measured, rotated
from benchmarks.report import Report

HERE = Path(__file__).parent
SOURCE, EMPTY = HERE / "kernel_calls.c", HERE / "empty_notifier.c"
ADDRESS, UNLISTED, PORT = "10.9.9.9", "10.9.9.10", 4433
ALLOW = (f"{ADDRESS}:{PORT}",)
WHERE = ("process", "child", "run")
CONTENDERS = ("unguarded", *WHERE, "sandlock")
FLOOR = "empty notifier"  # of refusals


@dataclass(frozen=True)
class Call:
    """A call of kernel_calls.c, and the budgets of the places where it is made."""

    operation: str
    title: str
    count: int
    budgets: dict[str, float]  # a multiple of the unguarded call; of a refusal, of an allowed one (ADR-0022)

    @property
    def is_ratio(self) -> bool:
        """Whether the unguarded call is the same call."""
        return self.operation != "refusal"

    @property
    def contenders(self) -> tuple[str, ...]:
        """Who makes it."""
        return CONTENDERS if self.is_ratio else (*CONTENDERS, FLOOR)


CALLS = (
    Call("connect", "TCP connect, allowed", 3000, dict.fromkeys(WHERE, 2.5)),
    Call("refusal", "TCP connect, refused", 3000, dict.fromkeys(WHERE, 1.33)),
    Call("sendto", "UDP sendto, allowed", 3000, dict.fromkeys(WHERE, 6.5)),
    Call("send_recv", "send + recv of a byte", 20000, {"process": 1.3, "child": 1.15, "run": 1.15}),
    Call("send_nosignal", "the same, 20 bytes with MSG_NOSIGNAL", 20000, {"process": 1.3, "child": 1.15, "run": 1.15}),
    Call("sendmsg", "sendmsg + recv of a byte", 3000, {}),
    Call("recvfrom", "recvfrom with the source, UDP", 3000, {}),
    Call("getppid", "a call that is none of ours (getppid)", 20000, {}),
)
ACTIVATION_BUDGET = 1.0  # milliseconds
IN_PROCESS = """
import ctypes, json, sys, time
library = ctypes.CDLL(sys.argv[1])
library.measure.restype = ctypes.c_long
import egressguard
egressguard.install(json.loads(sys.argv[2]))
started = time.perf_counter_ns()
egressguard.install_kernel()
took = time.perf_counter_ns() - started
print(library.measure(sys.argv[3].encode(), sys.argv[4].encode(), int(sys.argv[5]), int(sys.argv[6])), took)
"""
CHILD = """
import json, subprocess, sys, egressguard
egressguard.install(json.loads(sys.argv[1]))
egressguard.install_kernel()
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""
SANDLOCK = f"""
import sys, sandlock
box = sandlock.Sandbox(fs_readable=["/"], fs_writable=["/dev/null"], net_allow_bind=["*"],
                       net_allow=["{ADDRESS}:{PORT}", "udp://{ADDRESS}:{PORT}"])
done = box.run(sys.argv[1:], timeout=120)
sys.stderr.buffer.write(done.stderr)
sys.stdout.buffer.write(done.stdout)
"""


class Loop:
    """The C loop as a program and as a library, and the ways to start it."""

    def __init__(self, folder: Path) -> None:
        self.program, self.library, empty = folder / "calls", folder / "calls.so", folder / "empty_notifier"
        compile_ = [os.environ.get("CC", "gcc"), "-O2", "-D_GNU_SOURCE", str(SOURCE), "-o"]
        subprocess.run([*compile_, str(self.program)], check=True)
        subprocess.run([*compile_, str(self.library), "-shared", "-fPIC"], check=True)
        subprocess.run([*compile_[:-2], str(EMPTY), "-o", str(empty)], check=True)
        entries = [word for entry in ALLOW for word in ("--allow", entry)]
        self.before = {
            "unguarded": [str(self.program)],
            "process": [sys.executable, "-c", IN_PROCESS, str(self.library), json.dumps(ALLOW)],
            "child": [sys.executable, "-c", CHILD, json.dumps(ALLOW), str(self.program)],
            "run": [sys.executable, "-m", "egressguard.cli", "run", *entries, "--", str(self.program)],
            "sandlock": [sys.executable, "-c", SANDLOCK, str(self.program)],
            FLOOR: [str(empty), str(self.program)],
        }

    def turn(self, contender: str, call: Call) -> list[float]:
        """Return the median of the calls of one process in nanoseconds, and for `process` what activation took."""
        host = UNLISTED if call.operation == "refusal" else ADDRESS
        words = [*self.before[contender], call.operation, host, str(PORT), str(call.count)]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        values = [float(word) for word in told]
        if not values or values[0] < 0:
            raise RuntimeError(f"{contender}: {call.operation} failed: {told}")
        return values


@contextmanager
def addresses() -> Iterator[None]:
    """Give `lo` the two addresses."""
    for address in (ADDRESS, UNLISTED):
        run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    try:
        yield
    finally:
        for address in (ADDRESS, UNLISTED):
            run("ip", "addr", "del", f"{address}/32", "dev", "lo")


def kernel(report: Report, kept: dict[str, Measured], scale: float, _: bool) -> None:
    """Measure the calls that the kernel layer touches."""
    activation: list[float] = []
    with tempfile.TemporaryDirectory() as folder, addresses():
        loop = Loop(Path(folder))
        for call in CALLS:
            measured = Measured({name: [] for name in call.contenders})
            for turn in range(max(3, int(11 * scale))):
                for name in rotated(call.contenders, turn):
                    median, *more = loop.turn(name, call)
                    measured.turns[name].append(median)
                    activation += more
            key = f"kernel_{call.operation}"
            kept[key] = measured
            report.add(key, measured)
            judge(report, call, report.cases[key])
    measured = kept["kernel_activation"] = Measured({"process": activation})
    report.add("kernel_activation", measured)
    low, middle, high = (value / 1e6 for value in measured.quartiles("process"))
    report.judge("install_kernel()", ACTIVATION_BUDGET, middle, "ms", [round(low, 3), round(high, 3)])


def judge(report: Report, call: Call, rows: dict[str, dict[str, list[float]]]) -> None:
    """Hold a call against its budgets."""
    for where, budget in call.budgets.items():
        low, middle, high = rows[where]["ratio"]
        title = call.title if call.is_ratio else f"{call.title}, to an allowed unguarded one"
        report.judge(f"{title}, {where}", budget, middle, "x", [low, high])
