"""A worker process with both layers: what the Rust core's own connection to the server meets."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from inside import tell
from temporalio.client import Client
from workers import SERVER

import egressguard

SECONDS = 20


async def connected() -> str:
    """Return the words of the core: connected, or why not."""
    try:
        await Client.connect(SERVER)
    except RuntimeError as error:
        return str(error)
    return "connected"


def main() -> None:
    egressguard.install()
    by_python_alone = asyncio.run(connected())
    try:
        egressguard.install_kernel()
    except egressguard.KernelLayerUnavailable as error:
        tell({"unavailable": str(error)})
        return
    before = egressguard.violation_count()
    by_both = asyncio.run(connected())
    end = time.monotonic() + SECONDS  # the journal is written by another thread than the one that is told
    while egressguard.violation_count() == before and time.monotonic() < end:
        time.sleep(0.01)
    found = {(one.host, one.port, one.reason, one.kernel) for one in egressguard.violations(before)}
    tell({"python alone": by_python_alone, "both": by_both, "found": sorted(found)})


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # as in temporal_scenarios.py
