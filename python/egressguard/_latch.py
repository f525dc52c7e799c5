"""The latch: a violation that somebody swallowed still counts."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys

from egressguard import _egressguard, _report
from egressguard._egressguard import EgressViolation
from egressguard._violations import Violation, read

NOTES_MAX = 20

_mark = 0  # process-wide: violations up to this number were raised by `raise_pending`
_exit_status: int | None = None
_exit_mark = 0


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
    global _exit_status, _exit_mark  # noqa: PLW0603  a process has one exit status
    if not 1 <= status <= 255:
        raise ValueError(f"status must be 1 to 255, not {status}")
    if _exit_status is None:
        _exit_mark = max(_report.baseline, 0)
        atexit.register(_at_exit)
        os.register_at_fork(after_in_child=_in_forked_child)
    _exit_status = status


def _in_forked_child() -> None:
    """Leave what happened before the fork to the parent, which shares the journal and tells of it."""
    global _exit_mark  # noqa: PLW0603
    _exit_mark = _egressguard.violation_total()


def _at_exit() -> None:
    """Let every other exit function run, then end the process: a refusal in one of them counts as well."""
    atexit.unregister(_at_exit)
    atexit._run_exitfuncs()
    count, found = pending(_exit_mark)
    if count == 0 or _exit_status is None:
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or a full disk: the status is what matters now
            stream.flush()
    first = f"; the first: {found[0]}" if found else ""
    with contextlib.suppress(OSError):
        os.write(2, f"egressguard: exit status {_exit_status}: {count} attempts were refused{first}\n".encode())
    os._exit(_exit_status)
