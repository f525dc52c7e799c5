"""Runs of a child pytest with the plugin of egressguard and nothing else of ours."""

from __future__ import annotations

import textwrap
from pathlib import Path

import children

CONFTEST = "import egressguard\negressguard.install()\n"
PLUGIN = "egressguard.pytest_plugin"
SWALLOW = """
import contextlib, socket

def swallow(host="posthog.example", port=443):
    with contextlib.suppress(Exception):
        socket.create_connection((host, port))
"""


def run(folder: Path, source: str, *arguments: str, conftest: str = CONFTEST, plugins: tuple[str, ...] = ()) -> str:
    """Run pytest with the plugin on a generated file and return all that it printed."""
    child = children.pytest_run(
        folder, SWALLOW + textwrap.dedent(source), *arguments, conftest=conftest, plugins=(PLUGIN, *plugins)
    )
    return child.out + child.err
