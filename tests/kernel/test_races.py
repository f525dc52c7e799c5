"""Hostile threads: what was judged is what is dialled. `--stress-kernel` tries ten times as often (`./dev stress kernel`)."""

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


A_NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]  # whose ids are to be chosen


@pytest.mark.timeout(900)
def test_process_id_used_again_while_a_call_is_on_its_way(
    wire: Wire, programs: Path, guarded: Guarded, tries: int
) -> None:
    """The supervisor reads a caller by its id: what it read of one is never done to the next."""
    attack = [str(programs / "reuse"), LISTED, EVIL, "80"]
    done = wire.run([*A_NAMESPACE, *attack, "100"])
    assert done.returncode == 0, done
    assert EVIL in {event["to"] for event in wire.events()}
    done = wire.run([*A_NAMESPACE, *guarded([*attack, str(tries)])], timeout=600)
    told = dict(word.split("=") for word in done.stdout.split())
    assert int(told["reused"]) > tries * 0.9, done
    assert int(told["ok"]) > 0, done
    assert (told["evil"], told["unasked"]) == ("0", "0"), done
    assert EVIL not in {event["to"] for event in wire.events()}


FLAGGED = """
import ctypes, errno, logging, os, socket, struct, sys, threading
import egressguard
logging.disable()
threading.stack_size(128 * 1024)
take = egressguard._egressguard._set_test_loopback
local = socket.create_server(("127.0.0.1", 0), backlog=4096)
egressguard.install(("10.9.9.9:443",)); egressguard.install_kernel()
libc = ctypes.CDLL(None, use_errno=True)
address = struct.pack("=H", 2) + struct.pack("!H", local.getsockname()[1]) + socket.inet_aton("127.0.0.1") + bytes(8)
exit_number = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
def dial():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return libc.connect(s.fileno(), address, 16)
last = open("/proc/sys/kernel/ns_last_pid", "w")
flagged = reused = through = 0
for _ in range(int(sys.argv[1])):
    told, later = [], []
    def first():
        take(True); told.append(threading.get_native_id()); told.append(dial())
        if sys.argv[2] == "cut": libc.syscall(exit_number, 0)  # without the destructors of a thread
    def second(): later.append((threading.get_native_id(), dial()))
    t = threading.Thread(target=first, daemon=True); t.start()
    while len(told) < 2 or os.path.exists(f"/proc/self/task/{told[0]}"): pass
    flagged += told[1] == 0
    for _ in range(20):
        last.seek(0); last.write(str(told[0] - 1)); last.flush()
        u = threading.Thread(target=second); u.start(); u.join()
        if later[-1][0] == told[0]: break
    reused += later[-1][0] == told[0]
    through += any(result == 0 for _, result in later)
    local.accept()[0].close()
print(flagged, reused, through, flush=True)
os._exit(0)
"""
BATCH = 500  # threads that were cut off leave their stacks behind


@pytest.mark.parametrize("end", ["cut", "usual"])
@pytest.mark.timeout(1200)
def test_thread_id_used_again_after_a_flagged_thread(wire: Wire, end: str, tries: int) -> None:
    """The loopback flag of a thread that ended is nobody's, however soon its id is used again."""
    batch = min(BATCH, tries // 10)  # the short form tries a tenth: each takes a millisecond or more
    for _ in range(max(1, tries // BATCH if tries > BATCH * 10 else 1)):
        done = wire.run([*A_NAMESPACE, sys.executable, "-c", FLAGGED, str(batch), end], timeout=120)
        assert done.returncode == 0, done
        flagged, again, through = map(int, done.stdout.split())
        assert flagged == batch, done
        assert through == 0, done
        assert again > batch * 0.5, done
