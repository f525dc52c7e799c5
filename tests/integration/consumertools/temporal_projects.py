"""What generated test projects with real Temporal workers begin with, and how they are run."""

from __future__ import annotations

import shutil
from pathlib import Path

from consumertools.network import Network
from consumertools.project import Project, Run

HEAD = """
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
"""


def run(network: Network, temporal: Path, project: Project, source: str) -> Run:
    """Run the tests of a project in the network of the Temporal server."""
    for file in temporal.glob("*.py"):
        shutil.copy(file, project.folder)
    project.write("test_isolation.py", HEAD + source)
    return project.run("-W", "default", prefix=network.enter)
