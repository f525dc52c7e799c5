"""What happens in Python at a violation: one log record on logger ``egressguard``, one line in each journal file.

Nothing is imported here or below while it happens, whatever a function needs is loaded with the package: a child that
was forked while a thread imported would wait for that lock for ever, and the workflow sandbox of Temporal hands
out its own stand-ins (ADR-0017).
"""

from __future__ import annotations

import itertools
import logging

from egressguard import _egressguard
from egressguard._violations import Violation

TYPE_CHECKING = False  # typing costs more than this module
if TYPE_CHECKING:
    from collections.abc import Callable

    from egressguard._journal_file import JournalFile

logger = logging.getLogger("egressguard")
files: list[JournalFile] = []
"""What `egressguard.journal_to` opened."""

observing = False
when_enforcing: list[Callable[[], None]] = []
baseline = 0
"""Violations up to this number were only observed, before `install` ended the observing."""

TOLD_MAX = 4096
_told: dict[tuple[object, ...], itertools.count[int]] = {}  # how often the same was refused


def report(number: int) -> None:
    """Tell of one violation. The guard calls it once for each, and never while it runs already in the same thread."""
    if not logger:  # type: ignore[truthy-bool]  # a finalizer dials, and this module was emptied before it ran
        return
    if not files and not logger.isEnabledFor(logging.ERROR):
        return
    record = _egressguard.violation(number)
    if record is None:  # lapped by others before it could be read: counted all the same
        return
    violation = Violation.from_record(record)
    for file in files:
        file.add(violation)
    _log(violation)


def _log(violation: Violation) -> None:
    """Log the first, the second, the fourth, the eighth ... of the same refusals; the journal keeps every one.

    A handler that sends its records away (Sentry's, an OTLP exporter) is refused for each, and what it is refused would
    be logged again, for ever.
    """
    level = logging.WARNING if violation.observed else logging.ERROR
    if not logger.isEnabledFor(level):
        return
    times = _times(violation)
    if times & (times - 1):
        return
    repeated = "" if times == 1 else f"; {times} times so far"
    logger.log(level, "%s%s", violation, repeated, extra={"egress": violation.as_dict(), "egress_times": times})


def _times(violation: Violation) -> int:
    """Return how often this was refused from this line, now included."""
    what = (violation.host, violation.port, violation.reason, violation.route, violation.observed)
    who = (violation.pid, violation.file, violation.line, violation.caller_file, violation.caller_line)
    times = _told.get((what, who))
    if times is None:
        if len(_told) >= TOLD_MAX:  # whoever tries ever new hosts is logged for each, and uses no more memory
            _told.clear()
        times = _told.setdefault((what, who), itertools.count(1))
    return next(times)  # one step of the interpreter: two threads never get the same number


def tell_anew() -> None:
    """Log what was logged before as if for the first time: a test that looks at its log is not alone in its process."""
    _told.clear()


def enforcing() -> None:
    """Note that `install` enforces now: what was only observed before it is nobody's violation any more."""
    global observing, baseline  # noqa: PLW0603  one guard for the process
    if observing:
        observing = False
        baseline = _egressguard.violation_total()
        for call in when_enforcing:
            call()
