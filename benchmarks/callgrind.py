"""Count the instructions of a Python program with callgrind: a number that other work on the machine does not change."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.paired import ROOT, environment


def available() -> bool:
    """Whether valgrind is here."""
    return shutil.which("valgrind") is not None


def counted(words: Sequence[str]) -> int:
    """Run this interpreter with the words under callgrind and return how many instructions user space executed."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-S", *words]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), check=False)
    found = re.search(r"Collected : (\d+)", ended.stderr)
    if ended.returncode or found is None:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"[-2000:])
    return int(found[1])
