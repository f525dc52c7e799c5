"""While a test holds the loopback flag in its thread, no worker thread gets it (ADR-0006: thread isolation in phase 9).

Each case is a generated test project with this repository's own `conftest.py`, whose test runs real workers against a
real Temporal server. The pools are those of docs/temporal.md.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from consumertools.network import Network
from consumertools.project import Project

PROJECT = '''
import asyncio, threading, uuid
from concurrent.futures import ThreadPoolExecutor
import pytest
import dials, flows
from inside import word
from temporalio import activity
from temporalio.client import Client
from workers import SERVER, ended, worker
from egress_threads import ClosedThreads

EVERYTHING = {
    "sync": (flows.Calls.run, "sync_dial", "default"),
    "async": (flows.Calls.run, "async_dial", "default"),
    "workflow": (flows.Dials.run, False),
}


async def run_everything(queue, **options):
    client = await Client.connect(SERVER)
    async with worker(client, queue, **options):
        names = list(EVERYTHING) * 3
        told = await asyncio.gather(*(ended(client, queue, *EVERYTHING[name]) for name in names))
        return [(name, one["type"] or one["result"], one["non_retryable"]) for name, one in zip(names, told)]


def in_a_thread(coroutine):
    with ThreadPoolExecutor(1, thread_name_prefix="loop") as pool:
        return pool.submit(asyncio.run, coroutine).result()


def test_no_worker_thread_gets_the_flag(egress_test_loopback):
    assert word(dials.by_socket) == "done"
    told = in_a_thread(run_everything("own-thread"))
    assert word(dials.by_socket) == "done"  # nor does a worker close it for the test
    assert told == [(name, "EgressViolation", True) for name in list(EVERYTHING) * 3], told


def test_an_async_activity_in_the_tests_own_thread_is_in_that_thread(egress_test_loopback):
    told = asyncio.run(run_everything("same-thread"))
    assert {one[:2] for one in told} == {
        ("sync", "EgressViolation"), ("async", "open in MainThread"), ("workflow", "EgressViolation"),
    }, told


def test_closed_after(tmp_path):
    assert word(dials.by_socket) == "loopback"
    told = asyncio.run(run_everything("after"))
    assert told == [(name, "EgressViolation", True) for name in list(EVERYTHING) * 3], told


@pytest.mark.parametrize(("pool_class", "expected"), [(ClosedThreads, "loopback"), (ThreadPoolExecutor, "done")])
def test_a_pool_thread_is_closed_before_it_is_used_again(request, pool_class, expected):
    """The fixture itself runs in the pool's thread, and never gets to its end."""
    opened = []

    @activity.defn(name="flagged")
    def flagged():
        opened.append(request.getfixturevalue("egress_test_loopback"))
        opened.append((threading.current_thread().name, word(dials.by_socket)))
        raise RuntimeError("ends in the middle")

    @activity.defn(name="next")
    def after():
        return [threading.current_thread().name, word(dials.by_socket)]

    async def run():
        client = await Client.connect(SERVER)
        pool = pool_class(1, thread_name_prefix="single")
        async with worker(client, "flagged", activities=[flagged, after], activity_executor=pool):
            first = await ended(client, "flagged", flows.Calls.run, "flagged", "once")
            return first, await ended(client, "flagged", flows.Calls.run, "next", "once")

    first, second = in_a_thread(run())
    assert first["type"] == "RuntimeError", first
    assert opened[1] == ("single_0", "done"), opened
    assert second["result"] == ["single_0", expected], second


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
'''


def test_isolation(network: Network, temporal: Path, project: Project) -> None:
    for source in temporal.glob("*.py"):
        shutil.copy(source, project.folder)
    project.write("test_isolation.py", PROJECT)
    run = project.run("-W", "default", prefix=network.enter)
    assert (set(run.outcomes.values()), len(run.outcomes)) == ({"passed"}, 6), run
