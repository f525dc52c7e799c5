"""Run the steps of a command: each with a log, a duration and a line in the closing table."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, Callable, Optional, TypeVar

from tools.project import LOGS, ROOT, Problem, environment_variables

AT_ONCE = max(1, min(2, os.cpu_count() or 1))
TAIL = 60  # lines of a failed step's log that are shown
LIMIT = 1500  # seconds until a step that hangs is ended
RUNNING: set[int] = set()  # the process groups of the steps that run
Result = TypeVar("Result")
Variables = Optional[dict[str, str]]


@dataclass
class Step:
    """What one step did."""

    name: str
    seconds: float
    passed: bool
    note: str = ""


class Steps:
    """The steps of one command, in the order in which they ended. Safe from several threads."""

    def __init__(self) -> None:
        self.done: list[Step] = []
        self._print = threading.Lock()

    @property
    def passed(self) -> bool:
        """Whether something ran and nothing failed: a command that tested nothing has not passed."""
        return bool(self.done) and all(step.passed for step in self.done)

    def say(self, text: str) -> None:
        """Print whole lines, however many steps run at once."""
        with self._print:
            print(text, flush=True)

    def note(self, name: str, passed: bool, seconds: float = 0.0, note: str = "") -> bool:
        """Record a step and print its line."""
        self.done.append(Step(name, seconds, passed, note))
        self.say(f"{'ok    ' if passed else 'FAILED'} {seconds:7.1f} s  {name}{f' ({note})' if note else ''}")
        return passed

    def run(self, name: str, command: Sequence[object], *, show: bool = False, variables: Variables = None) -> bool:
        """Run a command as a step and return whether it passed; its output is shown when it fails, or if `show`."""
        started = time.monotonic()
        code, output = logged(name, command, variables=variables)
        if show:
            self.say(f"\n--- {name}\n{output.rstrip()}\n")
        elif code:
            self.say(f"\n--- {name}: exit {code}, the end of its log\n{tail(output)}\n")
        return self.note(name, code == 0, time.monotonic() - started, "" if code == 0 else f"exit {code}")

    def check(self, name: str, judge: Callable[[], str]) -> bool:
        """Run a function as a step: it returns what is wrong, or an empty string."""
        started = time.monotonic()
        try:
            wrong = judge()
        except Problem as problem:
            wrong = str(problem)
        *details, verdict = wrong.splitlines() or [""]
        if details:
            self.say(f"\n--- {name}\n" + "\n".join(details))
        return self.note(name, not wrong, time.monotonic() - started, verdict)

    def table(self) -> str:
        """Return the closing table, failures last so that they are what a person sees."""
        rows = sorted(self.done, key=lambda step: not step.passed)
        lines = [f"{'passed' if row.passed else 'FAILED'} {row.seconds:8.1f} s  {row.name}" for row in rows]
        return "\n".join(["", "result    duration  step", *lines])


def tail(output: str) -> str:
    """Return the last lines of a log."""
    return "\n".join(output.rstrip().splitlines()[-TAIL:])


def logged(
    name: str,
    command: Sequence[object],
    *,
    cwd: object = ROOT,
    variables: Variables = None,
    live: bool = False,
    limit: float = LIMIT,
) -> tuple[int, str]:
    """Run a command with its output in a log file and return its exit status and output.

    The child leads a process group of its own: when it has ended, at the time limit, or when this process is
    interrupted, whatever it started ends with it. The output goes straight to the file, so that a process left behind
    cannot hold a pipe open and this command with it.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / ("".join(char if char.isalnum() or char in "._-" else "-" for char in name) + ".log")
    with log.open("w", encoding="utf-8") as file:
        file.write("$ " + " ".join(map(str, command)) + "\n")
        file.flush()
        start = file.tell()
        child = subprocess.Popen(
            list(map(str, command)),
            cwd=str(cwd),
            env=variables or environment_variables(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    RUNNING.add(child.pid)
    try:
        with log.open("rb") as reader:
            reader.seek(start)
            output = follow(child, reader, live, time.monotonic() + limit)
    finally:
        timed_out = child.poll() is None
        end_group(child.pid)
        code = child.wait()
        RUNNING.discard(child.pid)
    return code, output + (f"\nended after {limit:.0f} seconds\n" if timed_out else "")


def follow(child: subprocess.Popen[bytes], reader: BinaryIO, live: bool, deadline: float) -> str:
    """Read what the child writes until it ends or its time is up; print it as it comes if `live`."""
    output = b""
    running = True
    while running and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.1)
            running = False
        new = reader.read()
        output += new
        if live and new:
            sys.stdout.write(new.decode(errors="replace"))
            sys.stdout.flush()
    return output.decode(errors="replace")


def end_group(leader: int) -> None:
    """End a step and everything it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_all() -> None:
    """End every step that runs: called when the person at the terminal interrupts."""
    for leader in list(RUNNING):
        end_group(leader)


def side_by_side(jobs: Sequence[Callable[[], Result]], at_once: int = AT_ONCE) -> list[Result]:
    """Run the jobs, a few at a time, and return their results in order; the first error is raised."""
    with ThreadPoolExecutor(at_once) as pool:
        try:
            return [future.result() for future in [pool.submit(job) for job in jobs]]
        except KeyboardInterrupt:  # leaving the pool waits for its threads, and these wait for what they started
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise
