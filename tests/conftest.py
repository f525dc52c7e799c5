"""Fixtures of all tests. The helpers are in `tests/support`, which children find through PYTHONPATH."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

import children
from listeners import Endpoint, Listeners


@pytest.fixture
def listeners(egress_test_loopback: None) -> Iterator[Listeners]:
    """Return what opens real listeners on loopback; the test's own thread may dial them, for the fences."""
    opened = Listeners()
    yield opened
    opened.close()


@pytest.fixture
def listener(listeners: Listeners) -> Endpoint:
    """Return one real listener."""
    return listeners.open()


@pytest.fixture(scope="session")
def own_network() -> None:
    """Skip where no child can have a network of its own (`children.python_alone`)."""
    if not children.namespace():
        pytest.skip("this machine gives no network namespace: unshare -Urn and unshare -n both fail")
