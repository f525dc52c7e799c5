"""The laboratory's processes: started so that none outlives its parent, spoken to in lines of JSON."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent
PR_SET_PDEATHSIG = 1


class Broken(Exception):
    """A process of the laboratory ended or answered with an error."""


def die_with_parent() -> None:
    """End when the parent does, even where it is killed: nothing of the laboratory is left behind."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


class Worker:
    """A process that answers each line of JSON on its standard input with one on its standard output."""

    def __init__(self, command: list[str], log: Path | None = None) -> None:
        self.command = command
        errors = log.open("ab") if log else None
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=HERE.parent
            )
        finally:
            if errors:
                errors.close()

    def send(self, **request: Any) -> None:
        """Send a request without waiting for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> Any:
        """Wait for the next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Broken(f"{' '.join(self.command)} ended with {self.process.wait()}")
        answer = json.loads(line)
        if "broken" in answer:
            raise Broken(answer["broken"])
        return answer

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for its answer."""
        self.send(**request)
        return self.receive()

    def end(self) -> None:
        """Close its input, which every worker takes as the end; kill it where that is not enough."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.close()
            self.process.wait(timeout=5)
        except (subprocess.TimeoutExpired, OSError):
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def python(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of the laboratory with this interpreter."""
    return [sys.executable, "-m", f"labtools.{program}", *arguments]


class Service(Protocol):
    """What serve() drives: a method for each kind of request."""

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        ...


def serve(service: Service) -> None:
    """Answer requests until the input ends."""
    for line in sys.stdin:
        try:
            answer = service.handle(json.loads(line))
        except Exception as error:  # the other side raises it, with this text
            answer = {"broken": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
