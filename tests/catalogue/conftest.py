"""The laboratory, for the rows that the ordinary run measures. The whole catalogue is `./dev catalogue`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "catalogue"), str(TESTS / "lab"), str(TESTS / "integration")]

from consumertools import laboratory  # noqa: E402  the line above makes it importable

from labtools.lab import Lab  # noqa: E402


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Return the laboratory."""
    yield from laboratory.opened()
