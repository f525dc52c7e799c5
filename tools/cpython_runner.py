"""Run one file of CPython's own tests in this process, with the guard or without, and record what came of each test.

`tools.cpython_tests` starts it as a script, in a network namespace, with a job file. Both runs are made in the same
way but for `install()`: the same wrappers around threads and forks, which open loopback where the guard is there. This
is the one user of the test capability beside conftest.py (ADR-0006).
"""

from __future__ import annotations

import contextlib
import faulthandler
import fnmatch
import json
import logging
import os
import sys
import time
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

# From best to worst: a test with subtests is what the worst of them is.
WORDS = ("passed", "expected failure", "skipped", "unexpected success", "failed", "error")
TEXT_MAX = 6000
# What was refused may leave the other side waiting for ever: a test that then hangs is not waited for as long.
REFUSED_SECONDS = 3

SetFlag = Callable[[bool], object]


def guarded() -> SetFlag:
    """Install the guard and return what opens loopback: taken first, as a project's conftest.py does."""
    import egressguard
    from egressguard._egressguard import _set_test_loopback  # type: ignore[attr-defined]  # gone once installed

    egressguard.install()
    logging.getLogger("egressguard").addHandler(Hurry())
    return _set_test_loopback  # type: ignore[no-any-return]


def unguarded() -> SetFlag:
    """Return what does nothing."""
    return bool


def open_everywhere(set_flag: SetFlag) -> None:
    """Set the flag in this thread, and in each thread and forked child from now on as the first thing that it does."""
    import _thread
    import threading

    start_new_thread, bootstrap = _thread.start_new_thread, threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

    def with_flag(function: Callable[..., object], *arguments: Any, **keywords: Any) -> object:
        set_flag(True)
        return function(*arguments, **keywords)

    def start(function: Any, *arguments: Any) -> int:
        if not callable(function) or not arguments or not isinstance(arguments[0], tuple):
            return start_new_thread(function, *arguments)  # raises
        return start_new_thread(with_flag, (function, *arguments[0]), *arguments[1:])

    def inner(self: threading.Thread) -> None:
        set_flag(True)
        bootstrap(self)

    _thread.start_new_thread = _thread.start_new = start
    threading.Thread._bootstrap_inner = inner  # type: ignore[attr-defined]
    os.register_at_fork(after_in_child=lambda: set_flag(True))
    set_flag(True)


class Hurry(logging.Handler):
    """Shortens the time limit of the running test at a refusal, which the guard logs."""

    owner = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Set the new limit; a forked child has none."""
        if os.getpid() == self.owner:
            faulthandler.dump_traceback_later(REFUSED_SECONDS, exit=True)


class Recorder(unittest.TestResult):
    """Write a line when a test starts and one when it has ended, so that a crash costs no other test."""

    def __init__(self, results: Path, seconds: float) -> None:
        super().__init__()
        self.file = results.open("a", encoding="utf-8", buffering=1)
        self.seconds = seconds
        self.owner = os.getpid()
        self.running = False
        self.word, self.texts = 0, []  # type: int, list[str]
        self.refused = 0
        self.started = 0.0

    def write(self, test: unittest.TestCase, **content: object) -> None:
        """Append a line; a forked child that comes back here writes nothing."""
        if os.getpid() == self.owner:
            self.file.write(json.dumps({"test": test.id(), **content}) + "\n")

    def startTest(self, test: unittest.TestCase) -> None:
        """Begin, with a time limit that ends the process and shows where every thread was."""
        super().startTest(test)
        self.write(test, event="start")
        self.running, self.started = True, time.monotonic()
        faulthandler.dump_traceback_later(self.seconds, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        """Record what came of it."""
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        if self.running:
            self.running = False
            self.record(test)

    def record(self, test: unittest.TestCase) -> None:
        """Write the outcome, and what the guard refused meanwhile."""
        text = "\n".join(self.texts)[-TEXT_MAX:]
        outcome = {"word": WORDS[self.word], "text": text, "seconds": round(time.monotonic() - self.started, 3)}
        self.write(test, event="end", outcome={**outcome, "refused": self.refusals()})
        self.word, self.texts = 0, []

    def refusals(self) -> list[str]:
        """Return the violations since the last call."""
        guard = sys.modules.get("egressguard")
        if guard is None:
            return []
        since, self.refused = self.refused, guard.violation_count()
        return [str(one) for one in guard.violations(since)] if self.refused > since else []

    def note(self, test: Any, word: str, text: str = "") -> None:
        """Keep the worst outcome of the running test.

        A class's set-up fails outside any test, and 3.12.1 does not start what a decorator skips: recorded at once.
        """
        self.word = max(self.word, WORDS.index(word))
        self.texts += [text] if text else []
        if not self.running:
            self.record(test)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        """Note an error."""
        self.note(test, "error", self._exc_info_to_string(err, test))  # type: ignore[attr-defined]

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        """Note a failure."""
        self.note(test, "failed", self._exc_info_to_string(err, test))  # type: ignore[attr-defined]

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        """Note what a subtest did."""
        if err is not None:
            word = "failed" if issubclass(err[0], test.failureException) else "error"
            self.note(test, word, f"{subtest}\n{self._exc_info_to_string(err, test)}")  # type: ignore[attr-defined]

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        """Note a skip."""
        self.note(test, "skipped", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        """Note a failure that was expected."""
        self.note(test, "expected failure")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        """Note a success that was not expected."""
        self.note(test, "unexpected success")


def flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """Yield the tests of a suite in its order; unittest still sets classes and modules up."""
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from flat(one)
        else:
            yield one


def wanted(test: str, job: dict[str, Any]) -> bool:
    """Whether the job asks for a test: by name where it gives names, and not one that is done."""
    if test in job["done"] or (job["tests"] and test not in job["tests"]):
        return False
    return not job["match"] or any(fnmatch.fnmatchcase(test, f"*{pattern}*") for pattern in job["match"])


def main() -> int:
    """Run the job of the file that the command line names; 0 where every test was run, whatever came of it."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.argv[1:] = []  # some tests read it
    faulthandler.enable()
    open_everywhere(guarded() if job["guard"] else unguarded())
    import test.support  # type: ignore[import-not-found]

    test.support.use_resources = job["resources"]
    recorder = Recorder(Path(job["results"]), job["seconds"])
    with contextlib.redirect_stdout(sys.stderr):
        loaded = unittest.defaultTestLoader.loadTestsFromName(job["module"])
        unittest.TestSuite(one for one in flat(loaded) if wanted(one.id(), job)).run(recorder)
    faulthandler.cancel_dump_traceback_later()
    return 0


if __name__ == "__main__":
    sys.exit(main())
