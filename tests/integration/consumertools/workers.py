"""Workers for the tests, and how the end of a workflow is told. Needs the recipes of docs/temporal.md beside it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import flows
from egress_temporal import EgressInterceptor
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

SERVER = "localhost:7233"
PASSED = ("egressguard", "egress_errors", "egress_temporal")


def runner(kind: str) -> Any:
    """Return a workflow runner: the sandbox with the line of the documents or without it, or no sandbox."""
    if kind == "unsandboxed":
        return UnsandboxedWorkflowRunner()
    passed = PASSED if kind == "passed" else ()
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*passed))


@asynccontextmanager
async def worker(
    client: Client, queue: str, *, intercepted: bool = True, sandbox: str = "passed", **options: Any
) -> AsyncIterator[Worker]:
    """Run a worker on the running loop."""
    options.setdefault("activity_executor", ThreadPoolExecutor(4, thread_name_prefix="activity"))
    options.setdefault("interceptors", [EgressInterceptor()] if intercepted else [])
    one = Worker(
        client,
        task_queue=queue,
        workflows=flows.WORKFLOWS,
        activities=options.pop("activities", flows.ACTIVITIES),
        workflow_runner=runner(sandbox),
        **options,
    )
    async with one:
        yield one


async def ended(client: Client, queue: str, workflow: Any, *arguments: Any) -> dict[str, Any]:
    """Run a workflow to its end; tell its result, or the innermost application error."""
    handle = await client.start_workflow(workflow, args=arguments, id=uuid.uuid4().hex, task_queue=queue)
    told: dict[str, Any] = {"result": None, "type": None, "non_retryable": None, "details": None}
    try:
        told["result"] = await handle.result()
    except WorkflowFailureError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ApplicationError):
                told.update(
                    type=cause.type, non_retryable=cause.non_retryable, details=list(cause.details), text=str(cause)
                )
                break
            cause = cause.__cause__
    return told
