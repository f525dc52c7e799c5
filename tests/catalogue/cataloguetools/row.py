"""One row of the catalogue: a library in one arrangement, as code that dials what it is told to."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

# Who looks the name up and who dials; what is expected of the Python layer alone follows from it.
PYTHON = "CPython's sockets"
CARES = "c-ares looks up, Python dials"
NATIVE = "native code"
CHILD = "another process"
# Why a row falls short of its layer's rule.
LOOPBACK = "wakes itself over a TCP connection to 127.0.0.1, refused as all loopback is (ADR-0006)"
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
    expected: str = ""  # what differs from what the group says about the Python layer alone, and `note` says why
    # What is known to fall short of its layer's rule, by layer, and why: it is expected to fail until that is mended.
    failing: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    short: bool = False  # whether the ordinary test run measures it

    def __str__(self) -> str:
        """Name the row in pytest's output."""
        return self.name

    @property
    def with_python_alone(self) -> str:
        """The verdict that the Python layer alone must reach."""
        return self.expected or EXPECTED[self.group]

    def remark(self) -> str:
        """What the page says beside the verdicts: the note, and why the row falls short where it does."""
        return "; ".join(dict.fromkeys([text for text in (self.note, *self.failing.values()) if text]))

    def rule(self, layer: str) -> str:
        """The verdict that a layer must reach: with the kernel layer, every row is enforced."""
        return "enforced" if layer == "kernel" else self.with_python_alone

    def missing(self) -> str:
        """Say what the row needs and this environment does not have, or an empty string."""
        for name in self.needs:
            try:
                importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                return f"{name} is not installed"
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"{self.needs[0]} comes without {self.module} here"
        if self.program and shutil.which(self.program) is None:
            return f"{self.program} is not installed"
        return ""

    def version(self) -> str:
        """Return the version of what is measured, or an empty string for the standard library and programs."""
        return importlib.metadata.version(self.needs[0]) if self.needs else ""
