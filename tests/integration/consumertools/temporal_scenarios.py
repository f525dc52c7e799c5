"""A worker process, installed first: `temporal_scenarios.py NAME` runs one scenario and tells what came of it."""

from __future__ import annotations

import egressguard

egressguard.install()

import asyncio  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import dials  # noqa: E402
import flows  # noqa: E402
from inside import tell, word  # noqa: E402
from temporalio.client import Client  # noqa: E402
from workers import SERVER, ended, worker  # noqa: E402


async def core(client: Client) -> Any:
    """The client is connected by now: by the core, not by Python."""
    return {"refused": egressguard.violation_count(), "python": word(dials.by_socket)}


async def activities(client: Client) -> Any:
    """Every kind of activity, with the interceptor and the default retry policy: without limit."""
    told = {}
    async with worker(client, "activities"):
        for name in ("sync_dial", "async_dial", "httpx_dial"):
            before = egressguard.violation_count()
            told[name] = await ended(client, "activities", flows.Calls.run, name, "default")
            told[name]["attempts"] = egressguard.violation_count() - before
    return told


async def plain(client: Client) -> Any:
    """Without the interceptor: by policy."""
    told = {}
    async with worker(client, "plain", intercepted=False):
        for policy in ("three times", "named"):
            before = egressguard.violation_count()
            told[policy] = await ended(client, "plain", flows.Calls.run, "sync_dial", policy)
            told[policy]["attempts"] = egressguard.violation_count() - before
    return told


async def tasks(client: Client) -> Any:
    """Workflow tasks that dial, in the sandbox and without it."""
    told = {}
    for sandbox in ("passed", "unsandboxed"):
        async with worker(client, sandbox, sandbox=sandbox):
            told[sandbox] = await ended(client, sandbox, flows.Dials.run, False)
    return told


async def sandbox(client: Client) -> Any:
    """Whether workflow code can catch the violation by its name."""
    told = {}
    for kind in ("passed", "default"):
        async with worker(client, kind, sandbox=kind):
            told[kind] = await ended(client, kind, flows.Dials.run, True)
    return told


async def journal(client: Client) -> Any:
    """Whether the journal file goes on after workflow code imported egressguard in the sandbox."""
    told = {}
    for kind in ("passed", "default"):
        path = Path(__file__).with_name(f"journal-{kind}.jsonl")
        path.unlink(missing_ok=True)
        egressguard.journal_to(path)
        async with worker(client, f"journal-{kind}", sandbox=kind):
            await ended(client, f"journal-{kind}", flows.Dials.run, True)
        word(dials.by_socket)
        told[kind] = len(path.read_text().splitlines())
    return told


async def two(client: Client) -> Any:
    """Two workers, two workflows at once, again and again: one is refused, the other must not notice."""
    numbers = [1, 2, 3]
    async with worker(client, "first"), worker(client, "second"):
        runs = [
            ended(client, queue, flows.Sums.run, numbers, refused)
            for refused in ("sync_dial", "async_dial")
            for queue, refused in (("first", refused), ("second", ""))
        ]
        return await asyncio.gather(*runs)


async def main() -> None:
    client = await Client.connect(SERVER)
    tell(await globals()[sys.argv[1]](client))
    # The client's own threads may take the GIL while the interpreter ends, which is fatal to it now and then, guarded
    # or not ("PyGILState_Release: thread state must be current"). What was to be shown is told.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
