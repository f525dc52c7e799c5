"""What another process runs for a test: a module that it can import by name."""

from __future__ import annotations

import socket
from typing import Any

import egressguard


def refused() -> Any:
    """Be refused here."""
    egressguard.install()
    return socket.getaddrinfo("forbidden.example", 8443)
