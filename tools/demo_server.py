"""The demo's server: HTTP on loopback, in a process of its own, with its own record of what reached it.

`python demo_server.py LOG` prints its port on the first line. Each accepted connection and each request becomes one
line of JSON in LOG, written before the answer: the demo's figures come from this file alone.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Server(ThreadingHTTPServer):
    """Writes a line for every connection, also for one that never asks anything."""

    def __init__(self, log: Path) -> None:
        self.log = log.open("a", encoding="utf-8", buffering=1)
        super().__init__(("127.0.0.1", 0), Handler)

    def write(self, **record: str) -> None:
        """Append one record; a single short write, so that lines of two threads do not mix."""
        self.log.write(json.dumps(record) + "\n")

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection and record it."""
        connection, peer = super().get_request()
        self.write(connection=f"{peer[0]}:{peer[1]}")
        return connection, peer


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with a greeting."""

    server: Server

    def do_GET(self) -> None:
        """Record the request, then answer it."""
        self.server.write(request=self.path)
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is http.server's
        """Keep the terminal for the demo."""


if __name__ == "__main__":
    with Server(Path(sys.argv[1])) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
