"""Virtual environments under `.dev/`, with egressguard installed in them the way a user gets it.

A wheel is built from an sdist, and that wheel is installed: what is tested is what would be published, never the tree.
Each part is keyed by a hash of what it was made from, so a second set-up has nothing to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

from tools.interpreters import Interpreter
from tools.project import (
    CODEGENIE_INPUTS,
    PACKAGE_INPUTS,
    ROOT,
    STATE,
    Problem,
    copy_of_tree,
    digest_of,
    environment_variables,
)
from tools.steps import logged, side_by_side, tail

# What each extra is pinned to, and `build`: builds happen in the environment itself (no build isolation), so that they
# need no network once it is set up. `./dev supply pin` writes these files.
PINS = ROOT / "requirements"
# pip keeps a wheel of a local sdist by its file name alone: with its cache, this would install yesterday's code.
BUILD_WHEEL = ["wheel", "--no-cache-dir", "--no-deps", "--no-build-isolation"]
READ_EXTRAS = """
import json, tomllib
with open("pyproject.toml", "rb") as file:
    print(json.dumps(tomllib.load(file)["project"]["optional-dependencies"]))
"""


class Environment:
    """One virtual environment: an interpreter, and a purpose that keeps packages apart which must not meet."""

    def __init__(self, interpreter: Interpreter, purpose: str = "test") -> None:
        self.interpreter = interpreter
        origin = hashlib.sha256(interpreter.executable.encode()).hexdigest()[:6]
        self.name = f"{interpreter.label}-{purpose}-{origin}"
        self.folder = STATE / "venvs" / self.name
        self.python = self.folder / "bin" / "python"
        self._stamps = self.folder / "stamps.json"

    def program(self, name: str) -> Path:
        """Return the path of a console script."""
        return self.folder / "bin" / name

    def stamp(self, part: str) -> Any:
        """Return what a part was made from, or None where it was never completed."""
        try:
            return json.loads(self._stamps.read_text())[part]
        except (OSError, ValueError, KeyError):
            return None

    def set_stamp(self, part: str, value: object) -> None:
        """Record that a part is complete."""
        try:
            stamps = json.loads(self._stamps.read_text())
        except (OSError, ValueError):
            stamps = {}
        self._stamps.write_text(json.dumps({**stamps, part: value}, indent=1))

    def must(self, what: str, *command: object, cwd: Path = ROOT, strict: bool = False) -> None:
        """Run a step of the set-up; raise Problem with the end of its output where it fails."""
        variables = {**environment_variables(network=True), "EGRESSGUARD_STRICT": str(int(strict))}
        code, output = logged(f"set-up-{self.name}-{what}", command, variables=variables, cwd=cwd)
        if code:
            raise Problem(f"{tail(output)}\nset-up of {self.interpreter.label} failed: {what}")

    def pip(self, what: str, *arguments: object, strict: bool = False) -> None:
        """Run pip in this environment."""
        self.must(what, self.python, "-I", "-m", "pip", "--disable-pip-version-check", *arguments, strict=strict)

    def create(self) -> None:
        """Make the environment, anew where it is half made or its interpreter was replaced."""
        identity = [self.interpreter.executable, list(self.interpreter.version)]
        if self.stamp("interpreter") == identity:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.must("venv", self.interpreter.executable, "-I", "-m", "venv", self.folder)
        self.set_stamp("interpreter", identity)

    def install_packages(self, extras: Iterable[str]) -> None:
        """Install what requirements/ pins for the named extras, in one resolution with those that are here already.

        pip takes no file whose hash is not in there: what ran here yesterday is what runs elsewhere tomorrow. An extra
        whose name ends in `-source` is built here, one in `-beside` goes into a folder that is not on `sys.path`.
        """
        known = extras_of(self.python)
        installed = self.stamp("packages") or {}
        names = [name for name in sorted(set(extras) | set(installed)) if name in known]
        files = {name: PINS / f"{name}.txt" for name in ["build", *names]}
        missing = {line for name in names for line in known[name] if not pinned(line, files[name])}
        if missing:
            raise Problem(f"not pinned in requirements/, run `./dev supply pin`: {', '.join(sorted(missing))}")
        wanted = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
        if all(installed.get(name) == digest for name, digest in wanted.items()):
            return
        beside = self.folder / "beside"
        shutil.rmtree(beside, ignore_errors=True)
        kinds: dict[str, list[object]] = {
            "": [],
            # Built with what was just installed: pip would fetch the newest setuptools, whatever its hash.
            "source": ["--no-deps", "--no-build-isolation"],
            "beside": ["--no-deps", "--target", beside],
        }
        for kind, options in kinds.items():
            chosen = [f"-r{path}" for name, path in files.items() if name.partition("-")[2] == kind]
            if chosen:
                self.pip(f"packages{kind}", "install", "-q", "--require-hashes", *options, *chosen)
        self.set_stamp("packages", wanted)

    def install_project(self, strict: bool) -> None:
        """Build both wheels where their sources changed, and install what is not installed yet.

        A strict build treats every compiler warning as an error; the code that comes out is the same, so a wheel that
        was built strictly serves everyone.
        """
        source = digest_of(PACKAGE_INPUTS)
        wheels = STATE / "wheels" / self.name
        if self.stamp("wheel") not in ([source, True], [source, strict]) or not wheels.is_dir():
            shutil.rmtree(wheels, ignore_errors=True)
            self.pip("wheel", *BUILD_WHEEL, "-w", wheels, sdist(self, source), strict=strict)
            self.set_stamp("wheel", [source, strict])
        installed = [self.stamp("wheel"), digest_of(CODEGENIE_INPUTS)]
        if self.stamp("project") != installed:
            for old in wheels.glob("egressguard_codegenie-*"):
                old.unlink()
            tree = copy_of_tree(STATE / "build" / self.name)
            self.pip("codegenie", *BUILD_WHEEL, "-w", wheels, tree / "codegenie")
            shutil.rmtree(tree)
            self.pip("install", "install", "-q", "--no-deps", "--no-index", "--force-reinstall", *wheels.glob("*.whl"))
            self.set_stamp("project", installed)


def pinned(requirement: str, path: Path) -> bool:
    """Whether a file of requirements/ holds the package of a requirement; names differ in case and in dashes."""
    name = re.split(r"[^\w.-]", requirement)[0]
    pattern = re.sub(r"[-_.]+", "[-_.]+", name)
    return path.exists() and bool(re.search(rf"^{pattern}(\[.*\])?==", path.read_text(), re.MULTILINE | re.IGNORECASE))


@cache
def extras_of(python: Path) -> dict[str, list[str]]:
    """Return the optional dependencies; the interpreter that runs these tools may be too old to have tomllib."""
    answer = subprocess.run(
        [str(python), "-I", "-c", READ_EXTRAS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return cast(dict[str, list[str]], json.loads(answer.stdout))


def sdist(environment: Environment, source: str) -> Path:
    """Return the sdist of the present sources, built once for every interpreter."""
    folder = STATE / "sdist" / source
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        shutil.rmtree(folder.parent, ignore_errors=True)
        tree = copy_of_tree(STATE / "build" / "sdist")
        build = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
        environment.must("sdist", environment.python, "-c", build, cwd=tree)
        shutil.rmtree(tree)
        archives = list(folder.glob("*.tar.gz"))
    return archives[0]


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of `.dev/`: two commands started at once must not build into the same folders."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def set_up(environments: list[Environment], extras: Iterable[str], *, strict: bool = False) -> None:
    """Bring the environments up to date, two at a time."""
    names = list(extras)

    def packages(environment: Environment) -> None:
        environment.create()
        environment.install_packages(names)

    with alone():
        side_by_side([partial(packages, one) for one in environments])
        for environment in environments[:1]:  # makes the sdist that the others share
            environment.install_project(strict)
        side_by_side([partial(one.install_project, strict) for one in environments[1:]])
