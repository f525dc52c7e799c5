"""The long runs of tests/strength: `./dev stress [storm | fresh | tests | kernel ...]`.

* storm: 64 threads, forks, subinterpreters, signals, tracing, racing installs and finalization, for 5 minutes
* fresh: import and install in 10,000 fresh processes
* tests: leaks over 100,000 calls of each case, failing allocations, hundreds of endings
* kernel: 20,000 tries of each race against the kernel layer (root: it makes network and process namespaces)

A child survived where it ends with status 42, which nothing but its last line gives: 0 could be an early end, and a
negative status is a signal.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

from tools.project import ROOT, environment_variables
from tools.steps import AT_ONCE, Steps, logged, tail

SURVIVED = 42
STORM = 30  # seconds for one process; many short ones see more beginnings and endings
FRESH = "import egressguard; egressguard.install(); import sys; sys.exit(42)"
BATCH = 200
TESTS = ("test_leaks.py", "test_allocations.py", "test_ending.py")


class Listener:
    """A TCP and a UDP socket on loopback, on one port, that nothing may reach."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        for one in (self.tcp, self.udp):
            one.setblocking(False)

    def reached(self) -> bool:
        """Whether anything arrived since the last call."""
        return self.arrived(self.tcp.accept) or self.arrived(lambda: self.udp.recv(1))

    @staticmethod
    def arrived(take: Callable[[], object]) -> bool:
        """Whether there is something to take."""
        try:
            take()
        except BlockingIOError:
            return False
        return True


def variables(scale: int) -> dict[str, str]:
    """Return the environment of a child."""
    kept = environment_variables()
    return {**kept, "PYTHONPATH": str(ROOT / "tests/support"), "STRENGTH_SCALE": str(scale)}


def storm(steps: Steps, wanted: argparse.Namespace) -> None:
    """Run storms of both kinds until the time is up."""
    listener = Listener()
    end = time.monotonic() + wanted.seconds
    number = 0
    while time.monotonic() < end:
        kind = ("forks", "interpreters")[number % 2]
        seconds = max(5, min(STORM, round(end - time.monotonic())))
        command = [sys.executable, "-P", "tests/strength/storm.py", seconds, listener.port, kind]
        started = time.monotonic()
        code, output = logged(f"storm-{kind}", command, variables=variables(1), limit=seconds * 3 + 60)
        if code != SURVIVED:
            steps.say(tail(output))
        reached = " and something reached the listener" if listener.reached() else ""
        passed = code == SURVIVED and not reached
        steps.note(f"storm {number}, {kind}", passed, time.monotonic() - started, f"status {code}{reached}")
        number += 1


def one_batch(count: int) -> str:
    """Start so many processes, one after the other; return what was wrong with the first bad one."""
    for _ in range(count):
        child = subprocess.run(
            [sys.executable, "-I", "-c", FRESH],
            capture_output=True,
            text=True,
            env=environment_variables(),
            check=False,
        )
        if child.returncode != SURVIVED or child.stderr:
            return f"{child.stderr}\nstatus {child.returncode}"
    return ""


def fresh(steps: Steps, wanted: argparse.Namespace) -> None:
    """Import and install in fresh processes."""

    def all_of_them() -> str:
        full, rest = divmod(wanted.fresh, BATCH)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for wrong in pool.map(one_batch, [BATCH] * full + [rest] * bool(rest)):
                if wrong:
                    pool.shutdown(cancel_futures=True)
                    return wrong
        return ""

    steps.check(f"{wanted.fresh:,} fresh processes", all_of_them)


def tests(steps: Steps, wanted: argparse.Namespace) -> None:
    """Run the tests that have a longer form."""
    paths = [f"tests/strength/{name}" for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=7200", *paths]
    started = time.monotonic()
    code, output = logged("stress-tests", command, variables=variables(wanted.scale), limit=3 * 3600)
    steps.say(tail(output))
    steps.note(f"tests, {wanted.scale} times", code == 0, time.monotonic() - started, f"pytest exit {code}")


def kernel(steps: Steps, wanted: argparse.Namespace) -> None:
    """Run the races against the kernel layer in their long form; a machine that cannot have them fails."""
    options = ["-p", "no:cacheprovider", "--timeout=3600", "--stress-kernel", "-rs", "--durations=0"]
    command = [sys.executable, "-m", "pytest", *options, "tests/kernel/test_races.py"]
    started = time.monotonic()
    code, output = logged("stress-kernel", command, variables={**variables(wanted.scale), "CI": "true"}, limit=3 * 3600)
    steps.say(tail(output))
    steps.note("kernel, 20,000 tries of each race", code == 0, time.monotonic() - started, f"pytest exit {code}")


PARTS = {"storm": storm, "fresh": fresh, "tests": tests, "kernel": kernel}


def main(arguments: list[str]) -> int:
    """Run the parts, all of them where none is named."""
    parser = argparse.ArgumentParser(prog="./dev stress", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--seconds", type=int, default=300, help="for the storms together")
    parser.add_argument("--fresh", type=int, default=10_000, help="how many fresh processes")
    parser.add_argument("--scale", type=int, default=20, help="how many times as much the tests do")
    wanted = parser.parse_args(arguments)
    os.chdir(ROOT)
    steps = Steps()
    for name in wanted.part or PARTS:
        PARTS[name](steps, wanted)
    print(steps.table())
    return 0 if steps.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
