"""What happens in Python when an attempt is refused: one log record on logger ``egressguard``."""

from __future__ import annotations

import logging

from egressguard import _egressguard

logger = logging.getLogger("egressguard")


def report(number: int) -> None:
    """Log one violation at ERROR. The guard calls it once for each, and never while it is running already."""
    if not logger.isEnabledFor(logging.ERROR):
        return
    record = _egressguard.violation(number)
    if record is None:  # lapped by others before it could be read: counted all the same
        return
    from egressguard._violations import Violation  # noqa: PLC0415

    violation = Violation.from_record(record)
    logger.error("%s", violation, extra={"egress": violation.as_dict()})
