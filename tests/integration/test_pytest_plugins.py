"""The fixture under the plugins that test suites use: it opens in the test's thread and closes after it (ADR-0006).

Every case is a project of its own whose `conftest.py` is this repository's, run by a child pytest.
"""

from __future__ import annotations

import pytest
from consumertools.project import Project

HEAD = """
import asyncio, os, threading, time
import pytest
from dialling import dial, dial_async

def closed():
    assert dial() == "loopback"
"""

OUTCOMES = """
def test_passes(egress_test_loopback):
    assert dial() == "done"

def test_closed_after_a_pass():
    closed()

def test_fails(egress_test_loopback):
    assert dial() != "done"

def test_closed_after_a_failure():
    closed()

def test_skips(egress_test_loopback):
    assert dial("::1") == "done"
    pytest.skip("on purpose")

def test_closed_after_a_skip():
    closed()

@pytest.fixture
def breaks(egress_test_loopback):
    assert dial() == "done"
    raise RuntimeError("on purpose")

def test_has_an_error(breaks):
    pass

def test_closed_after_an_error():
    closed()

@pytest.fixture
def breaks_late(egress_test_loopback):
    yield
    raise RuntimeError("on purpose")

def test_has_an_error_in_teardown(breaks_late):
    assert dial() == "done"

def test_closed_after_an_error_in_teardown():
    closed()

def test_leaves(egress_test_loopback):
    raise SystemExit(3)

def test_closed_after_an_exit():
    closed()

def test_other_threads_stay_closed(egress_test_loopback):
    words = []
    thread = threading.Thread(target=lambda: words.append(dial()))
    thread.start(); thread.join()
    assert words == ["loopback"]
"""


def test_closes_after_every_outcome(project: Project) -> None:
    project.write("test_outcomes.py", HEAD + OUTCOMES)
    run = project.run()
    expected = {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skips": "skipped",
        "test_has_an_error": "error",
        "test_has_an_error_in_teardown": "error",
        "test_leaves": "failed",
        "test_other_threads_stay_closed": "passed",
        **{f"test_closed_after_{kind}": "passed" for kind in OUTCOME_KINDS},
    }
    assert run.outcomes == expected, run


OUTCOME_KINDS = ("a_pass", "a_failure", "a_skip", "an_error", "an_error_in_teardown", "an_exit")


HTTPSERVER = """
import urllib.request
import requests

def test_answers(egress_test_loopback, httpserver):
    httpserver.expect_request("/").respond_with_data("hello")
    assert requests.get(httpserver.url_for("/"), timeout=5).text == "hello"
    assert urllib.request.urlopen(httpserver.url_for("/"), timeout=5).read() == b"hello"

def test_refused_without_the_fixture(httpserver):
    from inside import outcome
    httpserver.expect_request("/").respond_with_data("hello")
    told = outcome(lambda: requests.get(httpserver.url_for("/"), timeout=5))
    assert (told["violation"], told["reason"], told["port"]) == (True, "loopback", httpserver.port), told
    assert httpserver.log == []  # nothing arrived

def test_a_handler_runs_in_another_thread(egress_test_loopback, httpserver):
    httpserver.expect_request("/").respond_with_handler(lambda request: __import__("werkzeug").Response(dial()))
    assert requests.get(httpserver.url_for("/"), timeout=5).text == "loopback"
"""


def test_httpserver(project: Project) -> None:
    project.write("test_httpserver.py", HEAD + HTTPSERVER)
    run = project.run(plugins=("pytest-httpserver",))
    assert list(run.outcomes.values()) == ["passed"] * 3, run


ASYNCIO = """
{mark}
async def test_opens(egress_test_loopback):
    assert await dial_async() == "done"
    assert dial() == "done"
    assert await asyncio.to_thread(dial) == "loopback"

{mark}
async def test_closed_after():
    assert await dial_async() == "loopback"
    assert dial() == "loopback"

{mark}
async def test_fails(egress_test_loopback):
    assert await dial_async() != "done"

def test_plain_and_closed():
    closed()

{mark}
async def test_gathers(egress_test_loopback):
    assert await asyncio.gather(*(dial_async() for _ in range(3))) == ["done"] * 3

left = []

{mark}
async def test_leaves_a_task(egress_test_loopback):
    left.append(asyncio.get_running_loop())

{mark}
async def test_closed_at_last():
    assert (asyncio.get_running_loop() is left[0]) == {session}
    assert await dial_async() == "loopback"
"""


@pytest.mark.parametrize("loop_scope", ["function", "session"])
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_asyncio(project: Project, mode: str, loop_scope: str) -> None:
    mark = "" if mode == "auto" else "@pytest.mark.asyncio"
    project.write("test_asyncio.py", HEAD + ASYNCIO.format(mark=mark, session=loop_scope == "session"))
    scopes = ("asyncio_default_test_loop_scope", "asyncio_default_fixture_loop_scope")
    ini = (f"asyncio_mode={mode}", *(f"{scope}={loop_scope}" for scope in scopes))
    run = project.run(plugins=("pytest-asyncio",), ini=ini)
    failed = {name for name, outcome in run.outcomes.items() if outcome != "passed"}
    assert (failed, len(run.outcomes)) == ({"test_fails"}, 7), run


ANYIO = """
import anyio, socket
from inside import chain, violation_in

async def knock():
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            async with await anyio.connect_tcp("localhost", server.getsockname()[1]):
                return "done"
        except Exception as error:
            return violation_in(error).reason

@pytest.mark.anyio
async def test_opens(egress_test_loopback):
    assert await knock() == "done"
    assert await anyio.to_thread.run_sync(dial) == "loopback"

@pytest.mark.anyio
async def test_closed_after():
    assert await knock() == "loopback"

@pytest.fixture
async def asks(egress_test_loopback):
    assert await knock() == "done"
    yield
    assert await knock() == "done"

@pytest.mark.anyio
async def test_opens_for_an_async_fixture(asks):
    assert await knock() == "done"

@pytest.mark.anyio
async def test_closed_at_last():
    assert await knock() == "loopback"
"""


def test_anyio_on_both_backends(project: Project) -> None:
    project.write("test_anyio.py", HEAD + ANYIO)
    run = project.run(plugins=("anyio",))
    assert list(run.outcomes.values()) == ["passed"] * 8, run
    assert any("trio" in name for name in run.outcomes), run


RERUN = """
tries = []

def test_flaky(egress_test_loopback):
    tries.append(dial())
    assert len(tries) == 3, tries

def test_was_open_each_time():
    assert tries == ["done"] * 3
    closed()

refused = []

@pytest.mark.flaky(reruns=2)
def test_never_opens_by_trying_again():
    refused.append(dial())
    assert len(refused) == 3

def test_stayed_closed():
    assert refused == ["loopback"] * 3
"""


def test_rerunfailures(project: Project) -> None:
    project.write("test_rerun.py", HEAD + RERUN)
    run = project.run("--reruns=2", plugins=("pytest-rerunfailures",))
    assert run.child.code == 0, run
    assert "4 passed" in run.child.out, run
    assert "4 rerun" in run.child.out, run


TIMEOUT = """
@pytest.mark.timeout(0.5, method="{method}")
def test_hangs(egress_test_loopback):
    assert dial() == "done"
    time.sleep(30)

def test_closed_after():
    closed()
"""


def test_timeout_by_signal(project: Project) -> None:
    project.write("test_hangs.py", HEAD + TIMEOUT.format(method="signal"))
    run = project.run(plugins=("pytest-timeout",))
    assert run.outcomes == {"test_hangs": "failed", "test_closed_after": "passed"}, run


def test_timeout_by_thread_ends_the_process(project: Project) -> None:
    project.write("test_hangs.py", HEAD + TIMEOUT.format(method="thread"))
    run = project.run(plugins=("pytest-timeout",))
    assert run.child.code == 1, run  # os._exit: there is nothing left that could be open
    assert "test_closed_after" not in run.child.out, run
    assert "Timeout" in run.child.out + run.child.err, run


def test_timeout_by_thread_under_xdist(project: Project) -> None:
    project.write("test_hangs.py", HEAD + TIMEOUT.format(method="thread"))
    run = project.run("-n1", plugins=("pytest-timeout", "pytest-xdist"))
    assert run.outcomes["test_closed_after"] == "passed", run  # in the worker that replaced the ended one
    assert "crashed" in run.child.out, run
