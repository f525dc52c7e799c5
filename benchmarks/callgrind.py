"""Count the instructions of a Python program with callgrind: a number that other work on the machine does not change."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from benchmarks.paired import ROOT, environment


def available() -> bool:
    """Whether valgrind is here."""
    return shutil.which("valgrind") is not None


def counted(words: Sequence[str]) -> int:
    """Run this interpreter with the words under callgrind and return how many instructions user space executed."""
    return _run(words, "/dev/null")


def counted_apart(words: Sequence[str]) -> tuple[int, int]:
    """Do the same, and return beside it how many the extension executed: its own, without those of what it calls."""
    with tempfile.NamedTemporaryFile(prefix="callgrind.") as out:
        total = _run(words, out.name)
        command = ["callgrind_annotate", "--threshold=100", "--auto=no", "--show-percs=no", out.name]
        table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^\s*([\d,]+) .*\[.*/_egressguard\.[^]]*\]$", table, re.MULTILINE)
    return total, sum(int(number.replace(",", "")) for number in lines)


def _run(words: Sequence[str], out: str) -> int:
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", sys.executable, "-S", *words]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), check=False)
    found = re.search(r"Collected : (\d+)", ended.stderr)
    if ended.returncode or found is None:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"[-2000:])
    return int(found[1])
