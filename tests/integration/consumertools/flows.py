"""Workflows and activities of the tests. This file is imported anew in the workflow sandbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

import egressguard  # on purpose: which class the sandbox sees depends on the pass-through line

with workflow.unsafe.imports_passed_through():
    import dials

NAMED = RetryPolicy(non_retryable_error_types=["EgressViolation"])
THREE_TIMES = RetryPolicy(initial_interval=timedelta(milliseconds=50), maximum_attempts=3)
ONCE = RetryPolicy(maximum_attempts=1)
POLICIES = {"default": None, "named": NAMED, "three times": THREE_TIMES, "once": ONCE}


@activity.defn
def sync_dial() -> str:
    return dials.by_socket()


@activity.defn
async def async_dial() -> str:
    return await dials.by_asyncio()


@activity.defn
async def httpx_dial() -> str:
    return await dials.by_httpx()


@activity.defn
def innocent(number: int) -> int:
    return number * number


ACTIVITIES = [sync_dial, async_dial, httpx_dial, innocent]


@workflow.defn
class Calls:
    """Calls one activity."""

    @workflow.run
    async def run(self, name: str, policy: str) -> Any:
        options: dict[str, Any] = {"start_to_close_timeout": timedelta(seconds=20)}
        return await workflow.execute_activity(name, retry_policy=POLICIES[policy], **options)


@workflow.defn
class Dials:
    """Dials in the workflow task itself."""

    @workflow.run
    async def run(self, catching: bool) -> str:
        if not catching:
            return dials.by_socket()
        try:
            return dials.by_socket()
        except egressguard.EgressViolation as violation:
            return f"caught {violation.reason}"


@workflow.defn
class Sums:
    """Calls harmless activities, and a refused one between them where it is told to."""

    @workflow.run
    async def run(self, numbers: list[int], refused: str) -> int:
        options: dict[str, Any] = {"start_to_close_timeout": timedelta(seconds=20)}
        total = 0
        for number in numbers:
            total += await workflow.execute_activity(innocent, number, **options)
            if refused:
                await workflow.execute_activity(refused, **options)
        return total


WORKFLOWS = [Calls, Dials, Sums]
