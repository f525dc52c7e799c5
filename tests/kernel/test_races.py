"""Hostile threads: what was judged is what is dialled. `--stress-kernel` tries ten times as often."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from kernellab.wire import EVIL, LISTED, Wire

from conftest import Guarded


@pytest.mark.parametrize("kind", ["connect", "sendmsg", "dup2"])
@pytest.mark.timeout(600)
def test_race_never_reaches_an_unlisted_host(
    wire: Wire, programs: Path, guarded: Guarded, kind: str, tries: int
) -> None:
    attack = [str(programs / "race"), kind, LISTED, EVIL, "80"]
    for _ in range(10):  # where the second thread starts late it takes more than one run
        assert wire.run([*attack, "1000"]).returncode == 0
        if EVIL in {event["to"] for event in wire.events()}:
            break
    else:
        raise AssertionError("the race does not happen unguarded")
    done = wire.run(guarded([*attack, str(tries)]), timeout=300)
    assert done.returncode == 0, done
    assert "evil=0" in done.stdout
    assert EVIL not in {event["to"] for event in wire.events()}


STORM = """
import ctypes, errno, os, signal, socket, struct, sys
tries = int(sys.argv[2])
caught = 0
def handler(*_):
    global caught
    caught += 1
signal.signal(signal.SIGALRM, handler)
libc = ctypes.CDLL(None, use_errno=True)
address = struct.pack("=H", 2) + struct.pack("!H", 80) + socket.inet_aton(sys.argv[1]) + bytes(8)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
seen = {}
for _ in range(tries):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    result = libc.connect(s.fileno(), address, 16)
    name = "ok" if result == 0 else errno.errorcode[ctypes.get_errno()]
    seen[name] = seen.get(name, 0) + 1
    s.close()
signal.setitimer(signal.ITIMER_REAL, 0)
print(sorted(seen), caught > 10)
"""


@pytest.mark.timeout(600)
def test_no_connect_runs_twice_under_a_storm_of_signals(wire: Wire, guarded: Guarded, tries: int) -> None:
    done = wire.run(guarded([sys.executable, "-c", STORM, LISTED, str(tries)]), timeout=300)
    wire.events()
    assert done.stdout in ("['ok'] True\n", "['EINTR', 'ok'] True\n"), done
