"""Fixtures of the integration tests. What they share is in `consumertools`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab"), str(HERE / "consumertools")]

import children  # noqa: E402  the line above makes it importable
from consumertools import laboratory  # noqa: E402
from consumertools.network import Network  # noqa: E402
from consumertools.project import Project  # noqa: E402
from labtools.lab import Lab  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives other people's programs, so that `-m "not integration"` leaves it out."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("integration")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty project with this repository's own conftest.py."""
    return Project(tmp_path)


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """Return a network with nothing but `lo`, which servers and clients enter: nothing can leave the machine."""
    command = children.namespace()
    if not command:
        pytest.skip("this machine gives no network namespace: unshare -Urn and unshare -n both fail")
    own = Network(command)
    yield own
    own.close()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Return the laboratory: what leaves is seen on a real wire, and no packet reaches the machine's own network."""
    yield from laboratory.opened()
