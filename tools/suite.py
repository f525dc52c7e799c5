"""The whole test run: checks, C tests, then pytest on every CPython of this machine.

Two things run at a time. Fuzzing takes what the others leave of the processors, so that it lasts a minute a target and
costs them next to nothing.

pytest runs from the root of the repository, against the installed wheel: importlib mode leaves `sys.path` alone, and
a check makes sure that `egressguard` comes from the environment.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Callable

from tools.core_tests import core_tests
from tools.environments import Environment
from tools.lint import lint
from tools.project import REPORTS, ROOT, digest_of, environment_variables
from tools.steps import Steps, end_all, logged, side_by_side

EVERYWHERE = ("unit", "adversarial")  # on every interpreter
# The assertion on Temporal's workers lives where ADR-0006 says, and runs where Temporal is installed.
ALSO = {
    "integration": ("tests/adversarial/test_egress_guard_thread_isolation.py::test_no_temporal_worker_gets_the_flag",)
}
# On the newest alone, since they test the machine and other programs.
ROWS = (("strength", "kernel", "catalogue"), ("lab", "integration"))
ONCE = (*ROWS[0], *ROWS[1])
# On the newest as well: they take a minute and more, and say nothing of an interpreter that tests/adversarial does not.
ON_THE_NEWEST = ("tests/unit/test_tools_docs.py", "tests/unit/test_tools_prove.py")
MUTANTS = 24
FUZZ_SECONDS = 60
AGAIN = ("--reruns", "1")  # clocks and other programs on a shared machine: once more, and pytest says so
ELSEWHERE = ("core", "fuzz", "stress", "cpython", "data")  # have commands of their own, or hold no pytest tests

WHERE = """
import os, sys, egressguard, egressguard._egressguard as extension
for path in (egressguard.__file__, extension.__file__):
    if not os.path.realpath(path).startswith(os.path.realpath(sys.prefix) + os.sep):
        sys.exit(f"egressguard is imported from {path}, not from {sys.prefix}")
"""


def folders(names: tuple[str, ...]) -> list[str]:
    """Return the test folders of these names that hold tests, and what runs with them from elsewhere."""
    held = [name for name in names if any((ROOT / "tests" / name).rglob("test_*.py"))]
    return [f"tests/{name}" for name in held] + [test for name in held for test in ALSO.get(name, ())]


def left_out() -> str:
    """Return which tests no command runs, or an empty string: a new folder must not be forgotten in silence."""
    known = {*EVERYWHERE, *ONCE, *ELSEWHERE}
    parts = {path.relative_to(ROOT / "tests").parts for path in (ROOT / "tests").rglob("test_*.py")}
    unknown = sorted({part[0] for part in parts} - known)
    return f"name in tools/suite.py: {', '.join(unknown)}" if unknown else ""


def pytest_run(environment: Environment, steps: Steps, title: str, arguments: list[str], live: bool) -> str:
    """Run pytest as a step and return its closing line. Its exit status 5, no test ran, is a failure as any other."""
    name = f"pytest {title} on {environment.interpreter.label}"
    where = subprocess.run(
        [str(environment.python), "-c", WHERE],
        cwd=ROOT,
        env=environment_variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    if where.returncode:
        steps.note(name, False, note=where.stderr.strip().splitlines()[-1])
        return ""
    REPORTS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    command = [
        environment.program("pytest"),
        f"--junitxml={REPORTS / name.replace(' ', '-')}.xml",
        f"-ocache_dir=.dev/pytest/{environment.name}",
        "--color=yes" if sys.stdout.isatty() else "--color=no",
        *arguments,
    ]
    if live:
        steps.say(f"\n--- {name}")
    code, output = logged(name, command, live=live)
    if not live:
        steps.say(f"\n--- {name}\n{output.rstrip()}\n")
    steps.note(name, code == 0, time.monotonic() - started, "" if code == 0 else f"pytest exit {code}")
    closing = re.findall(r"^(?:\x1b\[\S*m)*=+ .*\bin \d.*=+", output, re.MULTILINE)
    return f"{environment.interpreter.label} {title}\n{closing[-1]}" if closing else ""


def on_each(environments: list[Environment], steps: Steps, arguments: list[str]) -> list[Callable[[], str]]:
    """Return the runs of the tests that must hold on every interpreter."""
    live = len(environments) == 1
    title = "tests" if arguments else " ".join(EVERYWHERE)
    chosen = arguments if names_a_path(arguments) else [*arguments, *folders(EVERYWHERE)]
    jobs: list[Callable[[], str]] = []
    for number, one in enumerate(environments):
        less = [f"--ignore={path}" for path in ON_THE_NEWEST] if number and not arguments else []
        jobs.append(partial(pytest_run, one, steps, title, [*chosen, *less], live))
    return jobs


def pytest_everywhere(environments: list[Environment], steps: Steps, arguments: list[str]) -> list[str]:
    """Run the tests of these arguments, two interpreters at a time."""
    return side_by_side(on_each(environments, steps, arguments))


def names_a_path(arguments: list[str]) -> bool:
    """Whether the person named test files, so that the usual folders are not wanted."""
    return any((ROOT / word.split("::")[0]).exists() for word in arguments if not word.startswith("-"))


def instructions(environment: Environment, steps: Steps) -> None:
    """Hold the instructions of a guarded call against the committed ones, where valgrind works."""
    name = f"instructions of a guarded call on {environment.interpreter.label}"
    if shutil.which("valgrind") is None:
        steps.note(name, True, note="left out: valgrind is not here")
        return
    steps.run(name, [environment.python, "-m", "tools.instructions", "--guarded"], show=True)


def mutants(environment: Environment, steps: Steps) -> None:
    """Break a few places of the core, others after every change of it; `./dev mutate` breaks each of them."""
    seed = int(digest_of(["src/core", "tests/core"]), 16) % 10**6
    command = [environment.python, "-m", "tools.mutate", "--sample", MUTANTS, "--seed", seed]
    steps.run(f"{MUTANTS} mutants of src/core", command)


def fuzzing(environment: Environment, steps: Steps) -> None:
    """Fuzz each target for a minute, three at once, in the time that is left; `./dev fuzz` does it for longer."""
    command = [environment.python, "-m", "tools.fuzz", "--seconds", FUZZ_SECONDS, "--jobs", 3, "--idle"]
    steps.run(f"fuzzing, {FUZZ_SECONDS} s a target", command)


def checks(environment: Environment, steps: Steps) -> str:
    """Run what needs no pytest, and has no closing line."""
    lint(environment, steps)
    steps.check("every test folder is run", left_out)
    core_tests(steps)
    instructions(environment, steps)
    mutants(environment, steps)
    return ""


def row(names: tuple[str, ...], newest: Environment, with_clients: Future[Environment], steps: Steps) -> str:
    """Run these folders one after another, on the newest interpreter, and return pytest's closing lines."""
    closing = []
    for name in filter(lambda name: folders((name,)), names):
        environment = with_clients.result() if name in ("integration", "catalogue") else newest
        closing.append(pytest_run(environment, steps, name, [*folders((name,)), *AGAIN], live=False))
    return "\n\n".join(closing)


def whole(environments: list[Environment], integration: Callable[[], Environment], steps: Steps) -> list[str]:
    """Run everything and return pytest's closing lines; `integration` sets that environment up."""
    newest = environments[0]
    with ThreadPoolExecutor(2) as pool:
        try:
            fuzzed, with_clients = pool.submit(fuzzing, newest, steps), pool.submit(integration)
            jobs: list[Callable[[], str]] = [partial(checks, newest, steps), *on_each(environments, steps, [])]
            jobs += [partial(row, names, newest, with_clients, steps) for names in ROWS]
            closing = side_by_side(jobs)
            fuzzed.result()
        except BaseException:  # leaving the pool waits for what it started
            end_all()
            raise
    return closing
