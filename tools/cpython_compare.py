"""CPython's tests without the guard and with it, compared test by test, and the list of what may differ."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ACCEPTED = Path(__file__).with_name("cpython_accepted.txt")

# The outcomes that count as the same: how a test fails may depend on the clock.
BAD = "not passed"
KINDS = {"passed": "passed", "expected failure": "passed", "skipped": "skipped"}


@dataclass
class Outcome:
    """What came of one test in one run."""

    word: str
    text: str = ""
    seconds: float = 0.0
    refused: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The outcome as far as it is compared."""
        return KINDS.get(self.word, BAD)

    def __str__(self) -> str:
        """Say it in one line: the word, and the error's own line."""
        lines = [line for line in self.text.splitlines() if line and not line.startswith(" ")]
        return f"{self.word}: {lines[-1]}" if lines else self.word


NOT_RUN = Outcome("was not run")
Outcomes = dict[str, Outcome]


@dataclass(frozen=True)
class Accepted:
    """One line of the list: a difference that is known, and why it is there."""

    versions: tuple[str, ...]
    pattern: str
    reason: str

    def names(self, version: str, test: str) -> bool:
        """Whether the line is about this test of this version."""
        return version in self.versions and fnmatch.fnmatchcase(test, self.pattern)


def read_accepted(path: Path) -> list[Accepted]:
    """Read the list: `VERSIONS TEST REASON` a line, VERSIONS joined by commas, `*` in TEST for any text.

    Raises ValueError for a line without a reason.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(None, 2)
        if len(parts) < 3 or not re.fullmatch(r"3\.\d+(,3\.\d+)*", parts[0]):
            raise ValueError(f"{path.name}, line {number}: not `VERSIONS TEST REASON`: {line}")
        found.append(Accepted(tuple(parts[0].split(",")), parts[1], parts[2]))
    return found


def differing(unguarded: Outcomes, guarded: Outcomes) -> list[str]:
    """Return the tests whose outcome differs, in the order in which they ran."""
    every = dict.fromkeys([*unguarded, *guarded])
    return [test for test in every if unguarded.get(test, NOT_RUN).kind != guarded.get(test, NOT_RUN).kind]


@dataclass
class FileReport:
    """What the comparison of one test file gave."""

    version: str
    module: str
    unguarded: Outcomes = field(default_factory=dict)
    guarded: Outcomes = field(default_factory=dict)
    flaky: list[str] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)  # with the reason
    different: list[str] = field(default_factory=list)

    def judge(self, lines: list[Accepted]) -> list[str]:
        """Set which differences are accepted, and return the others."""
        others = []
        for test in differing(self.unguarded, self.guarded):
            reason = next((line.reason for line in lines if line.names(self.version, test)), None)
            if reason is None:
                others.append(test)
            else:
                self.accepted[test] = reason
        return others

    @property
    def in_passing(self) -> list[str]:
        """The tests that end alike although the guard refused something meanwhile."""
        differ = {*self.different, *self.accepted, *self.flaky}
        return [test for test, outcome in self.guarded.items() if outcome.refused and test not in differ]

    def count(self, kind: str) -> int:
        """How many tests ended in this way in both runs."""
        return sum(
            one.kind == kind and self.guarded.get(test, NOT_RUN).kind == kind for test, one in self.unguarded.items()
        )

    def said(self, test: str) -> str:
        """Say in three lines how a test differs."""
        return "\n".join(
            (
                f"  {test}",
                f"    without the guard: {self.unguarded.get(test, NOT_RUN)}",
                f"    with the guard:    {self.guarded.get(test, NOT_RUN)}",
            )
        )


def stale(reports: list[FileReport], lines: list[Accepted]) -> Iterator[str]:
    """Yield the lines whose test passes both ways by now, where their file was run as a whole."""
    for line in lines:
        for report in reports:
            named = [test for test in report.unguarded if line.names(report.version, test)]
            named = [test for test in named if report.unguarded[test].kind != "skipped"]  # such as on Windows only
            used = [test for test in named if test in report.accepted or test in report.flaky]
            if named and not used and all(report.unguarded[test].kind == "passed" for test in named):
                yield f"{report.version} {line.pattern}"
