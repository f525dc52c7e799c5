"""Find every CPython of this machine that egressguard supports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.project import Problem

OLDEST = (3, 11)
SYSTEM = Path("/usr/bin/python3")

# Asked of the interpreter itself: a file name, a shim and a virtual environment each say something else than what runs.
QUESTION = """
import importlib.util, json, os, sys, sysconfig
print(json.dumps({
    "executable": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
    "prefix": os.path.realpath(sys.base_prefix),
    "version": list(sys.version_info[:3]),
    "supported": sys.implementation.name == "cpython" and sys.version_info.releaselevel == "final"
        and not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
    "headers": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """One installed CPython, as it describes itself."""

    executable: str
    prefix: str
    version: tuple[int, int, int]
    venv: bool
    headers: bool

    @property
    def minor(self) -> tuple[int, int]:
        """The version that binary packages are built for."""
        return self.version[:2]

    @property
    def is_system(self) -> bool:
        """Whether the distribution's package manager owns it, so that its missing parts can come from there."""
        return self.prefix == "/usr"

    @property
    def label(self) -> str:
        """Name it in a report: two interpreters of one minor version must be told apart."""
        return ".".join(map(str, self.version)) + ("-system" if self.is_system else "")


def ask(executable: Path) -> Interpreter | None:
    """Return the interpreter behind a path, or None where there is none that egressguard supports."""
    try:
        answer = subprocess.run(
            [str(executable), "-I", "-c", QUESTION], capture_output=True, text=True, check=True, timeout=60
        )
        told = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if not told.pop("supported") or tuple(told["version"][:2]) < OLDEST:
        return None
    told["version"] = tuple(told["version"])
    return Interpreter(**told)


def candidates() -> Iterator[Path]:
    """Yield the places to look, best first: pyenv's own folders, PATH, this interpreter, the system's.

    A pyenv shim is passed over: it answers only for the versions that happen to be switched on.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (pyenv / "versions").glob("*/bin/python")
    for folder in map(Path, os.environ.get("PATH", "").split(os.pathsep)):
        if folder.name != "shims" and folder.is_absolute() and folder.is_dir():
            yield from (path for path in folder.iterdir() if re.fullmatch(r"python3\.\d+", path.name))
    yield Path(sys.executable)
    yield SYSTEM


def find() -> list[Interpreter]:
    """Return one interpreter a minor version, newest first, and the system's own beside it.

    The system's is kept although another has its version: distributions build `_socket` into the interpreter, which
    is another case than a shared `_socket`.
    """
    found: dict[tuple[object, ...], Interpreter] = {}
    seen = set()
    for path in candidates():
        resolved = os.path.realpath(path)
        if resolved in seen:
            continue
        seen.add(resolved)
        interpreter = ask(path)
        if interpreter is None:
            continue
        key = (interpreter.minor, interpreter.is_system)
        if key not in found or found[key].version < interpreter.version:
            found[key] = interpreter
    system = ask(SYSTEM)
    kept = [
        interpreter
        for (minor, is_system), interpreter in found.items()
        if not is_system or interpreter == system or (minor, False) not in found
    ]
    return sorted(kept, key=lambda one: (one.version, not one.is_system), reverse=True)


def choose(wanted: list[str]) -> list[Interpreter]:
    """Return the interpreters whose label starts with one of the wanted versions; all of them where none is named."""
    every = find()
    chosen = [one for one in every if not wanted or any(f"{one.label}.".startswith(f"{text}.") for text in wanted)]
    if wanted and not chosen:
        raise Problem(f"no CPython {', '.join(wanted)} here; found: {', '.join(one.label for one in every) or 'none'}")
    return chosen
