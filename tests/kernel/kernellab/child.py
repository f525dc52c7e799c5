"""A child that runs a piece of Python."""

from __future__ import annotations

import subprocess
import sys


def run(code: str, *words: str) -> str:
    """Return what it printed; it must have ended well."""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout
