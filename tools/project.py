"""Where things are, what the package is made of, and the one error that these tools raise."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".dev"
LOGS = STATE / "logs"
REPORTS = STATE / "reports"

# What decides the content of the installed package. Tests and documents are not in it: editing them rebuilds nothing.
PACKAGE_INPUTS = ("pyproject.toml", "setup.py", "MANIFEST.in", "LICENSE", "src", "python")
CODEGENIE_INPUTS = ("codegenie",)

KNOWN_TIME = "1577836800"  # 2020: where there is no repository to ask

NOT_SOURCE = {"__pycache__", "build", "dist", "node_modules"}


class Problem(Exception):
    """What went wrong and what to do about it, in one line for the person at the terminal."""


def files_under(paths: Iterable[str]) -> Iterator[Path]:
    """Yield the source files below the given paths of the repository, in a stable order."""
    for name in paths:
        path = ROOT / name
        if path.is_file():
            yield path
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(
                entry
                for entry in folders
                if entry not in NOT_SOURCE and not entry.startswith(".") and not entry.endswith(".egg-info")
            )
            for entry in sorted(names):
                if not entry.endswith((".pyc", ".so", ".o")) and not entry.startswith(".#"):
                    yield Path(folder, entry)


def digest_of(paths: Iterable[str], *more: str) -> str:
    """Return a short hash over names and contents below the paths, and over the further strings."""
    total = hashlib.sha256()
    for path in files_under(paths):
        total.update(str(path.relative_to(ROOT)).encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    for text in more:
        total.update(b"\0" + text.encode())
    return total.hexdigest()[:16]


def copy_of_tree(target: Path) -> Path:
    """Copy the repository's source files to an empty folder and return it.

    Packages are built from a copy: setuptools leaves `build/` and `*.egg-info` beside what it builds, and would take a
    stale list of files from there the next time.
    """
    shutil.rmtree(target, ignore_errors=True)
    for path in files_under(sorted(entry.name for entry in ROOT.iterdir() if not entry.name.startswith("."))):
        if path.relative_to(ROOT).parts[0] in NOT_SOURCE:
            continue
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return target


def commit_time() -> str:
    """Return the time of the last commit: what the files of a wheel are dated with (reproducible-builds.org)."""
    ask = ["git", "log", "-1", "--format=%ct"] if shutil.which("git") is not None else ["true"]
    return subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or KNOWN_TIME


def environment_variables(network: bool = False) -> dict[str, str]:
    """Return the environment for a child process, without what would change which code it runs.

    Proxy settings stay only where the package index is asked (`network`): a test client that followed them would
    dial the proxy instead of the address under test.
    """
    variables = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"):
        variables.pop(name, None)
    for name in list(variables):
        if name.startswith("EGRESSGUARD_") or (name.lower().endswith("_proxy") and not network):
            del variables[name]
    return variables
