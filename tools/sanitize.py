"""Run the tests where mistakes in C cannot hide: `./dev sanitize [python | debug | threads | leaks ...]`.

* python: tests/unit, tests/adversarial and tests/strength with an extension built with ASan and UBSan
* debug: the same tests and the extension as it ships, with the debug hooks of CPython's allocators
* leaks: the C tests of src/core with ASan, UBSan and LeakSanitizer
* threads: those of them that start threads, with ThreadSanitizer

The Python parts run in virtual environments of their own, whose `python` is a script that sets what must be set: tests
start children, and these are sanitized as well. A report of a child fails the run, whoever swallowed its exit status.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools import core_tests
from tools.project import REPORTS, ROOT, STATE, Problem, copy_of_tree, environment_variables
from tools.steps import Steps, logged, side_by_side, tail
from tools.suite import EVERYWHERE, folders

HOME = STATE / "sanitize"
LIMIT = 3600.0
FOLDERS = (*EVERYWHERE, "strength")
SHIPPED = "--deselect=tests/unit/test_packaging.py"  # asks how the extension was built
# Not for ASan: its malloc keeps what is freed, and the launcher is another program than the interpreter.
NOT_SANITIZED = (
    "tests/unit/test_refcounts.py::test_twenty_thousand_refusals_leave_no_memory",
    "tests/unit/test_selfcheck.py::test_the_kernel_sees_no_socket_either",
    "tests/unit/test_tools_posture.py::test_a_program_that_was_started_is_told",
    "tests/unit/test_unix.py::test_a_child_that_runs_another_program_is_foreign",
)
LAUNCHER = '#!/bin/bash\n{settings} exec -a "$0" {python} "$@"\n'
# What a child of a child would inherit without being a Python: the wrapper sets it again where it is wanted.
FORGET = 'import os; os.environ.pop("LD_PRELOAD", None)\n'
# A crash in the guard must not read as a test's own exit status, and an allocation that fails is what some tests want.
ASAN = "detect_leaks=0:exitcode=86:allocator_may_return_null=1:handle_segv=1:log_path={reports}/asan"
UBSAN = "print_stacktrace=1:log_path={reports}/ubsan"
MODES = {"python": "address,undefined", "debug": ""}


def runtime() -> str:
    """Return the path of the compiler's ASan runtime, which must be loaded before everything else."""
    compiler = core_tests.compiler()
    found = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    path = os.path.realpath(found.stdout.strip())
    if not os.path.isabs(path) or not os.path.exists(path):
        raise Problem(f"{compiler} has no libasan.so")
    return path


def settings(mode: str, reports: Path) -> dict[str, str]:
    """Return the environment that the launcher of a mode sets."""
    if mode == "debug":
        return {"PYTHONMALLOC": "debug"}
    return {
        "LD_PRELOAD": runtime(),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": ASAN.format(reports=reports),
        "UBSAN_OPTIONS": UBSAN.format(reports=reports),
    }


def environment(
    mode: str, wanted: dict[str, str], build: dict[str, str], more: dict[str, str] | None = None
) -> tuple[Path, Path]:
    """Make a virtual environment with its own build of the extension; return its python and the tree it was built in.

    `wanted` is what the python sets for itself and its children, `build` what the build finds in its environment, and
    `more` are files that are built as well.
    """
    home = HOME / mode
    shutil.rmtree(home, ignore_errors=True)
    must(f"sanitize-{mode}-venv", sys.executable, "-m", "venv", "--without-pip", home)
    [site] = home.glob("lib/python3.*/site-packages")
    ours = [path for path in map(Path, sys.path) if path.name == "site-packages"]
    (site / "packages.pth").write_text("".join(f"{path}\n" for path in ours))
    (site / "forget.pth").write_text(FORGET)
    tree = copy_of_tree(STATE / "build" / f"sanitize-{mode}")
    for name, text in (more or {}).items():
        (tree / name).write_text(text)
    python = home / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps", "--no-index"]
    isolated = ["--no-build-isolation", "--no-cache-dir", "--ignore-installed"]
    must(f"sanitize-{mode}-build", *pip, *isolated, tree, **build)
    if wanted:
        launch(home / "bin", wanted)
    return python, tree


def launch(folder: Path, wanted: dict[str, str]) -> None:
    """Replace the links to the interpreter by scripts that set the variables first."""
    real = os.path.realpath(folder / "python")
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in wanted.items())
    for link in folder.glob("python*"):
        link.unlink()
        link.write_text(LAUNCHER.format(settings=words, python=shlex.quote(real)))
        link.chmod(0o755)


def must(name: str, *command: object, **changes: str) -> None:
    """Run a step of the set-up."""
    code, output = logged(name, command, variables={**environment_variables(), **changes})
    if code:
        raise Problem(f"{tail(output)}\n{name} failed")


def pytest_part(steps: Steps, mode: str) -> None:
    """Run pytest in one mode, and look for reports."""
    started = time.monotonic()
    reports = HOME / f"reports-{mode}"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    try:
        build = {"EGRESSGUARD_SANITIZE": MODES[mode]} if MODES[mode] else {}
        python, tree = environment(mode, settings(mode, reports), build)
        shutil.rmtree(tree)
    except Problem as problem:
        steps.check(f"sanitize {mode}", partial(str, problem))
        return
    REPORTS.mkdir(parents=True, exist_ok=True)
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=900", f"--junitxml={REPORTS}/{mode}.xml"]
    left_out = [SHIPPED, *(f"--deselect={one}" for one in NOT_SANITIZED if MODES[mode])]
    code, output = logged(f"sanitize-{mode}", [*command, *left_out, *folders(FOLDERS)], limit=LIMIT)
    steps.say(f"\n--- sanitize {mode}\n{tail(output)}\n")
    steps.note(f"sanitize {mode}: pytest", code == 0, time.monotonic() - started, "" if code == 0 else f"exit {code}")
    steps.check(f"sanitize {mode}: no report", partial(reports_in, reports))


def reports_in(folder: Path) -> str:
    """Return what the sanitizers reported, the last line a summary, or an empty string."""
    found = sorted(folder.iterdir())
    if not found:
        return ""
    return found[0].read_text(errors="replace")[:8000] + f"\n{len(found)} reports in {folder}"


def core_part(steps: Steps, mode: str, only_threads: bool) -> None:
    """Build and run the C tests in a mode of `tools.core_tests`."""
    tests = sorted((ROOT / "tests/core").glob("test_*.c"))
    if only_threads:
        tests = [test for test in tests if "pthread_create" in test.read_text()]
    sources = sorted((ROOT / "src/core").glob("*.c"))
    (STATE / "core").mkdir(parents=True, exist_ok=True)
    included = core_tests.headers()
    core = side_by_side([partial(core_tests.compile_object, source, mode, included) for source in sources])
    side_by_side([partial(core_tests.run_test, steps, test, core, mode) for test in tests])


def leaks(steps: Steps) -> None:
    """Run the C tests with LeakSanitizer, which must be able to work here."""
    core_tests.SANITIZER["ASAN_OPTIONS"] += ":detect_leaks=1"
    core_part(steps, "sanitized", only_threads=False)


def threads(steps: Steps) -> None:
    """Run the C tests that start threads with ThreadSanitizer."""
    core_tests.MODES["threads"] = ["-O1", "-fno-omit-frame-pointer", "-fsanitize=thread"]
    core_tests.SANITIZER["TSAN_OPTIONS"] = "halt_on_error=1:second_deadlock_stack=1:die_after_fork=0"
    core_part(steps, "threads", only_threads=True)


PARTS: dict[str, Callable[[Steps], None]] = {
    "leaks": leaks,
    "threads": threads,
    "python": partial(pytest_part, mode="python"),
    "debug": partial(pytest_part, mode="debug"),
}


def main(arguments: list[str]) -> int:
    """Run the parts, all of them where none is named."""
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        print(f"./dev sanitize: {unknown[0]} is none of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    steps = Steps()
    for name in arguments or PARTS:
        try:
            PARTS[name](steps)
        except Problem as problem:
            steps.check(name, partial(str, problem))
    print(steps.table())
    return 0 if steps.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
