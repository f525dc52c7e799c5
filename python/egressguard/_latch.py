"""The latch: a violation that somebody swallowed still counts."""

from __future__ import annotations

import os

from egressguard import _egressguard, _report
from egressguard._egressguard import EgressViolation
from egressguard._violations import Violation, read

NOTES_MAX = 20

_mark = 0  # process-wide: violations up to this number were raised by `raise_pending`
_exit_status: int | None = None


def pending(since: int) -> tuple[int, list[Violation]]:
    """Return how many attempts were refused after number ``since``, and those that the journal still holds.

    What was only observed counts as nothing, whether `install` ended the observing since then or not.
    """
    if _report.observing:
        return 0, []
    since = max(since, _report.baseline)
    total = _egressguard.violation_total()
    return max(total - since, 0), read(since, total)


def raise_pending(since: int | None = None) -> None:
    """Raise for the oldest violation after the last call; see `egressguard.raise_pending`."""
    global _mark
    if since is None:
        since, _mark = _mark, _egressguard.violation_total()
    count, found = pending(since)
    if count:
        raise _error(count, found)


def _error(count: int, found: list[Violation]) -> EgressViolation:
    if not found:
        return EgressViolation(f"{count} attempts were refused; the journal no longer holds them")
    first = found[0]
    error = EgressViolation(str(first) if count == 1 else f"{first} (and {count - 1} more)")
    for name in ("host", "port", "address", "route", "reason", "number"):
        setattr(error, name, getattr(first, name))
    for one in found[1 : NOTES_MAX + 1]:
        error.add_note(str(one))
    return error


def fail_on_exit(status: int) -> None:
    """Make this process end with ``status`` where anything was refused; see `egressguard.fail_on_exit`."""
    global _exit_status  # noqa: PLW0603  a process has one exit status
    _egressguard.set_exit_status(status, _report.baseline)
    if _exit_status is None:
        os.register_at_fork(after_in_child=_in_forked_child)
        _report.when_enforcing.append(_enforcing)
    _exit_status = status


def _in_forked_child() -> None:
    """Leave what happened before the fork to the parent, which shares the journal and tells of it."""
    if _exit_status is not None:
        _egressguard.set_exit_status(_exit_status, _egressguard.violation_total())


def _enforcing() -> None:
    """Leave out what was only observed before `install`."""
    if _exit_status is not None:
        _egressguard.set_exit_status(_exit_status, _report.baseline)
