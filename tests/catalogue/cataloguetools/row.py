"""One row of the catalogue: a library in one arrangement, as code that dials what it is told to."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Who looks the name up and who dials; what is expected of the Python layer alone follows from it.
PYTHON = "CPython's sockets"
CARES = "c-ares looks up, Python dials"
NATIVE = "native code"
CHILD = "another process"
# The arrangements that are measured, but stand apart from the catalogue: nobody can be told to use them behind a guard.
LOOPBACK = "needs loopback for itself"
BROKEN = "does not work without the guard either"
BESIDE = Path(sys.prefix, "beside")  # what tools/environments.py installs outside of sys.path
EXPECTED = {PYTHON: "enforced", CARES: "asks", NATIVE: "leaks", CHILD: "leaks"}


@dataclass(frozen=True)
class Row:
    """`code` defines `dial(host, port)`; it may use what `PREAMBLE` of measure.py gives it."""

    name: str
    code: str
    group: str = PYTHON
    needs: tuple[str, ...] = ()  # distributions, the first one's version is shown
    module: str = ""  # a module that not every wheel of it brings
    program: str = ""  # a program that has to be on the machine
    port: int = 8080  # outside: 8080 plain HTTP, 8443 TLS, and on 8443 an echo by UDP
    answers: bool = True  # whether `dial` returns the page of outside; else the handshake is what is asked for
    before: str = ""  # runs before the guard is installed
    environment: Mapping[str, str] = field(default_factory=dict)
    libraries: str = ""  # a folder of the first distribution whose shared libraries come before the system's
    beside: tuple[str, ...] = ()  # distributions that contradict the others here: BESIDE is put first for this row
    expected: str = ""  # what differs from what the group says about the Python layer alone, and `note` says why
    note: str = ""
    apart: str = ""  # LOOPBACK or BROKEN
    raises: str = ""  # BROKEN: a part of what `dial` says without the guard
    short: bool = False  # whether the ordinary test run measures it

    def __str__(self) -> str:
        """Name the row in pytest's output."""
        return self.name

    @property
    def with_python_alone(self) -> str:
        """The verdict that the Python layer alone must reach."""
        return self.expected or EXPECTED[self.group]

    def remark(self) -> str:
        """What the page says beside the verdicts: what the row was measured with besides, and the note."""
        others = [f"with {name} {version}" for name, version in self.versions_beside().items()]
        return ", ".join(filter(None, [*others, self.note]))

    def rule(self, layer: str) -> str:
        """The verdict that a layer must reach: with the kernel layer, every row of the catalogue is enforced."""
        if self.apart:
            return "refuses"
        return "enforced" if layer == "kernel" else self.with_python_alone

    def preparation(self) -> str:
        """Return what runs before the guard is installed."""
        return f"sys.path.insert(0, {str(BESIDE)!r})\n{self.before}" if self.beside else self.before

    def variables(self) -> dict[str, str]:
        """Return the environment of the process."""
        if not self.libraries:
            return dict(self.environment)
        folder = importlib.metadata.distribution(self.needs[0]).locate_file(self.libraries)
        return {**self.environment, "LD_LIBRARY_PATH": str(folder)}

    def versions_beside(self) -> dict[str, str]:
        """Return those of the distributions in BESIDE that this row wants and that are there."""
        found = {one.name: one.version for one in importlib.metadata.distributions(path=[str(BESIDE)])}
        return {name: found[name] for name in self.beside if name in found}

    def missing(self) -> str:
        """Say what the row needs and this environment does not have, or an empty string."""
        for name in self.needs:
            try:
                importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                return f"{name} is not installed"
        if absent := set(self.beside) - set(self.versions_beside()):
            return f"{', '.join(absent)} is not in {BESIDE.name}/ of the environment"
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"{self.needs[0]} comes without {self.module} here"
        if self.program and shutil.which(self.program) is None:
            return f"{self.program} is not installed"
        return ""

    def version(self) -> str:
        """Return the version of what is measured, or an empty string for the standard library and programs."""
        return importlib.metadata.version(self.needs[0]) if self.needs else ""
