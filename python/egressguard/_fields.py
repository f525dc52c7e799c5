"""A violation as plain fields: what a journal line holds, and what a log record carries. docs/journal-schema.md."""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # as in _violations: this is always loaded
if TYPE_CHECKING:
    from typing import Any

    from egressguard._violations import Violation

SCHEMA = "egressguard.journal/1"
"""Fields may be added under the same name; where one changes its meaning or goes, the number rises."""


def utc(wall_ns: int) -> str:
    """Return a wall clock time in nanoseconds as RFC 3339 text, in UTC and with all digits."""
    seconds, nanoseconds = divmod(wall_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


def of_violation(violation: Violation) -> dict[str, Any]:
    """Return the fields in the order of the schema; JSON can hold each value."""
    return {
        "schema": SCHEMA,
        "time": utc(violation.wall_ns),
        "endpoint": violation.endpoint,
        "distribution": violation.distribution,
        "site": violation.site,
        "thread_name": violation.thread_name,
        "command": sys.argv[0] if getattr(sys, "argv", None) else "",
        "machine": os.uname().nodename,
        **violation._asdict(),
    }
