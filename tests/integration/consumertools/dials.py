"""Dials of workflows and activities, in a module that the workflow sandbox passes through."""

from __future__ import annotations

import asyncio
import socket
import threading

LISTENER = ("127.0.0.1", 7233)  # the Temporal server itself: it listens, so only the guard can refuse


def by_socket() -> str:
    """Dial loopback in the calling thread; return the thread's name where that is let through."""
    socket.create_connection(LISTENER, 5).close()
    return f"open in {threading.current_thread().name}"


async def by_asyncio() -> str:
    """Dial loopback on the running loop."""
    _, writer = await asyncio.open_connection(*LISTENER)
    writer.close()
    await writer.wait_closed()
    return f"open in {threading.current_thread().name}"


async def by_httpx() -> str:
    """Dial loopback by a client that wraps what is no OSError."""
    import httpx

    async with httpx.AsyncClient() as client:
        await client.get(f"http://{LISTENER[0]}:{LISTENER[1]}/")
    return "open"
