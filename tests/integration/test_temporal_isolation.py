"""The loopback flag among Temporal's threads: who gets it, and until when (ADR-0006: thread isolation in phase 9).

That no worker thread gets it, and that nothing leaks, is asserted where the ADR says:
tests/adversarial/test_egress_guard_thread_isolation.py.

Each case is a generated test project with this repository's own `conftest.py`, whose test runs real workers against a
real Temporal server. The pools are those of docs/temporal.md.
"""

from __future__ import annotations

from pathlib import Path

from consumertools import temporal_projects
from consumertools.network import Network
from consumertools.project import Project

SOURCE = '''
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
'''


def test_isolation(network: Network, temporal: Path, project: Project) -> None:
    run = temporal_projects.run(network, temporal, project, SOURCE)
    assert (set(run.outcomes.values()), len(run.outcomes)) == ({"passed"}, 4), run
