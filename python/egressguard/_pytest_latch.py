"""The hooks of the pytest plugin, for pytest 8 and later. One `Latch` for each process of a run."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from egressguard import _report
from egressguard._expected import Expectation, Found, Watch
from egressguard._raises import Listening

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

ADVICE = (
    'Expected? Then say so: @pytest.mark.egress_expected("{host}"), `with egress_expected("{host}"):`, or '
    "pytest.raises(egressguard.EgressViolation). See docs/testing.md."
)
ATTRIBUTE = "egress_violations"  # of a report: how a worker of pytest-xdist tells its controller


class Taken(list[str]):
    """Unexpected violations as lines; ``host`` is that of the first."""

    host = "..."

    def text(self, when: str) -> str:
        """Return what a person reads where they fail something."""
        count = "an attempt was" if len(self) == 1 else f"{len(self)} attempts were"
        head = f"egressguard: {count} refused that this test did not expect ({when}):"
        return "\n".join([head, *(f"  {line}" for line in self), ADVICE.format(host=self.host)])


class Latch:
    """Fails what dialled without expecting to be refused."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.listening = Listening(watch.caught)
        self.listening.listen()
        self.pending = Found()  # of the phase that runs
        self.noted: dict[str, Taken] = {}  # by phase, until its report is made
        self.outside: list[str] = []  # between tests, before collection, at the end
        self.failed: list[tuple[str, str]] = []  # where, and what: for the summary
        self.observed: Counter[str] = Counter()

    def pytest_unconfigure(self) -> None:
        """Put pytest back as it was."""
        self.listening.stop()

    @contextlib.contextmanager
    def expecting(self, expectation: Expectation) -> Iterator[None]:
        """Expect, from here to the end of the block."""
        self._gather()
        self.watch.active.append(expectation)
        try:
            yield
        finally:
            self._gather()
            self.watch.active.remove(expectation)

    def _gather(self) -> None:
        """Add what was refused meanwhile to the phase that runs."""
        found = self.watch.collect()
        self.pending.unexpected += found.unexpected
        self.pending.observed += found.observed
        self.pending.lost += found.lost

    def _take(self) -> Taken:
        """Return the unexpected ones of the phase that ends, and begin anew."""
        self._gather()
        found, self.pending = self.pending, Found()
        self.observed.update(one.endpoint for one in found.observed)
        taken = Taken(f"#{one.number} {one}{self.watch.origin(one)}" for one in found.unexpected)
        if found.unexpected:
            taken.host = found.unexpected[0].host
        if found.lost:
            taken.append(f"{found.lost} that the journal no longer holds")
        return taken

    # ---- tests ----

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, Any]:
        """Put what came before this test to the run's own account."""
        self.outside += self._take()
        self.listening.listen()  # a test module may have imported unittest
        self.watch.note_threads()
        _report.tell_anew()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Switch the markers of the test on, and judge the setup."""
        wrong = ""
        try:
            marks = item.iter_markers("egress_expected")
            self.watch.active += [Expectation(*mark.args, **mark.kwargs) for mark in marks]
        except (TypeError, ValueError) as error:
            wrong = f"the marker egress_expected of this test: {error}"
        result = yield from self._phase(item, "setup")
        if wrong:
            pytest.fail(wrong, pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Judge the test, and whether what its markers announce has happened."""
        result = yield from self._phase(item, "call")
        unmet = [one.unmet for one in self.watch.active if not one.is_met]
        if unmet:
            pytest.fail("\n".join(unmet), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Judge the teardown, and switch the markers off."""
        try:
            return (yield from self._phase(item, "teardown"))
        finally:
            self.watch.active.clear()

    def _phase(self, item: pytest.Item, when: str) -> Generator[None, Any, Any]:
        try:
            result = yield
        except BaseException as error:
            taken = self._take()
            self.noted[when] = taken
            if taken and isinstance(error, pytest.skip.Exception):  # skipped because of it: still nobody expected it
                pytest.fail(taken.text(when), pytrace=False)
            if taken:
                item.add_report_section(when, "egressguard", taken.text(when))
            raise
        taken = self._take()
        self.noted[when] = taken
        if taken:
            pytest.fail(taken.text(when), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Let the report carry the lines, from a worker to its controller too."""
        report = yield
        taken = self.noted.pop(call.when, None)
        if taken:
            setattr(report, ATTRIBUTE, list(taken))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather for the summary; runs in the controller."""
        self.failed += [(f"{report.nodeid} ({report.when})", line) for line in getattr(report, ATTRIBUTE, ())]

    # ---- the rest of the run ----

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, Any, Any]:
        """Fail the collection of a module whose import dialled."""
        self.outside += self._take()
        report = yield
        taken = self._take()
        if taken:
            setattr(report, ATTRIBUTE, list(taken))
            if report.outcome == "passed":
                report.outcome, report.longrepr = "failed", taken.text("collection")
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Gather for the summary; runs in the controller."""
        where = f"collecting {report.nodeid or 'the session'}"
        self.failed += [(where, line) for line in getattr(report, ATTRIBUTE, ())]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run where something was refused outside of every test."""
        self.outside += self._take()
        output = getattr(session.config, "workeroutput", None)
        if output is not None:  # a worker of pytest-xdist
            output["egressguard"] = {"outside": self.outside, "observed": dict(self.observed)}
        elif self.outside and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of pytest-xdist found."""
        told = getattr(node, "workeroutput", {}).get("egressguard", {})
        self.outside += told.get("outside", [])
        self.observed.update(told.get("observed", {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show what was refused unexpectedly, and what would have been."""
        failed = [*self.failed, *(("outside of every test", line) for line in self.outside)]
        if failed:
            terminalreporter.section("egressguard: unexpected violations", red=True)
        for where in dict.fromkeys(where for where, _ in failed):
            terminalreporter.line(where)
            for line in (line for place, line in failed if place == where):
                terminalreporter.line(f"  {line}")
        if self.observed:
            terminalreporter.section("egressguard observes only: this would have been refused", yellow=True)
            for endpoint, count in self.observed.most_common():
                terminalreporter.line(f"{count:6}  {endpoint}")
