"""The latch in production: what somebody swallowed still counts."""

from __future__ import annotations

import children
import pytest

PRELUDE = """
import contextlib, os, sys, socket, threading
import egressguard
from inside import tell
egressguard.install()
def swallow(host="posthog.example", port=443):
    with contextlib.suppress(Exception):
        socket.create_connection((host, port))
def raised(**arguments):
    try:
        egressguard.raise_pending(**arguments)
    except egressguard.EgressViolation as error:
        return [error.host, error.port, error.route, error.reason, error.number, str(error)]
    return None
"""


def python(source: str) -> children.Child:
    """Run source behind the guard."""
    return children.python(PRELUDE + source)


def test_nothing_pending_raises_nothing() -> None:
    assert python("tell(raised())").last() is None


def test_the_oldest_is_raised_once() -> None:
    first, second = python("swallow(); swallow('b.example')\ntell(raised()); tell(raised())").told()
    assert first[:5] == ["posthog.example", 443, "getaddrinfo", "not-listed", 1]
    assert first[5].endswith("(and 1 more)")
    assert second is None


def test_the_others_are_in_its_notes() -> None:
    source = """
swallow(); swallow("b.example")
try:
    egressguard.raise_pending()
except egressguard.EgressViolation as error:
    tell(error.__notes__)
"""
    [note] = python(source).last()
    assert "tried b.example:443" in note


def test_since_leaves_out_what_was_there_and_moves_no_mark() -> None:
    source = """
swallow("a.example")
before = egressguard.violation_count()
tell(raised(since=before))
swallow("b.example")
tell(raised(since=before)[0])
tell(raised()[0])
"""
    assert python(source).told() == [None, "b.example", "a.example"]


def test_it_hears_other_threads_and_forked_children() -> None:
    source = """
thread = threading.Thread(target=swallow, args=("thread.example",)); thread.start(); thread.join()
tell(raised()[0])
pid = os.fork()
if pid == 0:
    swallow("child.example"); os._exit(0)
os.waitpid(pid, 0)
tell(raised()[0])
"""
    assert python(source).told() == ["thread.example", "child.example"]


def test_what_the_ring_no_longer_holds_still_counts() -> None:
    source = """
for _ in range(egressguard._egressguard.JOURNAL_SLOTS + 5): swallow()
tell(raised()[5])
"""
    assert f"and {2048 + 4} more" in python(source).last()


def test_an_observing_time_before_install_is_nobodys_violation() -> None:
    source = """
import contextlib, socket, egressguard
from inside import tell
egressguard.observe()
def dial():
    with contextlib.suppress(Exception):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
dial()
egressguard.raise_pending()
egressguard.install()
egressguard.raise_pending()
dial()
try:
    egressguard.raise_pending()
except egressguard.EgressViolation as error:
    tell([error.host, error.port])
"""
    assert children.python(source).last() == ["127.0.0.1", 9]


def test_the_exit_status_says_that_something_was_refused() -> None:
    child = python("egressguard.fail_on_exit()\nprint('done')\nswallow()")
    assert child.code == 70
    assert child.out == "done\n"
    assert "egressguard: exit status 70, because 1 attempts were refused" in child.err


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "sys.exit(3)", "raise KeyError('x')"])
def test_it_replaces_every_other_status(end: str) -> None:
    assert python(f"egressguard.fail_on_exit(9)\nswallow()\n{end}").code == 9


@pytest.mark.parametrize(("end", "code"), [("", 0), ("sys.exit(3)", 3), ("raise KeyError('x')", 1)])
def test_without_a_refusal_the_status_is_the_programs_own(end: str, code: int) -> None:
    assert python(f"egressguard.fail_on_exit(9)\n{end}").code == code


def test_what_other_exit_functions_do_counts_and_happens() -> None:
    source = """
import atexit
atexit.register(lambda: print("first registered, runs last"))
egressguard.fail_on_exit(9)
atexit.register(lambda: (swallow(), print("dials at exit")))
"""
    child = python(source)
    assert child.code == 9
    assert child.out == "dials at exit\nfirst registered, runs last\n"


def test_exit_functions_run_once_where_nothing_was_refused() -> None:
    source = "import atexit\natexit.register(lambda: print('once'))\negressguard.fail_on_exit(9)"
    assert (python(source).code, python(source).out) == (0, "once\n")


def test_a_forked_child_answers_for_itself() -> None:
    source = """
egressguard.fail_on_exit(9)
swallow()
pid = os.fork()
if pid == 0:
    sys.exit(0)
tell(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
pid = os.fork()
if pid == 0:
    swallow(); sys.exit(0)
tell(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
sys.stdout.flush()
os._exit(0)
"""
    assert python(source).told() == [0, 9]


def test_a_status_that_is_none_is_refused() -> None:
    source = """
for status in (0, 256, -1):
    try:
        egressguard.fail_on_exit(status)
    except ValueError as error:
        tell(str(error))
"""
    assert python(source).told() == [f"status must be 1 to 255, not {one}" for one in (0, 256, -1)]


def test_only_observing_changes_no_status_and_install_begins_the_count() -> None:
    source = """
import contextlib, socket, sys, egressguard
egressguard.observe()
egressguard.fail_on_exit(9)
def dial():
    with contextlib.suppress(Exception):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
dial()
if sys.argv[1] != "observe":
    egressguard.install()
if sys.argv[1] == "dial":
    dial()
"""
    codes = [children.python(source, word).code for word in ("observe", "install", "dial")]
    assert codes == [0, 0, 9]
