"""One row of the tables of what must not leave: an attack, and how it is judged with and without the guard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labtools.lab import Lab, Outcome


@dataclass(frozen=True)
class Attack:
    """Code that sends something, in a process whose allowlist forbids it."""

    name: str
    code: str
    shows: str  # part of a line of what is on the wire where nobody guards it
    raises: str | None = "EgressViolation"  # with the guard; None where the guard may also make it harmless
    may_ask: tuple[str, ...] = ()  # listed names that the guard may look up meanwhile
    may_dial: tuple[str, ...] = ()  # parts of lines that are allowed besides
    where: dict[str, Any] = field(default_factory=dict)  # further arguments of Lab.run

    def unguarded(self, lab: Lab) -> None:
        """Prove that the attack is one: it shows on the wire."""
        outcome = lab.run(self.code, guard=False, **self.where)
        assert outcome.wire.shows(self.shows), f"no {self.shows!r}: this row proves nothing\n{outcome}"

    def guarded(self, lab: Lab) -> Outcome:
        """Prove that the guard keeps it off the wire, and says so."""
        outcome = lab.run(self.code, guard=True, **self.where)
        left = [
            line for line in outcome.wire.besides(set(self.may_ask)) if not any(part in line for part in self.may_dial)
        ]
        assert not left, f"left: {left}\n{outcome}"
        if self.raises is not None:
            assert outcome.report["raised"] == self.raises, outcome
            assert outcome.report["violations"] or not self.raises, outcome
        return outcome

    def __str__(self) -> str:
        """Name the row in pytest's output."""
        return self.name
