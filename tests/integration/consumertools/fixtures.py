"""Fixtures of the integration tests, and of the one assertion that ADR-0006 wants among the adversarial ones."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import children
import pytest
from consumertools.network import Network
from consumertools.project import Project
from consumertools.recipes import write_recipes

HERE = Path(__file__).resolve().parent


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
def temporal(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a Temporal server in the network; return a folder with what its workers import."""
    folder = tmp_path_factory.mktemp("temporal")
    program = Path(sys.executable).with_name("temporal")
    server = network.start(folder, program, "server", "start-dev", "--headless", "--log-level", "error")
    network.wait_for_port(server, 7233)
    server.wait_for("Temporal Server:")
    write_recipes(folder)
    for name in ("dials", "flows", "workers", "temporal_scenarios", "temporal_kernel"):
        shutil.copy(HERE / f"{name}.py", folder)
    return folder
