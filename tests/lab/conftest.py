"""One laboratory for the whole session: only the processes of the cases are fresh."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from labtools.lab import Impossible, Lab, find_way, give_up


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the length of the load test."""
    parser.addoption("--full-load", action="store_true", help="laboratory: put on load for 30 s instead of 8 s")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the laboratory, so that `-m "not lab"` leaves it out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("lab")


def build() -> Lab:
    """Build a laboratory; where it cannot be had, skip with the reason, but fail in CI."""
    try:
        return Lab(find_way())
    except Impossible as reason:
        give_up(reason, os.environ)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Return the laboratory that the cases share."""
    laboratory = build()
    yield laboratory
    laboratory.close()


@pytest.fixture
def lab_of_its_own() -> Iterator[Lab]:
    """Return a laboratory for a case after which the kernel of inside would go on talking."""
    laboratory = build()
    yield laboratory
    laboratory.close()
