"""The one file that takes the capability (ADR-0006); the whole suite runs under the guard that it installs.

A test that dials loopback requests `egress_test_loopback`. The flag belongs to the thread that requested it: what the
test starts in other threads or processes is refused like everybody else.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import egressguard
from egressguard._egressguard import _set_test_loopback  # type: ignore[attr-defined]  # gone once installed

egressguard.install()


@pytest.fixture
def egress_test_loopback() -> Iterator[None]:
    """Admit 127.0.0.1 and ::1 in this thread, until the test ends: passed, failed or timed out."""
    _set_test_loopback(True)
    try:
        yield
    finally:
        _set_test_loopback(False)
