"""Workers of a real Temporal server under the guard, with the recipes of docs/temporal.md (ADR-0006, phase 9).

The server and the workers have a network of their own. What every activity dials is the server's own port: it listens,
so nothing but the guard refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Scenario = Callable[[str], Any]
REFUSED = [{"host": "127.0.0.1", "port": 7233, "route": "connect", "reason": "loopback"}]


def test_the_core_dials_by_itself(temporal_scenario: Scenario) -> None:
    told = temporal_scenario("core")
    assert told == {"refused": 0, "python": "loopback"}


def test_the_kernel_layer_judges_the_core(temporal_kernel: Any) -> None:
    if "unavailable" in temporal_kernel:
        pytest.skip(f"no kernel layer here: {temporal_kernel['unavailable']}")
    assert temporal_kernel["python alone"] == "connected"
    assert temporal_kernel["both"] != "connected", temporal_kernel
    told = {tuple(one) for one in temporal_kernel["found"]}
    assert ("127.0.0.1", 7233, "loopback", True) in told, temporal_kernel
    assert {port for _, port, _, _ in told} == {7233}, temporal_kernel


def test_a_refused_activity_is_not_tried_again(temporal_scenario: Scenario) -> None:
    for name, told in temporal_scenario("activities").items():
        assert (told["type"], told["non_retryable"], told["details"]) == ("EgressViolation", True, REFUSED), (
            name,
            told,
        )
        assert "127.0.0.1:7233" in told["text"], (name, told)
        assert told["attempts"] == 1, (name, told)


def test_without_the_interceptor_the_policy_decides(temporal_scenario: Scenario) -> None:
    told = temporal_scenario("plain")
    assert {policy: one["attempts"] for policy, one in told.items()} == {"three times": 3, "named": 1}
    assert {one["type"] for one in told.values()} == {"EgressViolation"}


def test_a_refused_workflow_task_ends_the_workflow(temporal_scenario: Scenario) -> None:
    told = temporal_scenario("tasks")
    for sandbox in ("passed", "unsandboxed"):
        one = told[sandbox]
        assert (one["type"], one["non_retryable"], one["details"]) == ("EgressViolation", True, REFUSED), (sandbox, one)


def test_the_sandbox_knows_the_class(temporal_scenario: Scenario) -> None:
    told = temporal_scenario("sandbox")
    assert told["passed"]["result"] == "caught loopback", told
    assert told["default"]["result"] == "caught loopback", told  # one class for the interpreter, imported anew or not


def test_the_journal_goes_on_after_a_workflow(temporal_scenario: Scenario) -> None:
    assert temporal_scenario("journal") == {"passed": 2, "default": 2}


@pytest.mark.parametrize("again", range(2))
def test_two_workers_with_two_workflows_each(temporal_scenario: Scenario, again: int) -> None:
    told = temporal_scenario("two")
    assert [one["type"] for one in told] == ["EgressViolation", None, "EgressViolation", None], told
    assert [one["result"] for one in told] == [None, 14, None, 14], told
