"""One wire for the session; every attack runs in a child process inside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from kernellab.wire import ALLOW, Impossible, Wire  # noqa: E402

Guarded = Callable[[list[str]], list[str]]
IN_PROCESS = """
import json, subprocess, sys, egressguard
egressguard.install(json.loads(sys.argv[1]))
egressguard.install_kernel()
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""
PROBE = """
import egressguard
egressguard.install()
egressguard.install_kernel()
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stress-kernel", action="store_true", help="kernel layer: 20,000 tries for each race")


def give_up(reason: str) -> None:
    """Skip with the reason; but in CI, where nobody reads why a test was skipped, fail."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"CI must not skip the kernel layer: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kernel_layer() -> None:
    """Skip where this machine cannot have the layer."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    if done.returncode:
        give_up(done.stderr.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def whole_wire(kernel_layer: None) -> Iterator[Wire]:
    """Return the wire between two network namespaces."""
    try:
        made = Wire()
    except Impossible as reason:
        give_up(str(reason))
        raise
    yield made
    made.close()


@pytest.fixture
def wire(whole_wire: Wire) -> Wire:
    """Return the wire with nothing of an earlier test on it."""
    whole_wire.events()
    return whole_wire


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the C programs: `dial` is static, so no library can be in its way."""
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        give_up("no C compiler")
    folder = tmp_path_factory.mktemp("programs")
    for source in sorted((HERE / "programs").glob("*.c")):
        link = ["-static", "-no-pie"] if source.stem == "dial" else []
        command = [
            str(compiler),
            "-O1",
            "-pthread",
            "-D_GNU_SOURCE",
            *link,
            str(source),
            "-o",
            str(folder / source.stem),
        ]
        subprocess.run(command, check=True)
    return folder


def under_run(command: list[str], *options: str) -> list[str]:
    """Return the command under `egressguard run`."""
    entries = [word for entry in ALLOW for word in ("--allow", entry)]
    return [sys.executable, "-m", "egressguard.cli", "run", *entries, *options, "--", *command]


def below_install_kernel(command: list[str]) -> list[str]:
    """Return the command as the child of a process with install_kernel()."""
    return [sys.executable, "-c", IN_PROCESS, json.dumps(ALLOW), *command]


@pytest.fixture(params=["run", "install_kernel"])
def guarded(request: pytest.FixtureRequest) -> Guarded:
    """Return what puts a command under the layer, in each of both ways."""
    return under_run if request.param == "run" else below_install_kernel


@pytest.fixture
def tries(request: pytest.FixtureRequest) -> int:
    """Return how often a race is tried."""
    return 20_000 if request.config.getoption("--stress-kernel") else 2_000
