"""What generated programs begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import children

HOSTILE = """
import socket, sys, threading
import _socket
from inside import outcome, tell, word
port = int(sys.argv[1])
here = ("127.0.0.1", port)
words = []

def dial():
    with socket.socket() as one:
        one.settimeout(5)
        one.connect(here)

def guard():
    if sys.argv[2] == "guarded":
        import egressguard
        egressguard.install(())
"""
"""A program that is run with a listener's port and `guarded` or not: `dial` reaches the listener, `guard` installs."""

IN_PYTEST = """
import os, socket, sys, threading, time
import pytest
import egressguard
from inside import outcome, tell, word
from listeners import count_accepted, plain_listener

def dial(port):
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", port))
"""
"""A generated test file beside the root conftest.py."""


def run_tests(folder: Path, source: str, **options: Any) -> None:
    """Run generated tests, with the fixture at hand; all must pass."""
    child = children.pytest_run(folder, IN_PYTEST + source, "-q", **options)
    assert child.code == 0, child.out + child.err
