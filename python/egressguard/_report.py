"""What happens in Python at a violation: one log record on logger ``egressguard``, one line in each journal file."""

from __future__ import annotations

import logging

from egressguard import _egressguard

TYPE_CHECKING = False  # typing costs more than this module
if TYPE_CHECKING:
    from collections.abc import Callable

    from egressguard._journal_file import JournalFile
    from egressguard._violations import Violation

logger = logging.getLogger("egressguard")
files: list[JournalFile] = []
"""What `egressguard.journal_to` opened."""

observing = False
when_enforcing: list[Callable[[], None]] = []
baseline = 0
"""Violations up to this number were only observed, before `install` ended the observing."""

OBSERVED_SITES_MAX = 4096
_observed_sites: set[tuple[str, str | None, int]] = set()


def report(number: int) -> None:
    """Tell of one violation. The guard calls it once for each, and never while it runs already in the same thread."""
    if not files and not logger.isEnabledFor(logging.ERROR):
        return
    record = _egressguard.violation(number)
    if record is None:  # lapped by others before it could be read: counted all the same
        return
    from egressguard._violations import Violation  # noqa: PLC0415  not at import: most processes never need it

    violation = Violation.from_record(record)
    for file in files:
        file.add(violation)
    _log(violation)


def _log(violation: Violation) -> None:
    level = logging.WARNING if violation.observed else logging.ERROR
    if not logger.isEnabledFor(level) or (violation.observed and _is_told(violation)):
        return
    logger.log(level, "%s", violation, extra={"egress": violation.as_dict()})


def _is_told(violation: Violation) -> bool:
    """Whether this endpoint was logged from this line before: who only observes may dial thousands of times."""
    key = (violation.endpoint, violation.file, violation.line)
    if key in _observed_sites or len(_observed_sites) >= OBSERVED_SITES_MAX:
        return True
    _observed_sites.add(key)
    return False


def enforcing() -> None:
    """Note that `install` enforces now: what was only observed before it is nobody's violation any more."""
    global observing, baseline  # noqa: PLW0603  one guard for the process
    if observing:
        observing = False
        baseline = _egressguard.violation_total()
        for call in when_enforcing:
            call()
