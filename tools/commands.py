"""The commands of `./dev`: what each sets up and what it runs."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from typing import Callable

from tools import suite, system
from tools.environments import Environment, alone, set_up
from tools.interpreters import Interpreter, choose
from tools.lint import lint
from tools.project import LOGS, ROOT, STATE, Problem, commit_time, copy_of_tree, environment_variables
from tools.steps import Steps, end_all, logged, tail

HELP = """usage: ./dev COMMAND [arguments]

  demo            real clients against a real server: before the guard, behind it, and in a test with the fixture
  test            everything: checks, C tests, pytest on every CPython here (under 20 minutes on two cores)
  test ARGUMENTS  pytest alone, with these arguments; --python 3.12 (repeatable) picks interpreters
  lint            ruff, mypy, cppcheck, the linked extension
  lab             the tests in network namespaces (root)
  integration     the tests against whole third-party programs
  build           sdist and wheel in dist/
  fuzz, stress, sanitize, bench, cpython-tests, coverage, mutate, instructions, supply, catalogue
                  the long runs: tools/NAME.py in the environment, with the arguments

Everything made is under .dev/; delete it to start over. Logs: .dev/logs."""

LONG = {  # what the scripts of the long runs need beside what a build needs
    "fuzz": ("clang", "ip", "unshare"),
    "sanitize": ("cmocka",),
    "coverage": ("cmocka",),
    "instructions": ("valgrind", "ip"),
    "bench": ("valgrind", "ip", "nginx"),
    "mutate": ("cmocka",),
    "catalogue": (*system.LABORATORY, "mysqlclient", "curl"),
}
# The scripts that run inside the environment: which environment, and which packages beside the project.
SCRIPTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "demo": ("test", ("demo",)),
    "fuzz": ("fuzz", ("fuzz",)),
    "stress": ("test", ("test",)),
    "sanitize": ("test", ("test",)),
    "bench": ("bench", ("bench", "test")),
    "cpython-tests": ("test", ("test",)),
    "coverage": ("test", ("test",)),
    "mutate": ("test", ("test",)),
    "instructions": ("test", ("test",)),
    "supply": ("test", ("test", "lint")),
    # Of its own: eventlet changes what others do.
    "catalogue": ("catalogue", ("test", "integration", "catalogue", "catalogue-source", "catalogue-beside")),
}


def interpreters(needs: tuple[str, ...], wanted: list[str]) -> list[Interpreter]:
    """Return the complete interpreters, newest first, after the operating system gave what is missing."""
    system.provide(needs, choose(wanted))
    complete = []
    for one in choose(wanted):
        if one.venv and one.headers:
            complete.append(one)
        else:
            print(f"left out: {one.executable} has no {'headers' if one.venv else 'venv module'}", flush=True)
    if not complete:
        raise Problem("no complete CPython 3.11 or newer found: it needs its venv module and its headers")
    return complete


def ready(
    purpose: str, extras: tuple[str, ...], needs: tuple[str, ...], wanted: list[str] | None = None, strict: bool = False
) -> list[Environment]:
    """Return environments that are set up: one for each wanted interpreter, or the newest where `wanted` is None."""
    found = interpreters(needs, wanted or [])
    environments = [Environment(one, purpose) for one in (found[:1] if wanted is None else found)]
    started = time.monotonic()
    print(f"setting up: {', '.join(one.name for one in environments)}", flush=True)
    set_up(environments, extras, strict=strict)
    print(f"set up in {time.monotonic() - started:.1f} s", flush=True)
    return environments


def close(steps: Steps, closing: list[str]) -> int:
    """Print the table and then pytest's own closing lines; return the exit status."""
    print(steps.table(), flush=True)
    for lines in filter(None, closing):
        print(f"\n{lines}", flush=True)
    return 0 if steps.passed else 1


def test(arguments: list[str]) -> int:
    """Run everything, or pytest alone where arguments are given."""
    wanted, rest = [], list(arguments)
    while "--python" in rest:
        at = rest.index("--python")
        if at + 1 == len(rest):
            raise Problem("--python needs a version, for example --python 3.12")
        wanted.append(rest[at + 1])
        del rest[at : at + 2]
    steps = Steps()
    if arguments:
        return close(steps, suite.pytest_everywhere(ready("test", ("test",), system.BUILD, wanted), steps, rest))
    laboratory = system.LABORATORY if suite.folders(("lab",)) else ()
    environments = ready("test", ("test", "lint"), (*system.CHECKS, *laboratory), [], strict=True)
    return close(steps, suite.whole(environments, with_clients, steps))


def with_clients() -> Environment:
    """Return the environment with the client libraries that the integration tests and the catalogue drive."""
    [environment] = ready("integration", ("test", "integration"), system.BUILD, strict=True)
    return environment


def one_folder(name: str) -> Callable[[list[str]], int]:
    """Return the command that runs the tests of one folder on the newest interpreter."""

    def command(arguments: list[str]) -> int:
        if not suite.folders((name,)):
            raise Problem(f"tests/{name} holds no tests yet")
        extras = ("test", "integration") if name == "integration" else ("test",)
        needs = (*system.BUILD, *system.LABORATORY) if name == "lab" else system.BUILD
        [environment] = ready("integration" if name == "integration" else "test", extras, needs)
        steps = Steps()
        paths = [] if suite.names_a_path(arguments) else suite.folders((name,))
        return close(steps, [suite.pytest_run(environment, steps, name, [*arguments, *paths], live=True)])

    return command


def check(_: list[str]) -> int:
    """Run the checks that read the sources."""
    steps = Steps()
    lint(ready("test", ("test", "lint"), system.CHECKS, strict=True)[0], steps)
    return close(steps, [])


def build(_: list[str]) -> int:
    """Build the sdist, and the wheel from it, in dist/ with an isolated build: what a publisher would do."""
    [environment] = ready("test", ("lint",), system.BUILD)
    dated = {**environment_variables(network=True), "SOURCE_DATE_EPOCH": commit_time()}
    with alone():
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        tree = copy_of_tree(STATE / "build" / "publish")
        for source, target in ((tree, ROOT / "dist"), (tree / "codegenie", ROOT / "dist")):
            command = [environment.python, "-m", "build", "--outdir", target, source]
            code, output = logged(f"build-{source.name}", command, variables=dated)
            if code:
                raise Problem(f"{tail(output)}\nbuild failed; its log is in {LOGS}")
        shutil.rmtree(tree)
    print("\n".join(sorted(f"dist/{path.name}" for path in (ROOT / "dist").iterdir())))
    return 0


def script(name: str, arguments: list[str]) -> int:
    """Run a script of tools/ in its environment, its output live, and return its exit status."""
    module = name.replace("-", "_")
    if not (ROOT / "tools" / f"{module}.py").exists():
        print(f"./dev {name}: not there yet", file=sys.stderr)
        return 2
    purpose, extras = SCRIPTS[name]
    [environment] = ready(purpose, extras, (*system.BUILD, *LONG.get(name, ())))
    code, _ = logged(name, [environment.python, "-m", f"tools.{module}", *arguments], live=True, limit=6 * 3600)
    return code if code >= 0 else 128 - code


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "test": test,
    "lint": check,
    "build": build,
    "lab": one_folder("lab"),
    "integration": one_folder("integration"),
}


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status: 2 for a wrong command line, 1 for a failure."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    if name in ("help", "-h", "--help"):
        print(HELP)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside: end what was started, too
    # A shell has what it starts in the background ignore Ctrl-C, and the tests of Ctrl-C would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if name in SCRIPTS:
            return script(name, rest)
        if name in COMMANDS:
            return COMMANDS[name](rest)
    except Problem as problem:
        print(f"./dev {name}: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        end_all()
        return 130
    print(f"./dev: no command {name!r}\n\n{HELP}", file=sys.stderr)
    return 2
