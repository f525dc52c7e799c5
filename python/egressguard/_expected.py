"""Which violations of a test run were expected, and which were not. Knows nothing of pytest but its markers' words."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import threading
from typing import TYPE_CHECKING

from egressguard import _egressguard, _report
from egressguard._egressguard import EgressViolation
from egressguard._violations import Violation, read

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclasses.dataclass(eq=False)
class Expectation:
    """What a test says it expects: ``host`` may hold ``*``; None stands for any. ``seen`` is filled as it happens."""

    host: str | None = None
    port: int | None = None
    reason: str | None = None
    at_least: int = 1
    seen: list[Violation] = dataclasses.field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Find a misspelt word at once: one that matches nothing would only ever say that nothing happened."""
        if self.host is not None and not isinstance(self.host, str):
            raise TypeError(f"egress_expected: host must be str, not {type(self.host).__name__}")
        if self.at_least < 0:
            raise ValueError(f"egress_expected: at_least must not be negative, not {self.at_least}")

    def matches(self, violation: Violation) -> bool:
        """Whether this violation is one of those."""
        return (
            (self.host is None or fnmatch.fnmatchcase(violation.host.lower(), self.host.lower()))
            and self.port in (None, violation.port)
            and self.reason in (None, violation.reason)
        )

    @property
    def is_met(self) -> bool:
        """Whether it happened often enough."""
        return len(self.seen) >= self.at_least

    @property
    def unmet(self) -> str:
        """What to say where it did not happen often enough."""
        named = (("host", self.host), ("port", self.port), ("reason", self.reason))
        what = ", ".join(f"{word} {value}" for word, value in named if value is not None) or "anything"
        return f"egressguard: expected {self.at_least} refusals or more of {what}, saw {len(self.seen)}"


@dataclasses.dataclass
class Found:
    """What `Watch.collect` found since it was asked before."""

    unexpected: list[Violation] = dataclasses.field(default_factory=list)
    observed: list[Violation] = dataclasses.field(default_factory=list)
    lost: int = 0  # refused, but no longer in the journal: they cannot be told from unexpected ones


class Watch:
    """Follows the journal of this process and sorts what it finds.

    The first one begins where this module was imported, before any conftest.py; a later one, of a run inside the run,
    begins where it is made.
    """

    _first: int | None = _egressguard.violation_total()

    def __init__(self) -> None:
        first, Watch._first = Watch._first, None
        self.mark = _egressguard.violation_total() if first is None else first
        self.active: list[Expectation] = []
        self.expected_count = 0
        self._caught: set[int] = set()
        self._threads: set[int | None] = set()

    def collect(self) -> Found:
        """Return what was refused since the last call. Whatever it finds counts as seen by the active expectations."""
        found = Found()
        self.mark = max(self.mark, _report.baseline)
        total = _egressguard.violation_total()
        if total == self.mark:
            return found
        violations = read(self.mark, total)
        # Lapped, or not written to its end by another interpreter: nobody can say that it was expected.
        found.lost = 0 if _report.observing else total - self.mark - len(violations)
        for violation in violations:
            if violation.observed:
                found.observed.append(violation)
            elif not self._is_expected(violation):
                found.unexpected.append(violation)
        self.mark = total
        self._caught.clear()
        return found

    def _is_expected(self, violation: Violation) -> bool:
        matching = [one for one in self.active if one.matches(violation)]
        for one in matching:
            one.seen.append(violation)
        if matching or violation.number in self._caught:
            self.expected_count += 1
            return True
        return False

    def caught(self, error: BaseException, since: int) -> None:
        """Note that the test caught a violation by its name: that one, and every other try of the same endpoint.

        ``since`` is the journal's number where the test began to expect it. A client tries an endpoint more than once
        (retries, both address families), and each try is a violation, the last of which is raised.
        """
        wanted = {(one.host, one.port) for one in violations_in(error)}
        self._caught |= {one.number for one in read(since) if (one.host, one.port) in wanted}

    def note_threads(self) -> None:
        """Remember which threads are there as a test begins."""
        self._threads = {thread.native_id for thread in threading.enumerate()}

    def origin(self, violation: Violation) -> str:
        """Say where a violation came from, where that is not the test itself."""
        if violation.pid != os.getpid():
            return f"; in the forked process {violation.pid}"
        if violation.thread == threading.main_thread().native_id or violation.thread not in self._threads:
            return ""
        return "; in a thread that ran before this test began"


def violations_in(error: BaseException) -> Iterator[EgressViolation]:
    """Yield each violation that an exception is, groups, or came from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, EgressViolation):
            yield one
        waiting += [link for link in (one.__cause__, one.__context__) if link is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
