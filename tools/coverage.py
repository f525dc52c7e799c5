"""Which lines of src/core and src/python the tests run: `python -m tools.coverage [--missing]`.

The extension is built without optimisation and counts what it runs; so are the C tests of src/core. gcov's counts
of both are put together. Below 95 % of the lines of either folder this fails; `--missing` lists those that never ran.
What a process counted is lost where it ends by a signal. tests/lab and tests/kernel are run as well where they can be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tools import core_tests, sanitize
from tools.project import ROOT, STATE, Problem
from tools.steps import Steps, logged, side_by_side, tail
from tools.suite import folders

ENOUGH = 0.95
FOLDERS = ("src/core", "src/python")
COUNTING = "-O0 -fno-inline --coverage -fprofile-update=atomic"
# The build's own flags come first and optimise: these come last.
COMPILER = '#!/bin/sh\nexec {compiler} "$@" {flags}\n'
LIMIT = 3600.0
# Forked children end by `os._exit`, which loses what they counted: they write it first.
DUMP = "src/python/coverage_dump.c"
DUMP_IN_C = """#undef _exit
#include <unistd.h>

void __gcov_dump(void);
__attribute__((visibility("default"))) void eg_coverage_dump(void);
void eg_coverage_dump(void) { __gcov_dump(); }

__attribute__((noreturn)) void eg_counted_exit(int status);
void eg_counted_exit(int status)
{
    __gcov_dump();
    _exit(status);
}
"""
LEAVING = "-D_exit=eg_counted_exit"
DUMP_IN_PYTHON = """import os, sys

def _exit(status, exit=os._exit):
    module = sys.modules.get("egressguard._egressguard")
    if module is not None:
        import ctypes
        ctypes.CDLL(module.__file__).eg_coverage_dump()
    exit(status)

os._exit = _exit
"""


def counting_compiler() -> Path:
    """Return a compiler that makes programs count."""
    path = sanitize.HOME / "counting-cc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(COMPILER.format(compiler=core_tests.compiler(), flags=COUNTING))
    path.chmod(0o755)
    return path


def run_python(steps: Steps) -> Path:
    """Run the Python tests with an extension that counts; return the tree that it was built in."""
    compiler = counting_compiler()
    build = {"CC": str(compiler), "LDSHARED": f"{compiler} -shared", "CFLAGS": LEAVING}
    python, tree = sanitize.environment("coverage", build, {DUMP: DUMP_IN_C})
    [site] = (sanitize.HOME / "coverage").glob("lib/python3.*/site-packages")
    (site / "coverage_dump.py").write_text(DUMP_IN_PYTHON)
    (site / "coverage_dump.pth").write_text("import coverage_dump\n")
    # Nothing is tried again: with counters threads meet in another order, and what fails here alone was a race so far.
    for group in (sanitize.FOLDERS, *((("kernel",), ("lab",)) if os.geteuid() == 0 else ())):
        started = time.monotonic()
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=600", sanitize.SHIPPED, *folders(group)]
        code, output = logged(f"coverage-{group[-1]}", command, limit=LIMIT)
        steps.say(tail(output))
        note = "" if code == 0 else f"exit {code}"
        steps.note(f"with counters: {', '.join(group)}", code == 0, time.monotonic() - started, note)
    return tree


def run_core(steps: Steps) -> Path:
    """Run the C tests with counters; return the folder that their objects are in."""
    core_tests.MODES["counting"] = COUNTING.split()
    (STATE / "core").mkdir(parents=True, exist_ok=True)
    for old in (STATE / "core").glob("*-counting-*"):
        old.unlink()
    included = core_tests.headers()
    sources = sorted((ROOT / "src/core").glob("*.c"))
    core = side_by_side([partial(core_tests.compile_object, source, "counting", included) for source in sources])
    tests = sorted((ROOT / "tests/core").glob("test_*.c"))
    side_by_side([partial(core_tests.run_test, steps, test, core, "counting") for test in tests])
    return STATE / "core"


def counted(folder: Path, started_in: Path) -> Iterator[dict[str, Any]]:
    """Yield what gcov says about each source file of the objects in a folder."""
    for data in sorted(folder.rglob("*.gcda")):
        command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", str(data)]
        answer = subprocess.run(command, capture_output=True, text=True, cwd=started_in, check=False)
        for line in answer.stdout.splitlines():
            yield from json.loads(line)["files"]


class Counts:
    """How often lines and branches ran, over all builds."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.branches: dict[str, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))

    def add(self, file: dict[str, Any]) -> None:
        """Add what gcov says about one file of one object."""
        name = next((file["file"][file["file"].index(part) :] for part in FOLDERS if part in file["file"]), None)
        if name is None or name == DUMP:
            return
        for line in file["lines"]:
            self.lines[name][line["line_number"]] += line["count"]
            for number, branch in enumerate(line["branches"]):
                self.branches[name][line["line_number"], number] += branch["count"]

    def missing(self, name: str) -> list[int]:
        """Return the lines of a file that never ran."""
        return sorted(number for number, count in self.lines[name].items() if count == 0)

    def share(self, prefix: str) -> tuple[float, float]:
        """Return which part of the lines and of the branches ran, of one file or one folder."""
        lines = [count > 0 for name, own in self.lines.items() if name.startswith(prefix) for count in own.values()]
        ways = [count > 0 for name, own in self.branches.items() if name.startswith(prefix) for count in own.values()]
        return sum(lines) / max(1, len(lines)), sum(ways) / max(1, len(ways))


def ranges(numbers: list[int]) -> str:
    """Return line numbers as people write them: 3-5, 9."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def table(counts: Counts, show_missing: bool) -> str:
    """Return the shares as lines."""
    told = ["", " lines  branches"]
    for name in [*sorted(counts.lines), *FOLDERS]:
        lines, branches = counts.share(name)
        missing = f"  {ranges(counts.missing(name))}" if show_missing and name in counts.lines else ""
        told.append(f"{lines:6.1%}  {branches:6.1%}  {name}{missing}")
    return "\n".join(told)


def enough(counts: Counts, folder: str) -> str:
    """Return what is wrong with the coverage of a folder."""
    lines, _ = counts.share(f"{folder}/")
    return "" if lines >= ENOUGH else f"{lines:.1%} of the lines of {folder} ran, fewer than {ENOUGH:.0%}"


def main(arguments: list[str]) -> int:
    """Count and judge."""
    parser = argparse.ArgumentParser(prog="python -m tools.coverage", description=__doc__)
    parser.add_argument("--missing", action="store_true", help="list the lines that never ran")
    wanted = parser.parse_args(arguments)
    steps, counts = Steps(), Counts()
    try:
        tree = run_python(steps)
        objects = run_core(steps)
    except Problem as problem:
        print(f"coverage: {problem}", file=sys.stderr)
        return 1
    for folder, started_in in ((tree, tree), (objects, ROOT)):
        for told in counted(folder, started_in):
            counts.add(told)
    print(table(counts, wanted.missing), flush=True)
    for name in FOLDERS:
        steps.check(f"coverage of {name}", partial(enough, counts, name))
    print(steps.table())
    return 0 if steps.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
