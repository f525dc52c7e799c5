"""Fixtures of the integration tests. What they share is in `consumertools`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab"), str(HERE / "consumertools")]

import children  # noqa: E402  the line above makes it importable
from consumertools import laboratory  # noqa: E402
from consumertools.network import Network  # noqa: E402
from consumertools.project import Project  # noqa: E402
from consumertools.recipes import write_recipes  # noqa: E402

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


@pytest.fixture(scope="session")
def temporal(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a Temporal server in the network; return a folder with what its workers import."""
    folder = tmp_path_factory.mktemp("temporal")
    program = Path(sys.executable).with_name("temporal")
    server = network.start(folder, program, "server", "start-dev", "--headless", "--log-level", "error")
    network.wait_for_port(server, 7233)
    server.wait_for("Temporal Server:")
    write_recipes(folder)
    for name in ("dials", "flows", "workers", "temporal_scenarios", "temporal_kernel"):
        shutil.copy(HERE / "consumertools" / f"{name}.py", folder)
    return folder


@pytest.fixture
def temporal_scenario(network: Network, temporal: Path) -> Callable[[str], Any]:
    """Return what runs a scenario of `temporal_scenarios.py` in a worker process, and returns what that told."""
    return lambda name: network.python(temporal / "temporal_scenarios.py", name).last()


@pytest.fixture
def temporal_kernel(network: Network, temporal: Path) -> Any:
    """Return what `temporal_kernel.py` told."""
    return network.python(temporal / "temporal_kernel.py").last()
