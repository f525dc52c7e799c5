"""ADR-0006: the loopback flag belongs to one thread. While it is set there, everybody else is refused.

In the tests the main thread is thread A: it holds the flag because the test requests the fixture.
"""

from __future__ import annotations

import asyncio
import multiprocessing.pool
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from beginnings import run_tests
from inside import outcome, word
from listeners import Endpoint

import egressguard

# The plugin of egressguard fails a test in which something else was refused, in whatever thread.
expects_refusals = pytest.mark.egress_expected("127.0.0.1", reason="loopback")


def dial(port: int, host: str = "127.0.0.1") -> None:
    """Connect and hang up."""
    with socket.socket() as connection:
        connection.settimeout(5)
        connection.connect((host, port))


def in_thread(call: Callable[[], Any]) -> Any:
    """Return what the call returns in a new thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join(30)
    return results[0]


def test_thread_a_itself_is_let_through(listener: Endpoint) -> None:
    """What the others are refused below works in the thread that holds the flag."""
    dial(listener.port)
    assert listener.seen() == ["tcp"]


@expects_refusals
def test_a_new_thread_is_refused(listener: Endpoint) -> None:
    assert in_thread(lambda: word(lambda: dial(listener.port))) == "loopback"
    assert listener.seen() == []


@expects_refusals
def test_a_thread_that_ran_before_the_flag_was_set_is_refused(request: pytest.FixtureRequest) -> None:
    """Setting the flag reaches no thread but the one that sets it, however old the others are."""
    go, results = threading.Event(), []

    def wait_and_dial() -> None:
        go.wait(30)
        results.append(word(lambda: dial(port)))

    older = threading.Thread(target=wait_and_dial)
    older.start()
    listener: Endpoint = request.getfixturevalue("listener")
    port = listener.port
    go.set()
    older.join(30)
    assert results == ["loopback"]
    assert listener.seen() == []


@expects_refusals
def test_a_thread_started_by_a_refused_thread_is_refused(listener: Endpoint) -> None:
    """Neither a child nor a grandchild inherits the flag."""
    assert in_thread(lambda: in_thread(lambda: word(lambda: dial(listener.port)))) == "loopback"
    assert listener.seen() == []


@expects_refusals
def test_executor_workers_are_refused(listener: Endpoint) -> None:
    with ThreadPoolExecutor(4) as pool:
        words = list(pool.map(lambda _: word(lambda: dial(listener.port)), range(16)))
    assert words == ["loopback"] * 16
    assert listener.seen() == []


@expects_refusals
def test_pool_workers_are_refused(listener: Endpoint) -> None:
    with multiprocessing.pool.ThreadPool(4) as pool:
        words = pool.map(lambda _: word(lambda: dial(listener.port)), range(16))
    assert words == ["loopback"] * 16
    assert listener.seen() == []


@expects_refusals
def test_asyncio_to_thread_is_refused_while_its_loop_is_not(listener: Endpoint) -> None:
    """The loop runs in thread A, the worker does not."""

    async def both() -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.close()
        loop = asyncio.get_running_loop()
        calls = (asyncio.to_thread, lambda call: loop.run_in_executor(None, call))
        return [await call(lambda: word(lambda: dial(listener.port))) for call in calls]

    assert asyncio.run(both()) == ["loopback", "loopback"]
    assert listener.seen() == ["tcp"]


@expects_refusals
def test_two_event_loops_in_two_threads_do_not_share(listener: Endpoint) -> None:
    """They take turns, dial by dial: the one in thread A always passes, the other never."""
    turns = threading.Barrier(2, timeout=30)

    async def take_turns() -> list[str]:
        results = []
        for _ in range(10):
            turns.wait()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
                writer.close()
                results.append("done")
            except egressguard.EgressViolation as violation:
                results.append(violation.reason)
        return results

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: asyncio.run(take_turns()))
        own = asyncio.run(take_turns())
    assert own == ["done"] * 10
    assert other.result() == ["loopback"] * 10
    assert listener.seen() == ["tcp"] * 10


def test_a_lookup_does_not_depend_on_the_flag() -> None:
    """asyncio and trio look up in another thread than the one that connects: lookups of loopback pass everywhere."""
    here = socket.getaddrinfo("localhost", 80, socket.AF_INET)
    assert in_thread(lambda: socket.getaddrinfo("localhost", 80, socket.AF_INET)) == here


def test_reset_in_another_thread_leaves_this_one_alone(listener: Endpoint) -> None:
    """`reset_for_test` clears the flag of the thread that calls it."""
    in_thread(egressguard.reset_for_test)
    dial(listener.port)
    assert listener.seen() == ["tcp"]


def test_the_posture_counts_this_thread(request: pytest.FixtureRequest) -> None:
    """Operators assert 0: a thread whose flag is set can be seen."""
    assert egressguard.posture()["loopback_threads"] == 0
    request.getfixturevalue("egress_test_loopback")
    assert egressguard.posture()["loopback_threads"] == 1
    assert in_thread(egressguard.posture)["loopback_threads"] == 1
    egressguard.reset_for_test()
    assert egressguard.posture()["loopback_threads"] == 0


@expects_refusals
def test_the_violation_names_the_loopback_and_the_thread(listener: Endpoint) -> None:
    """The journal holds the kernel's id of the thread that was refused, not of the one that holds the flag."""
    before = egressguard.violation_count()
    native = in_thread(lambda: (outcome(lambda: dial(listener.port)), threading.get_native_id())[1])
    assert [one.thread for one in egressguard.violations(before)] == [native]


# ---- what changes the process: in a pytest run of its own ----


@pytest.mark.parametrize("how", ["fork", "multiprocessing", "forkpty"])
def test_a_forked_child_is_refused(how: str, tmp_path: Path) -> None:
    """A child starts as a copy of thread A; a fork handler clears the copy of the flag."""
    run_tests(
        tmp_path,
        f"""
def child(port, pipe):
    os.write(pipe, word(lambda: dial(port)).encode())
    os._exit(0)

def test_it(egress_test_loopback):
    listener = plain_listener()
    port = listener.getsockname()[1]
    reading, writing = os.pipe()
    if {how!r} == "multiprocessing":
        import multiprocessing
        process = multiprocessing.get_context("fork").Process(target=child, args=(port, writing))
        process.start()
        process.join()
    else:
        pid = os.fork() if {how!r} == "fork" else os.forkpty()[0]
        if pid == 0:
            child(port, writing)
        os.waitpid(pid, 0)
    assert os.read(reading, 100) == b"loopback"
    dial(port)
    assert count_accepted(listener) == 1  # the parent's own
""",
    )


SUBINTERPRETER = {"3.12": "_xxsubinterpreters", "3.13": "_interpreters"}
SCRIPT = """
import _socket, os
try:
    _socket.socket().connect(("127.0.0.1", {port}))
    told = "done"
except BaseException as error:
    told = getattr(error, "reason", repr(error))
os.write({pipe}, told.encode())
"""


@pytest.mark.parametrize("thread", ["same thread", "other thread"])
@pytest.mark.parametrize("gil", ["shared", "own"])
def test_a_subinterpreter_is_refused(gil: str, thread: str, tmp_path: Path) -> None:
    """Neither one that thread A runs nor one that another thread runs: code in it requested no fixture."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    module = SUBINTERPRETER.get(version, "_xxsubinterpreters")
    if gil == "own" and version == "3.11":
        pytest.skip("a GIL for each interpreter came with 3.12")
    arguments = {
        "3.11": "isolated=False",
        "3.12": f"isolated={gil == 'own'}",
        "3.13": f"{'isolated' if gil == 'own' else 'legacy'!r}",
    }[version]
    run_tests(
        tmp_path,
        f"""
import {module} as interpreters

def test_it(egress_test_loopback):
    listener = plain_listener()
    reading, writing = os.pipe()
    interpreter = interpreters.create({arguments})
    script = {SCRIPT!r}.format(port=listener.getsockname()[1], pipe=writing)
    run = lambda: interpreters.{"exec" if version == "3.13" else "run_string"}(interpreter, script)
    if {thread!r} == "same thread":
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert os.read(reading, 1000) == b"loopback"
    interpreters.destroy(interpreter)
    assert count_accepted(listener) == 0
""",
    )


# ---- phase 9: real workers of a real Temporal server, in the environment of the integration tests ----

WORKERS = """
def test_no_worker_thread_gets_the_flag(egress_test_loopback):
    assert word(dials.by_socket) == "done"
    told = in_a_thread(run_everything("own-thread"))
    assert word(dials.by_socket) == "done"  # nor does a worker close it for the test
    assert told == [(name, "EgressViolation", True) for name in list(EVERYTHING) * 3], told


def test_nothing_leaks_from_one_workflow_to_the_next(egress_test_loopback):
    async def run():
        client = await Client.connect(SERVER)
        one = {"activity_executor": ClosedThreads(1), "workflow_task_executor": ClosedThreads(1), "max_cached_workflows": 0}
        two = {"activity_executor": ClosedThreads(2), "workflow_task_executor": ClosedThreads(2)}
        async with worker(client, "one", **one), worker(client, "two", **two):
            sums = [ended(client, queue, flows.Sums.run, [1, 2, 3], "") for queue in ("one", "two") for _ in range(2)]
            dial = [ended(client, queue, *EVERYTHING[name]) for queue in ("one", "two") for name in EVERYTHING]
            return await asyncio.gather(*sums), await asyncio.gather(*dial)

    sums, dialled = in_a_thread(run())
    assert [one["result"] for one in sums] == [14] * 4, sums
    assert [one["type"] for one in dialled] == ["EgressViolation"] * 6, dialled
"""


def test_no_temporal_worker_gets_the_flag(request: pytest.FixtureRequest) -> None:
    """Activities and workflow tasks are refused while the test holds the flag, and nothing leaks between workflows."""
    reason = "temporalio and its server are in the environment of `./dev integration`, which runs this test too"
    pytest.importorskip("temporalio", reason=reason)
    from consumertools import temporal_projects

    network, temporal, project = map(request.getfixturevalue, ("network", "temporal", "project"))
    run = temporal_projects.run(network, temporal, project, WORKERS)
    expected = {"test_no_worker_thread_gets_the_flag", "test_nothing_leaks_from_one_workflow_to_the_next"}
    assert run.outcomes == dict.fromkeys(expected, "passed"), run
