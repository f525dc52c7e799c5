"""Run CPython's own tests of its network modules without the guard and with it, and compare test by test.

    ./dev cpython-tests [--python 3.12] [--only test_socket] [--match PATTERN]

Each file runs in a process of its own, on a machine of its own (`tools.cpython_network`). What differs is run again,
both ways, up to twice; what still differs and is not in `tools/cpython_accepted.txt` makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools import commands, system
from tools.cpython_compare import ACCEPTED, Accepted, FileReport, Outcome, Outcomes, differing, read_accepted, stale
from tools.cpython_network import find_way, inside, write_etc
from tools.environments import Environment
from tools.interpreters import ask
from tools.project import REPORTS, ROOT, Problem, environment_variables
from tools.steps import logged, tail

RUNNER = ROOT / "tools" / "cpython_runner.py"
MODULES = (
    "test_socket",
    "test_ssl",
    "test_asyncio.test_sock_lowlevel",
    "test_asyncio.test_events",
    "test_asyncio.test_streams",
    "test_asyncio.test_server",
    "test_httpservers",
    "test_urllib2_localnet",
    "test_ftplib",
    "test_smtplib",
    "test_poplib",
    "test_imaplib",
    "test_socketserver",
)
# What of test.support's resources needs neither the internet, nor a screen, nor hours. `network` stands for the
# internet, but test_socketserver wants it for loopback.
RESOURCES = ("cpu", "subprocess", "walltime")
LOCAL_NETWORK = ("test_socketserver",)
TEST_SECONDS = 60  # until a test that hangs is ended, and its process with it
FILE_SECONDS = 1800
PROCESSES = 200  # how often a file is taken up again after a test that ended its process
AGAIN = 2


class Laboratory:
    """Where the runs of one interpreter happen."""

    def __init__(self, environment: Environment, folder: Path, match: list[str]) -> None:
        self.environment = environment
        self.match = match
        self.label = environment.interpreter.label
        self.version = ".".join(map(str, environment.interpreter.minor))
        self.folder = folder
        self.etc = folder / "etc"
        self.etc.mkdir()
        write_etc(self.etc)
        self.way = find_way(self.etc)

    def process(self, job: dict[str, object], name: str) -> tuple[int, str]:
        """Run one job in a process; return its exit status and what it printed."""
        file = self.folder / "job.json"
        file.write_text(json.dumps(job))
        command = [self.environment.python, "-P", RUNNER, file]
        with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as work:
            variables = {**environment_variables(), "TMPDIR": work, "LC_ALL": "C.UTF-8", "TERM": "dumb"}
            whole = inside(self.way, self.etc, *command)
            return logged(name, whole, cwd=work, limit=FILE_SECONDS, variables=variables)

    def modules(self, wanted: Sequence[str]) -> list[str]:
        """Return which of the files this interpreter ships."""
        find = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
        found = []
        for module in wanted:
            command = [self.environment.python, "-P", "-c", find, f"test.{module}"]
            if logged(f"cpython-find-{self.label}", command)[0] == 0:
                found.append(module)
        return found

    def run(self, module: str, guard: bool, tests: Sequence[str] = ()) -> Outcomes:
        """Run one file, or some tests of it; after a test that ends the process, go on with the next one."""
        results = self.folder / "results.jsonl"
        results.unlink(missing_ok=True)
        outcomes: Outcomes = {}
        for _ in range(PROCESSES):
            job = {
                "module": f"test.{module}",
                "guard": guard,
                "results": str(results),
                "resources": [*RESOURCES, *(["network"] if module in LOCAL_NETWORK else [])],
                "seconds": TEST_SECONDS,
                "tests": list(tests),
                "match": self.match,
                "done": list(outcomes),
            }
            name = f"cpython-{self.label}-{module}-{'guarded' if guard else 'unguarded'}{'-again' if tests else ''}"
            code, output = self.process(job, name)
            unfinished = read_results(results, outcomes)
            if code == 0:
                return outcomes
            for test in unfinished or [f"test.{module}"]:
                outcomes[test] = Outcome("did not end", f"exit status {code}\n{tail(output)}")
            if not unfinished:
                return outcomes
        raise Problem(f"{module} on {self.label} ended its process {PROCESSES} times")


def read_results(path: Path, outcomes: Outcomes) -> list[str]:
    """Add what a runner recorded; return the test that it did not get to the end of."""
    begun: dict[str, None] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        record = json.loads(line)
        begun[record["test"]] = None
        if record["event"] == "end":
            outcomes[record["test"]] = Outcome(**record["outcome"])
    return [test for test in begun if test not in outcomes]


def compare(laboratory: Laboratory, module: str, lines: list[Accepted]) -> FileReport:
    """Run one file both ways; what differs unexpectedly is run again until it does not or the times are up."""
    report = FileReport(laboratory.version, module)
    report.unguarded, report.guarded = laboratory.run(module, False), laboratory.run(module, True)
    left = report.judge(lines)
    for _ in range(AGAIN):
        if left:
            # A class's set-up has no name to run it by: then it is the whole file again.
            names = [] if any(" " in test or test == f"test.{module}" for test in left) else left
            pair = laboratory.run(module, False, names), laboratory.run(module, True, names)
            again = differing(*pair)
            report.flaky += [test for test in left if test not in again]
            left = [test for test in left if test in again]
    report.different = left
    return report


def show(report: FileReport, seconds: float) -> None:
    """Print the line of a file, and what differs."""
    counts = {
        "pass": report.count("passed"),
        "skipped": report.count("skipped"),
        "fail": report.count("not passed"),
        "accepted": len(report.accepted),
        "flaky": len(report.flaky),
        "DIFFERENT": len(report.different),
    }
    said = ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "no test"
    print(f"{report.module:34} {said}  ({seconds:.0f} s)", flush=True)
    for word, tests in (("different", report.different), ("flaky", report.flaky)):
        for test in tests:
            print(f"  {word}:\n{report.said(test)}", flush=True)


def save(label: str, reports: list[FileReport]) -> Path:
    """Write everything that was found, for who looks into a difference."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    path = REPORTS / f"cpython-{label}.json"
    files = {
        report.module: {
            "different": report.different,
            "accepted": report.accepted,
            "flaky": report.flaky,
            "refused in passing": {test: report.guarded[test].refused for test in report.in_passing},
            "tests": {
                test: {"unguarded": vars(one), "guarded": vars(report.guarded.get(test, Outcome("was not run")))}
                for test, one in report.unguarded.items()
            },
        }
        for report in reports
    }
    path.write_text(json.dumps(files, indent=1))
    return path


def interpreter(environment: Environment, options: argparse.Namespace, lines: list[Accepted]) -> list[FileReport]:
    """Run everything that was asked for on one interpreter."""
    reports = []
    with tempfile.TemporaryDirectory(prefix="egressguard-cpython-", ignore_cleanup_errors=True) as folder:
        laboratory = Laboratory(environment, Path(folder), options.match)
        modules = laboratory.modules(options.only or MODULES)
        if not modules:
            print(f"\nleft out: CPython {laboratory.label} comes without its tests", flush=True)
            return []
        print(f"\nCPython {laboratory.label}\n", flush=True)
        for module in modules:
            started = time.monotonic()
            reports.append(compare(laboratory, module, lines))
            show(reports[-1], time.monotonic() - started)
    print(f"\nin full: {save(laboratory.label, reports).relative_to(ROOT)}", flush=True)
    return reports


class Here(Environment):
    """The environment that this process runs in, as it is."""

    def __init__(self) -> None:
        found = ask(Path(sys.executable))
        if found is None:
            raise Problem(f"egressguard does not support {sys.executable}")
        super().__init__(found)
        self.python = Path(sys.executable)


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 where nothing differs that is not in the list of accepted differences."""
    parser = argparse.ArgumentParser(prog="./dev cpython-tests", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", action="append", default=[], metavar="VERSION", help="repeatable; else all here")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=f"a file: {', '.join(MODULES)}")
    parser.add_argument("--match", action="append", default=[], metavar="PATTERN", help="tests with this in their name")
    parser.add_argument("--here", action="store_true", help="in this very environment: nothing is set up or built")
    parser.add_argument("--accepted", type=Path, default=ACCEPTED, metavar="FILE", help="another list of differences")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.only) - set(MODULES)):
        parser.error(f"no file {', '.join(unknown)}")
    lines = read_accepted(options.accepted)
    needs = (*system.BUILD, "ip", "unshare")
    environments = [Here()] if options.here else commands.ready("test", ("test",), needs, options.python)
    reports = [report for one in environments for report in interpreter(one, options, lines)]
    different = sum(len(report.different) for report in reports)
    old = [] if options.match else sorted(set(stale(reports, lines)))
    for line in old:
        print(f"{options.accepted.name}: passes both ways, take it out: {line}")
    passed = sum(report.count("passed") for report in reports)
    accepted = sum(len(report.accepted) for report in reports)
    print(f"{passed} tests pass both ways; {different} different, {accepted} accepted differences")
    return 0 if passed and not different and not old else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        sys.exit(f"./dev cpython-tests: {problem}")
