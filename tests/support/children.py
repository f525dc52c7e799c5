"""Child processes: whatever changes a process happens in one, and what it found comes back as JSON lines."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SUPPORT = Path(__file__).resolve().parent
ROOT_CONFTEST = SUPPORT.parents[1] / "conftest.py"
SECONDS = 60
TOLD = "@told "  # the mark that `inside.tell` writes
# What would change a child behind a test's back: proxies, start-up files, another search path.
DROPPED = ("_proxy", "_PROXY", "PYTHON", "PYTEST", "COV_", "LD_PRELOAD")
# A user namespace first, so that it works without root; plain where these are switched off but the user is root.
NAMESPACES = (("unshare", "-Urn"), ("unshare", "-n"))


class Child(NamedTuple):
    """What is left of a child process."""

    code: int
    out: str
    err: str

    def told(self) -> list[Any]:
        """Return what the child told with `inside.tell`, in order; the child must have ended well."""
        assert self.code == 0, f"exit status {self.code}\n{self.out}\n{self.err}"
        return [json.loads(line.partition(TOLD)[2]) for line in self.out.splitlines() if TOLD in line]

    def last(self) -> Any:
        """Return the last thing told."""
        told = self.told()
        assert told, f"nothing told\n{self.out}\n{self.err}"
        return told[-1]


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child: this one without what would change it, with the helpers importable."""
    kept = {key: value for key, value in os.environ.items() if not any(word in key for word in DROPPED)}
    return {**kept, "PYTHONPATH": str(SUPPORT), "PYTHONDONTWRITEBYTECODE": "1", **(changes or {})}


def start(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, seconds: float = SECONDS
) -> Child:
    """Run a command to its end."""
    child = subprocess.run(
        list(command), env=environment(env), cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
    )
    return Child(child.returncode, child.stdout, child.stderr)


def python(
    source: str,
    *arguments: object,
    env: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
    prefix: Sequence[str] = (),
) -> Child:
    """Run source in a fresh interpreter; `sys.argv[1:]` are the arguments as text."""
    words = [sys.executable, "-P", *flags, "-c", textwrap.dedent(source), *map(str, arguments)]
    return start([*prefix, *words], env=env)


@functools.cache
def namespace() -> tuple[str, ...]:
    """Return the command that gives a child a network of its own, or () where this machine has none to give."""
    for command in NAMESPACES:
        if shutil.which(command[0]) and start([*command, "ip", "link", "set", "lo", "up"]).code == 0:
            return command
    return ()


def python_alone(
    source: str, *arguments: object, addresses: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Child:
    """Run source in a network of its own, with nothing but `lo`, which also has the addresses."""
    inner = "ip link set lo up" + "".join(f" && ip addr add {address} dev lo" for address in addresses)
    shell = ["sh", "-c", f'{inner} && exec "$@"', "sh"]
    return python(source, *arguments, prefix=[*namespace(), *shell], env=env)


def pytest_run(
    folder: Path, source: str, *arguments: str, conftest: str | None = None, plugins: Sequence[str] = ()
) -> Child:
    """Run pytest on one generated file beside a copy of the root conftest.py: how a child gets loopback."""
    (folder / "conftest.py").write_text(ROOT_CONFTEST.read_text() if conftest is None else textwrap.dedent(conftest))
    (folder / "test_generated.py").write_text(textwrap.dedent(source))
    (folder / "none.toml").write_text("")  # no configuration but what the arguments say
    words = [word for plugin in plugins for word in ("-p", plugin)]
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-ra", *words, *arguments]
    return start(
        [*command, f"--rootdir={folder}", "-c", str(folder / "none.toml"), str(folder / "test_generated.py")],
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=folder,
    )
