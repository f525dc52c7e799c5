"""Observing: the same verdict, nothing refused, everything said."""

from __future__ import annotations

import atexit
import contextlib
import os
from typing import TYPE_CHECKING

from egressguard import _egressguard, _report
from egressguard._violations import read

if TYPE_CHECKING:
    from collections.abc import Iterable

BANNER = "egressguard: OBSERVING ONLY, nothing is refused. End it with egressguard.install().\n"


def _say(text: str) -> None:
    """Write to descriptor 2 itself: a program that replaced sys.stderr must still not hide that it is open."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode())


def observe(allow: Iterable[str] | None) -> None:
    """Begin observing; see `egressguard.observe`."""
    is_new = _egressguard.allowlist() is None
    _egressguard.observe(allow)
    if is_new:
        _report.observing = True
        _say(BANNER)
        atexit.register(_closing_line, os.getpid())


def _closing_line(owner: int) -> None:
    if not _report.observing or os.getpid() != owner:
        return
    endpoints = sorted({one.endpoint for one in read(0)})
    shown = ", ".join(endpoints[:5]) + (f" and {len(endpoints) - 5} more" if len(endpoints) > 5 else "")
    total = _egressguard.violation_total()
    _say(f"egressguard: OBSERVED ONLY: {total} attempts would have been refused{': ' if shown else ''}{shown}\n")
