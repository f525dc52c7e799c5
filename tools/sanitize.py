"""Run the tests where mistakes in C cannot hide: `./dev sanitize [leaks | threads | python | debug | kernel ...]`.

* python: tests/unit, tests/adversarial and tests/strength with an extension built with ASan and UBSan
* debug: the same tests and the extension as it ships, with the debug hooks of CPython's allocators
* kernel: tests/kernel as in `python`: the supervisor, as a thread and as a parent, is sanitized as well (root)
* leaks: the C tests of src/core with ASan, UBSan and LeakSanitizer
* threads: those of them that start threads, with ThreadSanitizer

The Python parts run in virtual environments of their own, whose `python` is a program that was built for it: tests start
children, and these are sanitized as well, with whatever environment. A script that sets variables would not do: while the
shell runs it, it is another program than the interpreter, and the guard says so. A report of a child fails the run,
whoever swallowed its exit status.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tools import core_tests
from tools.project import REPORTS, ROOT, STATE, Problem, copy_of_tree, environment_variables
from tools.steps import Steps, logged, side_by_side, tail
from tools.suite import AGAIN, EVERYWHERE, folders

HOME = STATE / "sanitize"
LIMIT = 3600.0
FOLDERS = (*EVERYWHERE, "strength")
SHIPPED = "--deselect=tests/unit/test_packaging.py"  # asks how the extension was built
# Not for ASan: its malloc keeps what is freed, and its shadow is terabytes of the memory that the last one searches.
NOT_SANITIZED = (
    "tests/unit/test_refcounts.py::test_twenty_thousand_refusals_leave_no_memory",
    "tests/kernel/test_run_parent.py::test_the_parent_does_not_grow_with_the_endpoints",
    "tests/kernel/test_within_reach.py::test_a_forked_child_has_no_copy_of_the_filter",
)
PROGRAM = """#include <Python.h>
#include <stdlib.h>

const char *__asan_default_options(void);
const char *__asan_default_options(void) { return ASAN; }
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) { return UBSAN; }

int main(int count, char **words)
{
    setenv("PYTHONMALLOC", ALLOCATOR, 1);
    return Py_BytesMain(count, words);
}
"""
# A crash in the guard must not read as a test's own exit status, and an allocation that fails is what some tests want.
# At finalization CPython ends its threads by pthread_exit(), past the frames of the extension: what these had marked on
# the stack stays marked, and ASan's own last call there (sigaltstack) would be reported.
ASAN = "detect_leaks=0:exitcode=86:allocator_may_return_null=1:handle_segv=1:use_sigaltstack=0:log_path={reports}/asan"
UBSAN = "print_stacktrace=1:log_path={reports}/ubsan"


class Mode(NamedTuple):
    """How the extension and the interpreter's program are built, and what they run."""

    sanitizers: str
    allocator: str
    folders: tuple[str, ...]


MODES = {
    "python": Mode("address,undefined", "malloc", FOLDERS),
    "debug": Mode("", "debug", FOLDERS),
    "kernel": Mode("address,undefined", "malloc", ("kernel",)),
}


def environment(name: str, build: dict[str, str], more: dict[str, str] | None = None) -> tuple[Path, Path]:
    """Make a virtual environment with its own build of the extension; return its python and the tree it was built in.

    `build` is what the build finds in its environment, and `more` are files that are built as well.
    """
    home = HOME / name
    shutil.rmtree(home, ignore_errors=True)
    must(f"sanitize-{name}-venv", sys.executable, "-m", "venv", "--without-pip", home)
    [site] = home.glob("lib/python3.*/site-packages")
    ours = [path for path in map(Path, sys.path) if path.name == "site-packages"]
    (site / "packages.pth").write_text("".join(f"{path}\n" for path in ours))
    tree = copy_of_tree(STATE / "build" / f"sanitize-{name}")
    for path, text in (more or {}).items():
        (tree / path).write_text(text)
    python = home / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps", "--no-index"]
    isolated = ["--no-build-isolation", "--no-cache-dir", "--ignore-installed"]
    must(f"sanitize-{name}-build", *pip, *isolated, tree, **build)
    return python, tree


def interpreter(python: Path, mode: Mode, reports: Path) -> None:
    """Put a program in place of the link to the interpreter: the same, with a sanitizer and an allocator."""
    source = python.with_suffix(".c")
    source.write_text(PROGRAM)
    told = {"ASAN": ASAN.format(reports=reports), "UBSAN": UBSAN.format(reports=reports), "ALLOCATOR": mode.allocator}
    defined = [f'-D{name}="{value}"' for name, value in told.items()]
    sanitizers = [f"-fsanitize={mode.sanitizers}"] if mode.sanitizers else []
    settings = sysconfig.get_config_vars()
    library = settings["LIBDIR"]
    # As `python3-config --embed --ldflags`: the library may be a shared or a static one.
    link = [f"-L{library}", f"-L{settings['LIBPL']}", f"-Wl,-rpath,{library}", f"-lpython{settings['LDVERSION']}"]
    link += " ".join(settings[name] for name in ("LIBS", "SYSLIBS", "LINKFORSHARED")).split()
    include = f"-I{sysconfig.get_path('include')}"
    for name in python.parent.glob("python3*"):
        name.unlink()
        name.symlink_to(python.name)
    python.unlink()
    must("sanitize-program", core_tests.compiler(), "-g", *sanitizers, *defined, include, source, "-o", python, *link)


def must(name: str, *command: object, **changes: str) -> None:
    """Run a step of the set-up."""
    code, output = logged(name, command, variables={**environment_variables(), **changes})
    if code:
        raise Problem(f"{tail(output)}\n{name} failed")


def pytest_part(steps: Steps, name: str) -> None:
    """Run pytest in one mode, and look for reports."""
    mode = MODES[name]
    if mode.folders == ("kernel",) and os.geteuid() != 0:
        steps.note(f"sanitize {name}", True, note="left out: its network namespaces need root")
        return
    started = time.monotonic()
    reports = HOME / f"reports-{name}"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    try:
        python, tree = environment(name, {"EGRESSGUARD_SANITIZE": mode.sanitizers} if mode.sanitizers else {})
        shutil.rmtree(tree)
        interpreter(python, mode, reports)
    except Problem as problem:
        steps.check(f"sanitize {name}", partial(str, problem))
        return
    REPORTS.mkdir(parents=True, exist_ok=True)
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=900", f"--junitxml={REPORTS}/{name}.xml"]
    left_out = [SHIPPED, *(f"--deselect={one}" for one in NOT_SANITIZED if mode.sanitizers)]
    again = AGAIN if mode.folders == ("kernel",) else ()
    variables = environment_variables()
    if mode.sanitizers:
        variables["ASAN_OPTIONS"] = ""  # the program has them; by this name tests ask whether there is a sanitizer
    words = [*command, *again, *left_out, *folders(mode.folders)]
    code, output = logged(f"sanitize-{name}", words, variables=variables, limit=LIMIT)
    steps.say(f"\n--- sanitize {name}\n{tail(output)}\n")
    steps.note(f"sanitize {name}: pytest", code == 0, time.monotonic() - started, "" if code == 0 else f"exit {code}")
    steps.check(f"sanitize {name}: no report", partial(reports_in, reports))


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
    **{name: partial(pytest_part, name=name) for name in MODES},
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
