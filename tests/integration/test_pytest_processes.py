"""Violations cross process borders intact, and unittest's test cases get the fixture in their own thread."""

from __future__ import annotations

import re

from consumertools.project import Project

XDIST = """
import concurrent.futures, multiprocessing, os, pickle, socket
import egressguard, pytest
from dialling import dial

def violate(port):
    socket.create_connection(("127.0.0.1", port), 5)

def fields(error):
    return (error.host, error.port, error.address, error.route, error.reason)

@pytest.mark.parametrize("number", range(6))
def test_opens(egress_test_loopback, number, record_property):
    record_property("worker", os.getpid())
    assert dial() == "done"

@pytest.mark.parametrize("number", range(6))
def test_closed(number):
    assert dial() == "loopback"

def test_fails_with_a_violation():
    violate(7)

@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_from_a_pool(method):
    context = multiprocessing.get_context(method)
    options = {} if method == "fork" else {"initializer": egressguard.install}
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context, **options) as pool:
        error = pool.submit(violate, 7).exception(timeout=30)
    assert type(error) is egressguard.EgressViolation
    assert fields(error) == ("127.0.0.1", 7, None, "connect", "loopback")

def test_by_pickle():
    with pytest.raises(egressguard.EgressViolation) as caught:
        violate(7)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(caught.value, protocol))
        assert fields(again) == fields(caught.value) == ("127.0.0.1", 7, None, "connect", "loopback")
        assert str(again) == str(caught.value)
"""


def test_xdist(project: Project) -> None:
    project.write("test_xdist.py", XDIST)
    # The default start method warns where threads run; that is CPython's word about fork, not about the guard.
    run = project.run("-n2", "-W", "ignore:This process:DeprecationWarning", plugins=("pytest-xdist",))
    failed = [name for name, outcome in run.outcomes.items() if outcome != "passed"]
    assert (failed, len(run.outcomes)) == (["test_fails_with_a_violation"], 17), run
    assert "egressguard.EgressViolation: refused 127.0.0.1:7 (connect)" in run.child.out, run
    assert "egress_test_loopback" in run.child.out, run  # the text names the next step
    assert len(set(re.findall(r"\[gw\d\]", run.child.out))) >= 1, run


UNITTEST = """
import asyncio, unittest
import pytest
from dialling import dial, dial_async

@pytest.mark.usefixtures("egress_test_loopback")
class Marked(unittest.TestCase):
    def setUp(self):
        self.assertEqual(dial(), "done")

    def test_marked(self):
        self.assertEqual(dial("::1"), "done")

    def test_marked_fails(self):
        self.assertEqual(dial(), "loopback")

    def tearDown(self):
        self.assertEqual(dial(), "done")

class One(unittest.TestCase):
    @pytest.mark.usefixtures("egress_test_loopback")
    def test_one_method(self):
        self.assertEqual(dial(), "done")

    def test_the_other_method(self):
        self.assertEqual(dial(), "loopback")

@pytest.mark.usefixtures("egress_test_loopback")
class Loop(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.assertEqual(await dial_async(), "done")

    async def test_loop(self):
        self.assertEqual(await dial_async(), "done")
        self.assertEqual(await asyncio.to_thread(dial), "loopback")

class Last(unittest.IsolatedAsyncioTestCase):
    async def test_last_is_closed(self):
        self.assertEqual(await dial_async(), "loopback")
"""


def test_unittest(project: Project) -> None:
    project.write("test_cases.py", UNITTEST)
    run = project.run()
    failed = [name for name, outcome in run.outcomes.items() if outcome != "passed"]
    assert (failed, len(run.outcomes)) == (["test_marked_fails"], 6), run
