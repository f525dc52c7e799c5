"""What generated tests dial: a listener of their own. Imported by name in the children."""

from __future__ import annotations

import asyncio
import socket

from inside import outcome, word


def dial(host: str = "127.0.0.1") -> str:
    """Dial a fresh listener in this thread; return `done`, or the reason of the refusal."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]

        def connect() -> None:
            with socket.socket(family) as client:
                client.settimeout(5)
                client.connect((host, port))

        return word(connect)


async def dial_async(host: str = "localhost") -> str:
    """Do the same with asyncio, by name: the lookup happens in another thread, the connect in this one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            _, writer = await asyncio.open_connection(host, server.getsockname()[1], family=socket.AF_INET)
        except Exception as error:
            return _reason(error)
        writer.close()
        await writer.wait_closed()
        return "done"


def _reason(error: Exception) -> str:
    def again() -> None:
        raise error

    told = outcome(again)
    return str(told.get("reason", told["type"]))
