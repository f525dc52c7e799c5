"""Nothing leaks: not on any route, not in any function, whichever way a call ends. One child for each of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import children
import pytest
from scale import CALLS, SCALE

import egressguard

HERE = Path(__file__).parent
ROUTES = (
    "connect connect_ex bind sendto sendmsg setsockopt getaddrinfo gethostbyname gethostbyname_ex gethostbyaddr "
    "getnameinfo"
).split()
FUNCTIONS = (
    "install observe explain posture violations violation_count raise_pending reset_for_test fail_on_exit journal_to "
    "posture_to read_allowlist parse listener EgressViolation"
).split()
# Not functions, or functions with tests of their own: the kernel layer cannot be called twice in one process.
ELSEWHERE = {"DEFAULT_ALLOWLIST", "EgressGuard", "KernelLayerUnavailable", "install_kernel"}

pytestmark = [
    pytest.mark.usefixtures("own_network"),
    pytest.mark.timeout(120 * SCALE),
    pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="ASan's malloc keeps what is freed: nothing stays flat"),
]


def run(group: str, calls: int) -> list[dict[str, object]]:
    """Run the child in a network of its own; return what it told of each case."""
    inner = 'ip link set lo up && ip addr add 203.0.113.5/32 dev lo && exec "$@"'
    command = [
        *children.namespace(),
        "sh",
        "-c",
        inner,
        "sh",
        sys.executable,
        "-P",
        str(HERE / "leaking.py"),
        group,
        str(calls),
    ]
    child = children.start(command, seconds=110 * SCALE)
    return [one for one in child.told() if one is not None]


@pytest.mark.parametrize("group", [*ROUTES, *FUNCTIONS])
def test_nothing_grows(group: str) -> None:
    told = run(group, CALLS)
    assert told, "no case"
    assert [one for one in told if one["grown"] or one["references"]] == []


def test_every_route_and_every_function_has_a_leak_test() -> None:
    [names] = run("names", 0)
    assert sorted(names) == sorted([*ROUTES, *FUNCTIONS])
    assert set(egressguard.posture()["routes"]) <= set(ROUTES)
    assert set(egressguard.__all__) - ELSEWHERE <= set(FUNCTIONS)
