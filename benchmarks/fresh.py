"""A fresh process: what it costs to import and install, and what those pay who never dial.

`python -S -m benchmarks.fresh CONTENDER ENTRIES` prints one JSON object. What every program has loaded already
(`socket`, `logging`; `pytest` for what lives inside it) is imported before the clock starts, and the list of entries is
made before it.
"""

from __future__ import annotations

import json as json_at_the_end
import os
import subprocess
import sys
import time
from pathlib import Path


def resident() -> int:
    """Return the bytes of memory that this process holds, shared ones included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget_json() -> None:
    """Make `import json` a first import again."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "json"]:
        del sys.modules[name]


def main(contender: str, entries: int) -> None:
    """Measure this process, once."""
    import logging  # noqa: F401
    import socket  # noqa: F401
    from importlib import import_module, util

    from benchmarks.contenders import CONTENDERS, HOSTS, more_endpoints

    if contender in HOSTS:
        import_module(HOSTS[contender])
    install = CONTENDERS[contender](more_endpoints(entries - 1))
    util.find_spec("nothing_of_this_name")  # has the import system read every folder of the path
    before = resident()
    started = time.process_time_ns()  # of the processor: what other programs do meanwhile is not in it
    install()
    installed = time.process_time_ns() - started
    grown = resident() - before
    forget_json()
    started = time.process_time_ns()
    import json  # noqa: F401

    imported = time.process_time_ns() - started
    print(json_at_the_end.dumps({"install": installed, "memory": grown, "import_json": imported}))


def measure(contender: str, entries: int) -> dict[str, int]:
    """Start a process and return what it measured."""
    from benchmarks.paired import ROOT, environment

    words = [sys.executable, "-S", "-m", "benchmarks.fresh", contender, str(entries)]
    answer = subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT, env=environment())
    return dict(json_at_the_end.loads(answer.stdout))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
