"""Pairs: the contenders take short turns, and what is compared are turns that stood side by side.

A machine with other work on it makes single times useless. A turn is about two milliseconds, shorter than what the
scheduler gives; the order of the contenders rotates; every block starts new processes, as the layout of memory is luck
as well. A ratio is the median over all pairs of turns, its spread the quartiles of these.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TURN = 2e6  # nanoseconds


def packages() -> list[str]:
    """Return where the packages of this environment are."""
    return [entry for entry in sys.path if entry.endswith("site-packages")]


def environment() -> dict[str, str]:
    """Return the environment of a measured process.

    It starts with `-S`: the .pth files of one contender must not run in the processes of the others.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), *packages()]), "PYTHONHASHSEED": "8"}


class Process:
    """A contender that waits for its turn."""

    def __init__(self, contender: str, entries: int = 1, *, pinned: bool = True) -> None:
        pin = ["--pinned"] if pinned else []
        self.child = subprocess.Popen(
            [sys.executable, "-S", "-m", "benchmarks.worker", contender, str(entries), *pin],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=environment(),
        )

    def ask(self, operation: str, count: int, *threads: int) -> float:
        """Return how many nanoseconds a call took in this turn."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(json.dumps([operation, count, *threads]) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.child.args!r} ended in the middle of {operation}")
        return float(json.loads(line))

    def close(self) -> None:
        """End it."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@dataclass
class Measured:
    """The turns of all contenders at one case: equal places stood side by side."""

    turns: dict[str, list[float]] = field(default_factory=dict)

    def median(self, contender: str) -> float:
        """Return the median of a contender's turns, in nanoseconds a call."""
        return statistics.median(self.turns[contender])

    def ratio(self, contender: str, to: str = "unguarded") -> tuple[float, float, float]:
        """Return lower quartile, median and upper quartile of the ratios of neighbouring turns."""
        pairs = zip(self.turns[contender], self.turns[to], strict=True)
        low, middle, high = statistics.quantiles((one / other for one, other in pairs), n=4)
        return low, middle, high

    def quartiles(self, contender: str) -> tuple[float, float, float]:
        """Return the quartiles of a contender's own turns."""
        low, middle, high = statistics.quantiles(self.turns[contender], n=4)
        return low, middle, high


@contextmanager
def processes(wanted: dict[str, tuple[str, int]], *, pinned: bool = True) -> Iterator[dict[str, Process]]:
    """Start a process for each (contender, entries); the names are the caller's."""
    started: dict[str, Process] = {}
    try:
        for name, (contender, entries) in wanted.items():
            started[name] = Process(contender, entries, pinned=pinned)
        yield started
    finally:
        for process in started.values():
            process.close()


def rotated(names: Sequence[str], by: int) -> list[str]:
    """Return the names in another order each time; every second time backwards."""
    by %= len(names)
    order = [*names[by:], *names[:by]]
    return order[::-1] if by % 2 else order


def alternate(
    wanted: dict[str, tuple[str, int]],
    operation: str,
    *,
    blocks: int,
    turns: int,
    threads: int = 0,
    operations: dict[str, str] | None = None,
) -> Measured:
    """Measure one operation (`operations` names another one for some) in turns."""
    measured = Measured({name: [] for name in wanted})
    crowd = [threads] if threads else []
    for _ in range(blocks):
        with processes(wanted, pinned=not threads) as running:
            counts: dict[str, int] = {}
            for name, process in running.items():
                what = (operations or {}).get(name, operation)
                first = process.ask(what, 20, *crowd)
                counts[name] = max(4, int(TURN / 4 / min(first, process.ask(what, 100, *crowd)) / max(1, threads)))
            for turn in range(turns):
                for name in rotated(list(wanted), turn):
                    what = (operations or {}).get(name, operation)
                    measured.turns[name].append(running[name].ask(what, counts[name], *crowd))
    return measured


def suite_of(cases: dict[str, Measured], metadata: dict[str, Any]) -> Any:
    """Return the turns as a pyperf suite: `python -m pyperf compare_to`, `stats` and `hist` read its file."""
    import importlib

    pyperf: Any = importlib.import_module("pyperf")
    benchmarks = []
    for case, measured in cases.items():
        for contender, values in measured.turns.items():
            name = f"{case}/{contender}"
            told = {"name": name, "unit": "second", **{f"machine_{key}": value for key, value in metadata.items()}}
            run = pyperf.Run([value / 1e9 for value in values], metadata=told, collect_metadata=False)
            benchmarks.append(pyperf.Benchmark([run]))
    return pyperf.BenchmarkSuite(benchmarks)
