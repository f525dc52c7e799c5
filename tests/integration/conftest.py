"""Fixtures of the integration tests. What they share is in `consumertools`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab"), str(HERE / "consumertools")]

from consumertools import laboratory  # noqa: E402  the line above makes it importable
from consumertools.fixtures import network, project, temporal  # noqa: E402
from consumertools.network import Network  # noqa: E402

from labtools.lab import Lab  # noqa: E402

__all__ = ["network", "project", "temporal"]  # fixtures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives other people's programs, so that `-m "not integration"` leaves it out."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("integration")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Return the laboratory: what leaves is seen on a real wire, and no packet reaches the machine's own network."""
    yield from laboratory.opened()


@pytest.fixture
def temporal_scenario(network: Network, temporal: Path) -> Callable[[str], Any]:
    """Return what runs a scenario of `temporal_scenarios.py` in a worker process, and returns what that told."""
    return lambda name: network.python(temporal / "temporal_scenarios.py", name).last()


@pytest.fixture
def temporal_kernel(network: Network, temporal: Path) -> Any:
    """Return what `temporal_kernel.py` told."""
    return network.python(temporal / "temporal_kernel.py").last()
